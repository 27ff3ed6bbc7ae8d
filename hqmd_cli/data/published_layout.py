"""Base class for published datasets: files in a layout of their own, in a documented unit.

Their depth was measured and its holes were not filled. So it serves as raw ground truth if a protocol asks for that,
and otherwise as depth "as given".
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.pairs import FilePairs, Pair
from hqmd_cli.data.sample import GroundTruth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_depth_values


class PublishedPairs(FilePairs):
    """Pairs of a published dataset."""

    title: str  # the name that its authors use, for the caption

    def __init__(
        self, path: Path, split: str, pairs: list[Pair], ground_truth: GroundTruth, depth_scale: float | None
    ) -> None:
        if depth_scale is not None:
            raise HqmdError(f"{path}: the unit of {self.title} is known; leave --depth-scale out")
        if not pairs:
            raise HqmdError(f"{path}: split {split!r} of {self.title} has no depth maps")
        self.pairs = pairs
        self.ground_truth = "raw" if ground_truth == "raw" else "as given"
        self.description = f"{path.resolve().name} ({self.title}), {split}"

    def read_16_bit_m(self, depth: Path, units_per_metre: float) -> NDArray[np.float32]:
        """Read a 16-bit depth map: (H, W) metres. Raises HqmdError if a tool rewrote the file with other numbers."""
        values = read_depth_values(depth)
        if values.dtype.kind == "f" or values.dtype.itemsize == 1:
            raise HqmdError(
                f"{depth}: {values.dtype} values, {self.title} has 16-bit ones; get the file from its authors again"
            )
        return values.astype(np.float32) / np.float32(units_per_metre)


def require_files(path: Path, files: list[Path], title: str, remedy: str) -> None:
    """Raise HqmdError naming the first file that is missing."""
    if missing := [file for file in files if not file.is_file()]:
        raise HqmdError(f"{path}: {title} lacks {len(missing)} of {len(files)} files, such as {missing[0]}; {remedy}")
