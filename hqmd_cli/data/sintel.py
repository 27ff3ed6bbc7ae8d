"""MPI Sintel: frames of an animated film, 1024 x 436, with rendered depth. Butler et al., ECCV 2012.

MPI-Sintel-complete.zip (or -training_images.zip) and MPI-Sintel-depth-training-20150305.zip, unpacked into one folder:
    training/final|clean/SEQUENCE/frame_0001.png        with and without blur, fog and lens
    training/depth/SEQUENCE/frame_0001.dpt              202021.25 as float32, width, height as int32, then float32
    training/camdata_left/SEQUENCE/frame_0001.cam       202021.25 as float32, then the camera's 3 x 3 matrix as float64
All numbers are little-endian. Depth is in the film's own metres; beyond 70 m, and so in the sky, it is left out, as
MonST3R and its followers do: the cap decides the figures (depth_metric.ipynb of Junyi42/monst3r at 574cc77).

After depth_read and cam_read of sdk/python/sintel_io.py (v1.0, 2015-02-03) in copies of it that others keep; the
archive itself was not at hand, and its unit is as others take it.
"""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.published_layout import PublishedPairs, in_any_format, read_floats
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import photo_size
from hqmd_cli.files.regular import open_regular

TAG = 202021.25
PASSES, CAMERAS = ("final", "clean"), "camdata_left"
CAP_M = 70.0
REMEDY = "unpack MPI-Sintel-depth-training-20150305.zip again"
HEADER, CAMERA = struct.Struct("<fii"), struct.Struct("<f9d")


class Sintel(PublishedPairs):
    """The training frames of one pass, `final` or `clean`; `all` is final where there is one."""

    title = "Sintel"
    home = "http://sintel.is.tue.mpg.de/depth"
    licence = "none found for the depth; the film is CC BY 3.0, as far as known"
    layout = "[training/]depth/SEQUENCE/frame_NNNN.dpt and [training/]final|clean/"
    split_help = "Sintel's are its passes final and clean"
    scene_leads = True
    published_as = ".png"
    remedy = "unpack MPI-Sintel-complete.zip into the same folder"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        root = root_of(path)
        which = self.splits(path)[0] if split == WHOLE else split
        depths = {f"{d.parent.name}/{d.stem}": d for d in sorted(root.glob("depth/*/frame_*.dpt"))}
        pairs = [(name, in_any_format(root / which / f"{name}.png"), depth) for name, depth in depths.items()]
        about = f" ({which} pass), truth beyond {CAP_M:g} m left out"
        super().__init__(path, split, pairs, ground_truth, depth_scale, about)

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if depth of Sintel lies in `path` or its training/."""
        root = root_of(path)  # few folders have a pass; looking into depth/ of any other may take long
        return any((root / each).is_dir() for each in (*PASSES, CAMERAS)) and any(root.glob("depth/*/frame_*.dpt"))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the passes on disk, and `all`."""
        return [*(each for each in PASSES if (root_of(path) / each).is_dir()), WHOLE]

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps and cameras."""
        return super().files + [camera for _, _, depth in self.pairs if (camera := camera_of(depth)).is_file()]

    def sizes(self, index: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Read (H, W) of a photo and of its depth map from their headers."""
        return photo_size(self.pairs[index][1]), self.read_size(self.pairs[index][2])

    def focal_px(self, index: int) -> float | None:
        """Read the focal length in pixels from the frame's camera file; None if that file is missing."""
        if not (camera := camera_of(self.pairs[index][2])).is_file():
            return None
        return float(read_header(camera, CAMERA)[1])

    def read_size(self, depth: Path) -> tuple[int, int]:
        """Read (H, W) of a depth map."""
        _, width, height = read_header(depth, HEADER)
        return int(height), int(width)

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, infinite beyond the cap."""
        depth_m = read_floats(depth, *self.read_size(depth), start=HEADER.size, remedy=REMEDY)
        return np.where(depth_m < CAP_M, depth_m, np.float32(np.inf))


def root_of(path: Path) -> Path:
    """Return the folder with depth/: `path`, or its training/."""
    return path / "training" if (path / "training" / "depth").is_dir() else path


def camera_of(depth: Path) -> Path:
    """Return the file of a depth map's camera."""
    return depth.parents[2] / CAMERAS / depth.parent.name / f"{depth.stem}.cam"


def read_header(path: Path, form: struct.Struct) -> tuple[float, ...]:
    """Read the numbers at the start of a file. Raises HqmdError unless the first one is Sintel's tag."""
    with open_regular(path) as file:
        content = file.read(form.size)
    values = form.unpack(content) if len(content) == form.size else (0.0,)
    if values[0] != TAG:
        raise HqmdError(f"{path}: does not begin with Sintel's tag {TAG}; {REMEDY}")
    return values
