"""A dataset: FILE.npylist names a photo and a .npy of metres a line, separated by a space."""

from pathlib import Path

import numpy as np
from hqmd_cli.data.sample import WHOLE, FileDataset, GroundTruth, Sample
from hqmd_cli.files.photos import read_photo


class NpyList(FileDataset):
    """The pairs of a list; paths are relative to its folder."""

    split_help = "a .npylist has no splits"
    ground_truth: GroundTruth = "as given"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        lines = path.read_text("utf-8").split("\n")
        self.pairs = [[path.parent / name for name in line.split(" ")] for line in lines if line]
        self.files = [path, *(file for pair in self.pairs for file in pair)]
        self.description = f"{path.name}, {split}"
        self.names = [photo.name for photo, _ in self.pairs]
        self.photos = [str(photo.resolve()) for photo, _ in self.pairs]

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Name the only split."""
        return [WHOLE]

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Sample:
        photo, depth = self.pairs[index]
        depth_m = np.load(depth).astype(np.float32)
        return Sample(self.names[index], read_photo(photo).rgb, depth_m, depth_m > 0)
