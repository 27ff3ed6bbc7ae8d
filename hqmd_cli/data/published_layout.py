"""Base class for published datasets: files in a layout of their own, in a documented unit.

Their depth was measured and its holes were not filled. So it serves as raw ground truth if a protocol asks for that,
and otherwise as depth "as given".
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.missing import without_missing
from hqmd_cli.data.pairs import FilePairs, Pair
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.depth_files import read_depth_values, values_after
from hqmd_cli.files.kinds import photo_suffixes
from hqmd_cli.files.regular import open_regular
from hqmd_cli.files.text import read_lines


class PublishedPairs(FilePairs):
    """Pairs of a published dataset."""

    scene_leads: bool = False  # True: the names of pictures are SCENE/...
    published_as: str = ""  # suffix of the photos, where the description says that they have another one
    remedy: str = ""  # for missing files

    def __init__(
        self,
        path: Path,
        split: str,
        pairs: list[Pair],
        ground_truth: GroundTruth,
        depth_scale: float | None,
        about: str = "",
    ) -> None:
        """Leave out pairs without all of their files. `about` continues the description."""
        if depth_scale is not None:
            raise HqmdError(f"{path}: the unit of {self.title} is known; leave --depth-scale out")
        needed = {pair: self.needed(*pair[1:]) for pair in pairs}
        absent = {pair: gone for pair, files in needed.items() if (gone := [f for f in files if not f.is_file()])}
        complaint = self.complain(path, needed, absent) if absent else ""
        self.pairs, note = without_missing(pairs, list(absent), complaint)
        if not self.pairs:
            raise HqmdError(f"{path}: split {split!r} of {self.title} has no depth maps")
        self.ground_truth: GroundTruth = "raw" if ground_truth == "raw" else "as given"
        self.description = f"{path.resolve().name} ({self.title}), {split}{about}{self.format_note}{note}"
        self.scenes = {name: name.partition("/")[0] for name in self.names} if self.scene_leads else {}

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return the files without which a pair is left out; depth maps that were listed from a folder are there."""
        return [photo]

    def complain(self, path: Path, needed: Mapping[Pair, list[Path]], absent: Mapping[Pair, list[Path]]) -> str:
        """Say that more files are missing than are tolerated, and how to get them."""
        number, total = (sum(map(len, files.values())) for files in (absent, needed))
        first = next(iter(absent.values()))[0]
        return f"{path}: {self.title} lacks {number} of {total} files, such as {first}; {self.remedy}"

    @property
    def format_note(self) -> str:
        """Says that photos have another format than the published one; empty if they do not."""
        others = sorted({photo.suffix for _, photo, _ in self.pairs} - {self.published_as}) if self.published_as else []
        return f", photos as {' and '.join(others)}" if others else ""

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps, and what else each pair needs."""
        others = [file for _, *pair in self.pairs for file in self.needed(*pair) if file not in pair]
        return [*super().files, *others]

    def read_16_bit_m(self, depth: Path, units_per_metre: float) -> NDArray[np.float32]:
        """Read a 16-bit depth map: (H, W) metres. Raises HqmdError if a tool rewrote the file with other numbers."""
        return self.read_16_bit(depth).astype(np.float32) / np.float32(units_per_metre)

    def read_16_bit(self, depth: Path) -> NDArray[np.uint16]:
        """Read the numbers of a 16-bit depth map, (H, W). Raises HqmdError for other numbers."""
        values = read_depth_values(depth)
        if values.dtype.kind == "f" or values.dtype.itemsize == 1:
            raise HqmdError(
                f"{depth}: {values.dtype} values, {self.title} has 16-bit ones; get the file from its authors again"
            )
        return values.astype(np.uint16)


class ScenePairs(PublishedPairs):
    """Pairs in one folder a scene; each scene is a split."""

    scene_leads = True

    @staticmethod
    def scenes_in(path: Path) -> list[Path]:
        """Return the folders of scenes: `path`, or those in it."""
        raise NotImplementedError

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """True if scenes lie in `path`, or it is one."""
        return bool(cls.scenes_in(path))

    @classmethod
    def splits(cls, path: Path) -> list[str]:
        """Return the scenes, and `all`."""
        return [*(scene.name for scene in cls.scenes_in(path) if scene != path), WHOLE]


def in_any_format(photo: Path) -> Path:
    """Return a photo, or itself in another format: many convert KITTI to JPEG. The photo if neither is there."""
    if photo.is_file():
        return photo
    suffixes = (each for suffix in sorted(photo_suffixes()) for each in (suffix, suffix.upper()))
    return next((other for suffix in suffixes if (other := photo.with_suffix(suffix)).is_file()), photo)


def read_floats(path: Path, height: int, width: int, start: int, remedy: str) -> NDArray[np.float32]:
    """Read the little-endian float32 that follow `start` bytes, row by row, as (H, W).

    Raises HqmdError with the remedy if the file has not as many bytes as they take.
    """
    with open_regular(path) as file:
        try:
            return values_after(file, start, height, width, "<f4").astype(np.float32)
        except ValueError as error:
            raise HqmdError(f"{path}: {error}; {remedy}") from error


def read_matrix(path: Path) -> NDArray[np.float64]:
    """Read the numbers of a matrix in a text file, row by row (N,). Raises HqmdError if there are none."""
    try:
        values = [float(word) for line in read_lines(path, "matrix") for word in line.split()]
    except ValueError as error:
        raise HqmdError(f"{path}: no matrix: {first_line(error)}; get the file from its authors again") from error
    if not values:
        raise HqmdError(f"{path}: no numbers in it; get the file from its authors again")
    return np.array(values)
