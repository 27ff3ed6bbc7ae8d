"""Shared by the readers of published datasets: files in a layout of their own, in a unit that is documented.

Their depth was measured and its holes were not filled, so it stands for raw ground truth where a protocol asks for
that, and otherwise for depth as given.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.pairs import Pair
from hqmd_cli.data.sample import GroundTruth, Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.images import read_image


class PublishedPairs:
    """Pairs of a photo and its depth; a dataset finds them and reads the depth."""

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

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """(H, W) metres, 0 where there is none."""
        raise NotImplementedError

    @property
    def names(self) -> list[str]:
        """The samples' names, in order."""
        return [name for name, _, _ in self.pairs]

    @property
    def photos(self) -> list[str]:
        """What tells the photos apart."""
        return [str(photo.resolve()) for _, photo, _ in self.pairs]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        name, photo, depth = self.pairs[index]
        depth_m = self.read_depth_m(depth)
        try:
            return sample_from(name, read_image(photo), depth_m)
        except ValueError as error:
            raise HqmdError(f"{photo} and {depth}: {error}") from error


def require_files(path: Path, files: list[Path], title: str, remedy: str) -> None:
    """Raise HqmdError naming one of the files that a layout needs and that are not there."""
    if missing := [file for file in files if not file.is_file()]:
        raise HqmdError(f"{path}: {title} lacks {len(missing)} of {len(files)} files, such as {missing[0]}; {remedy}")


def require_16_bit(path: Path, values: NDArray[np.number], title: str) -> None:
    """Raise HqmdError for depth that some tool has written anew with other numbers."""
    if values.dtype.kind == "f" or values.dtype.itemsize == 1:
        raise HqmdError(f"{path}: {values.dtype} values, {title} has 16-bit ones; get the file from its authors again")
