"""SYNS-Patches: 1,175 views cut from panoramas outdoors and indoors, with laser scanner depth. Spencer et al., 2022.

syns_patches.zip as published; the depth of the test split is kept back, that of val may be had:
    splits/val_files.txt                a scene and a file a line, such as "01 00.png"
    SCENE/images/NN.png                 1242 x 376
    SCENE/depths/NN.npy                 metres, 0 is unknown
    SCENE/edges/NN.png                  depth edges; 0 means no edge
The camera is the devkit's: fields of view of 84.10 and 25.46 degrees. Its pixels are no squares, so the focal length is
the root of the product of the two.

After src/devkits/syns_patches.py, src/datasets/syns_patches.py and api/data/export_syns_targets.py of
https://github.com/toshas/mdec_benchmark at 4037628, the fourth Monocular Depth Estimation Challenge. The archive was
not at hand.
"""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.published_layout import PublishedPairs
from hqmd_cli.data.sample import WHOLE, GroundTruth, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_depth_values
from hqmd_cli.files.photos import read_image
from hqmd_cli.files.text import read_lines

LISTS = "splits/*_files.txt"
WIDTH, HEIGHT, FOV_DEG = 1242, 376, (84.10, 25.46)


class SynsPatches(PublishedPairs):
    """One of the listed splits, as far as its depth is there, or all."""

    title = "SYNS-Patches"
    home = "https://github.com/toshas/mdec_benchmark"
    licence = "none found"
    layout = "splits/val_files.txt and SCENE/images/, depths/ and edges/"
    split_help = "a split of SYNS-Patches is a list such as splits/val_files.txt"
    scene_leads = True
    remedy = "unpack syns_patches.zip again; the depth of test is not published"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        lists = [file for file in sorted(path.glob(LISTS)) if split in (WHOLE, split_of(file))]
        lines = sorted({tuple(line.split()) for file in lists for line in read_lines(file, "list") if line.strip()})
        if wrong := next((line for line in lines if len(line) != 2), None):
            raise HqmdError(f"{lists[0]}: a scene and a file are needed in every line, unlike in {' '.join(wrong)!r}")
        files = {f"{scene}/{Path(name).stem}": path / scene / "images" / name for scene, name in lines}
        if split == WHOLE:  # the depth of test is kept back
            files = {name: photo for name, photo in files.items() if depth_of(photo).is_file()}
        pairs = [(name, photo, depth_of(photo)) for name, photo in files.items()]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        fx, fy = (
            side // 2 / math.tan(math.radians(fov) / 2) for side, fov in zip((WIDTH, HEIGHT), FOV_DEG, strict=True)
        )
        self.focals = dict.fromkeys(self.names, math.sqrt(fx * fy))

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if a list of SYNS-Patches and depth are there."""
        return any(path.glob(LISTS)) and any(path.glob("*/depths"))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the splits that are listed, and `all`."""
        return [*(split_of(file) for file in sorted(path.glob(LISTS))), WHOLE]

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return photo, depth map and edges."""
        return [photo, depth, edges_of(photo)]

    def __getitem__(self, index: int) -> Sample:
        sample, edges = super().__getitem__(index), edges_of(self.pairs[index][1])
        drawn = read_image(edges)[..., 0] > 0
        if drawn.shape != sample.depth_m.shape:
            raise HqmdError(f"{edges}: the edges are {drawn.shape}, the depth {sample.depth_m.shape}; unpack it again")
        return replace(sample, edges=drawn)

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where unknown."""
        return read_depth_values(depth, squeeze=True).astype(np.float32)


def split_of(file: Path) -> str:
    """Return the split of a list, such as val."""
    return file.stem.removesuffix("_files")


def depth_of(photo: Path) -> Path:
    """Return the depth map of a photo."""
    return photo.parents[1] / "depths" / f"{photo.stem}.npy"


def edges_of(photo: Path) -> Path:
    """Return the depth edges of a photo."""
    return photo.parents[1] / "edges" / photo.name
