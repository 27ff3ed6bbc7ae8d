"""TUM RGB-D: recordings of a Kinect with the camera's path. Sturm et al., IROS 2012.

A recording as published: rgb/TIME.png and depth/TIME.png, with rgb.txt and depth.txt, which have a time in seconds and
a file per line. The two were not recorded at the same time. As in associate.py of the benchmark's tools, the pair
nearest in time goes first, then the nearest of those left, to a gap of 0.02 s: each file is used once. Depth has 16
bits, 5000 = 1 m, 0 = unknown. https://cvg.cit.tum.de/data/datasets/rgbd-dataset/file_formats
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.depth_unit import doubts
from hqmd_cli.data.pairs import Pair
from hqmd_cli.data.published_layout import PublishedPairs
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.text import read_lines

UNITS_PER_METRE = 5000
LARGEST_GAP_S = 0.02
LISTS = ("rgb.txt", "depth.txt")


class TumRgbd(PublishedPairs):
    """One recording."""

    title = "TUM RGB-D"
    home = "https://cvg.cit.tum.de/data/datasets/rgbd-dataset"
    licence = "CC BY 4.0"
    layout = "rgb.txt and depth.txt, with a time and a file per line, beside rgb/ and depth/"
    split_help = "a recording of TUM RGB-D is one split; a list of yours may have a column `split`"
    remedy = "unpack the recording again"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        times = [read_times(path / name) for name in LISTS]
        depths, pairs = times[1][1], associated(*times[0], *times[1])
        stated = f", depth / {depth_scale:g} (stated)" if depth_scale else ""
        super().__init__(path, split, pairs, ground_truth, None, stated)
        self.units_per_metre = depth_scale or UNITS_PER_METRE  # some use the layout with another unit
        if alone := len(depths) - len(pairs):
            self.description += f", depth maps without a photo of their time left out: {alone}"
        self.description += doubts([depth for _, _, depth in self.pairs], self.units_per_metre)

    units_per_metre: float

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if both lists of times are there."""
        return all((path / name).is_file() and has_times(path / name) for name in LISTS)

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the name of the only split."""
        return [WHOLE]

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return photo and depth map, since both are listed."""
        return [photo, depth]

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where the Kinect measured nothing."""
        return self.read_16_bit_m(depth, self.units_per_metre)


def associated(
    photo_s: NDArray[np.float64], photos: list[Path], depth_s: NDArray[np.float64], depths: list[Path]
) -> list[Pair]:
    """Pair photos and depth maps, the nearest in time first. Depth maps lend the names; the order is that of photos."""
    gaps_s = np.abs(photo_s[:, None] - depth_s)
    near = np.argwhere(gaps_s < LARGEST_GAP_S)
    of_photo: dict[int, int] = {}
    taken: set[int] = set()
    for photo, depth in near[np.argsort(gaps_s[tuple(near.T)], kind="stable")].tolist():
        if photo not in of_photo and depth not in taken:
            of_photo[photo] = depth
            taken.add(depth)
    return [(depths[depth].stem, photos[photo], depths[depth]) for photo, depth in sorted(of_photo.items())]


def has_times(path: Path) -> bool:
    """True if the first line that is no comment has a time and a file; a split file of pairs has one name per line."""
    try:
        return len(read_times(path)[1]) > 0
    except HqmdError:
        return False


def read_times(path: Path) -> tuple[NDArray[np.float64], list[Path]]:
    """Read a list of times in seconds (N,) and files. Raises HqmdError if a line has anything else."""
    times, files = [], []
    for line in read_lines(path, "list of times and files"):
        if not line.strip() or line.startswith("#"):
            continue
        time, _, file = line.strip().partition(" ")
        try:
            times.append(float(time))
        except ValueError as error:
            raise HqmdError(f"{path}: a time and a file are needed in every line, unlike in {line!r}") from error
        if not file.strip():
            raise HqmdError(f"{path}: a time and a file are needed in every line, unlike in {line!r}")
        files.append(path.parent / file.strip())
    return np.array(times), files
