"""iBims-1: 100 indoor photos, 640 x 480, with laser scanner depth. Koch, Liebel, Fraundorfer, Körner, ECCVW 2018.

The archive `ibims1_core_raw.zip` as published: rgb/, depth/, edges/, mask_invalid/, mask_transp/ and calib/ with one
file NAME.png (NAME.txt in calib/) per photo. `imagelist.txt`, published beside the archive, lists the names.

Depth has 16 bits, 65535 = 50 m. A pixel is valid where both masks are not 0; mask_transp excludes glass, which the
scanner sees through. Unit and masks as in ZoeDepth's zoedepth/data/ibims.py. edges/ has the hand-drawn depth edges
that define the depth boundary errors; without it, boundaries are found by Canny and the caption says so. The authors'
.mat variant is not supported.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.pairs import files_in, read_names
from hqmd_cli.data.published_layout import PublishedPairs, format_note, in_any_format, there
from hqmd_cli.data.sample import WHOLE, GroundTruth, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.kinds import photo_suffixes
from hqmd_cli.files.photos import read_image

UNITS_PER_METRE = 65535 / 50
PARTS = ("rgb", "depth", "mask_invalid", "mask_transp")
MASKS = PARTS[2:]
EDGES = "edges"
LIST = "imagelist.txt"
UNPACK = "unpack ibims1_core_raw.zip again"


class Ibims(PublishedPairs):
    """All of iBims-1, which is for testing only."""

    title = "iBims-1"
    home = "https://www.asg.ed.tum.de/lmf/ibims1/"
    licence = "none found"
    layout = "ibims1_core_raw/ with rgb/, depth/, mask_invalid/ and mask_transp/"
    split_help = "iBims-1 is for testing only"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        if missing := [part for part in PARTS if not (path / part).is_dir()]:
            raise HqmdError(
                f"{path}: iBims-1 lacks {', '.join(f'{part}/' for part in missing)}; "
                "point to the unpacked ibims1_core_raw.zip"
            )
        lists = [file for file in (path / LIST, path.resolve().parent / LIST) if file.is_file()]
        names = (
            read_names(lists[0]) if lists else sorted(file.stem for file in files_in(path / "rgb", photo_suffixes()))
        )
        self.has_edges = (path / EDGES).is_dir()
        notes = ""
        for parts in (PARTS, (EDGES,) if self.has_edges else ()):
            needed = {name: [file_of(path, part, name) for part in parts] for name in names}
            names, note = there(path, needed, self.title, UNPACK)
            notes += note
        pairs = [(name, file_of(path, "rgb", name), file_of(path, "depth", name)) for name in names]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        self.description += format_note(pairs, ".png") + notes
        drawn = "edges as drawn" if self.has_edges else "without edges/, so that edges are found by Canny"
        self.description += f", {drawn}"

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if there are masks, or by the folder's name: without masks it looks like pairs in millimetres."""
        return any((path / mask).is_dir() for mask in MASKS) or path.resolve().name.startswith("ibims1_core")

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return both names of the only split."""
        return ["test", WHOLE]

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps, masks and edges."""
        others = (*MASKS, EDGES) if self.has_edges else MASKS
        return super().files + [sibling(depth, part) for _, _, depth in self.pairs for part in others]

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        if not self.has_edges:
            return sample
        _, _, depth = self.pairs[index]
        return replace(sample, edges=read_mask(sibling(depth, EDGES), sample.depth_m.shape))

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where a mask excludes the pixel."""
        depth_m = self.read_16_bit_m(depth, UNITS_PER_METRE)
        for mask in MASKS:
            depth_m[~read_mask(sibling(depth, mask), depth_m.shape)] = 0
        return depth_m


def file_of(path: Path, part: str, name: str) -> Path:
    """Return the file of a picture in one of the folders; a photo may have been converted."""
    file = path / part / f"{name}.png"
    return in_any_format(file) if part == "rgb" else file


def sibling(depth: Path, part: str) -> Path:
    """Return the file in another folder that belongs to a depth map."""
    return depth.parents[1] / part / depth.name


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Read a mask (H, W): True where it is not 0. Raises HqmdError if its shape is not `shape`."""
    mask = read_image(path)[..., 0] > 0  # some have one bit per pixel, which only the photo reader expands
    if mask.shape != shape:
        raise HqmdError(f"{path}: the mask is {mask.shape}, the depth {shape}; {UNPACK}")
    return mask
