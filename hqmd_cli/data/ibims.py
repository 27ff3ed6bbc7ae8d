"""iBims-1: 100 indoor photos, 640 x 480, with a laser scanner's depth. Koch, Liebel, Fraundorfer, Körner, ECCVW 2018.

The archive `ibims1_core_raw.zip` as published: rgb/, depth/, edges/, mask_invalid/, mask_transp/ and calib/, a file
NAME.png (NAME.txt in calib/) in each; `imagelist.txt`, which comes beside the archive, names the pictures. Depth has 16
bits, 65535 = 50 m; a pixel counts where both masks are not 0 (mask_transp leaves out glass, which the scanner sees
through). edges/ has the depth edges that people drew, which the depth boundary errors are defined by; copies of the
archive without it are read, too, and the caption says so. Unit and masks as in ZoeDepth's zoedepth/data/ibims.py; the
authors' .mat variant is not read.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data import WHOLE
from hqmd_cli.data.pairs import read_names
from hqmd_cli.data.published_layout import PublishedPairs, require_16_bit, require_files
from hqmd_cli.data.sample import GroundTruth, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_depth_values
from hqmd_cli.files.photos import read_image

UNITS_PER_METRE = 65535 / 50
PARTS = ("rgb", "depth", "mask_invalid", "mask_transp")
MASKS = PARTS[2:]
EDGES = "edges"
LIST = "imagelist.txt"
UNPACK = "unpack ibims1_core_raw.zip again"


class Ibims(PublishedPairs):
    """All of iBims-1: it is for testing only."""

    title = "iBims-1"
    layout = "ibims1_core_raw/ with rgb/, depth/, mask_invalid/ and mask_transp/"
    split_help = "iBims-1 is for testing only"

    @staticmethod
    def recognises(path: Path) -> bool:
        """By masks, or by its name: without masks it would pass for a folder of pairs in millimetres."""
        return any((path / mask).is_dir() for mask in MASKS) or path.resolve().name.startswith("ibims1_core")

    @staticmethod
    def splits(path: Path) -> list[str]:
        """One, by two names."""
        return ["test", WHOLE]

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        if missing := [part for part in PARTS if not (path / part).is_dir()]:
            raise HqmdError(
                f"{path}: iBims-1 lacks {', '.join(f'{part}/' for part in missing)}; "
                "point to the unpacked ibims1_core_raw.zip"
            )
        lists = [file for file in (path / LIST, path.resolve().parent / LIST) if file.is_file()]
        names = read_names(lists[0]) if lists else sorted(file.stem for file in (path / "rgb").glob("*.png"))
        needed = [path / part / f"{name}.png" for name in names for part in PARTS]
        require_files(path, needed, self.title, UNPACK)
        pairs = [(name, path / "rgb" / f"{name}.png", path / "depth" / f"{name}.png") for name in names]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        self.has_edges = (path / EDGES).is_dir()
        if self.has_edges:
            require_files(path, [path / EDGES / f"{name}.png" for name in names], self.title, UNPACK)
        drawn = "edges as drawn" if self.has_edges else "without edges/, so that edges are found by Canny"
        self.description += f", {drawn}"

    @property
    def files(self) -> list[Path]:
        """Masks and edges, too."""
        others = (*MASKS, EDGES) if self.has_edges else MASKS
        return super().files + [d.parents[1] / part / d.name for _, _, d in self.pairs for part in others]

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if not self.has_edges:
            return sample
        _, _, depth = self.pairs[index]
        return replace(sample, edges=self.read_mask(depth.parents[1] / EDGES / depth.name, sample.depth_m.shape))

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """(H, W) metres, 0 where a mask says that there is none."""
        values = read_depth_values(depth)
        require_16_bit(depth, values, self.title)
        depth_m = values.astype(np.float32) / np.float32(UNITS_PER_METRE)
        for mask in MASKS:
            depth_m[~self.read_mask(depth.parents[1] / mask / depth.name, depth_m.shape)] = 0
        return depth_m

    @staticmethod
    def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
        """(H, W) where the depth counts. One bit a pixel, so read as a picture, not as numbers."""
        kept = read_image(path)[..., 0] > 0
        if kept.shape != shape:
            raise HqmdError(f"{path}: the mask is {kept.shape}, the depth {shape}; {UNPACK}")
        return kept
