"""Shared by the readers of published datasets: files in a layout of their own, in a unit that is documented.

Their depth was measured and its holes were not filled, so it stands for raw ground truth where a protocol asks for
that, and otherwise for depth as given.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.pairs import FilePairs, Pair
from hqmd_cli.data.sample import GroundTruth
from hqmd_cli.errors import HqmdError


class PublishedPairs(FilePairs):
    """Pairs of a published dataset."""

    title: str  # what its authors call it, for the caption
    layout: str  # how its files lie, in words

    def __init__(
        self, path: Path, split: str, pairs: list[Pair], ground_truth: GroundTruth, depth_scale: float | None
    ) -> None:
        if depth_scale is not None:
            raise HqmdError(f"{path}: the unit of {self.title} is known; leave --depth-scale out")
        if not pairs:
            raise HqmdError(f"{path}: split {split!r} of {self.title} has no depth maps")
        self.pairs = pairs
        self.ground_truth: GroundTruth = "raw" if ground_truth == "raw" else "as given"
        self.description = f"{path.resolve().name} ({self.title}), {split}"


def require_files(path: Path, files: list[Path], title: str, remedy: str) -> None:
    """Raise HqmdError naming one of the files that a layout needs and that are not there."""
    if missing := [file for file in files if not file.is_file()]:
        raise HqmdError(f"{path}: {title} lacks {len(missing)} of {len(files)} files, such as {missing[0]}; {remedy}")


def require_16_bit(path: Path, values: NDArray[np.number], title: str) -> None:
    """Raise HqmdError for depth that some tool has written anew with other numbers."""
    if values.dtype.kind == "f" or values.dtype.itemsize == 1:
        raise HqmdError(f"{path}: {values.dtype} values, {title} has 16-bit ones; get the file from its authors again")
