"""A dataset: FILE.npylist names a photo and a .npy of metres a line, separated by a space."""

from pathlib import Path

import numpy as np

from hqmd_cli.data.sample import WHOLE, FileDataset, GroundTruth, Sample, sample_from
from hqmd_cli.files.photos import read_photo


class NpyList(FileDataset):
    """The pairs of a list; paths are relative to its folder."""

    split_help = "a .npylist has no splits"
    ground_truth: GroundTruth = "as given"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        lines = path.read_text("utf-8").split("\n")
        self.path, self.description = path, f"{path.name}, {split}"
        self.pairs = [[path.parent / name for name in line.split(" ")] for line in lines if line]

    @property
    def files(self) -> list[Path]:
        """The list, and what it names."""
        return [self.path, *(file for pair in self.pairs for file in pair)]

    @property
    def names(self) -> list[str]:
        """Names of the photos."""
        return [photo.name for photo, _ in self.pairs]

    @property
    def photos(self) -> list[str]:
        """Paths of the photos."""
        return [str(photo.resolve()) for photo, _ in self.pairs]

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Name the only split."""
        return [WHOLE]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        photo, depth = self.pairs[index]
        return sample_from(photo.name, read_photo(photo).rgb, np.load(depth).astype(np.float32))
