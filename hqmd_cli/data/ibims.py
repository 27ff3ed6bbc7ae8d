"""iBims-1: 100 indoor photos, 640 x 480, with laser scanner depth. Koch, Liebel, Fraundorfer, Körner, ECCVW 2018.

The archive `ibims1_core_raw.zip` as published: rgb/, depth/, edges/, mask_invalid/, mask_transp/ and calib/ with one
file NAME.png (NAME.txt in calib/) per photo. `imagelist.txt`, published beside the archive, lists the names.
mask_wall/, mask_table/ and mask_floor/ number the planes of some photos from 1 (folders as in the README of
https://github.com/AIRI-Institute/DepthART, numbers as in T. Koch's evaluate_ibims_error_metrics.py). calib/ has fx, fy,
cx, cy in pixels; that script counts them from 1.

Depth has 16 bits, 65535 = 50 m. A pixel is valid where both masks are not 0; mask_transp excludes glass, which the
scanner sees through. Unit and masks as in ZoeDepth's zoedepth/data/ibims.py. edges/ has the hand-drawn depth edges
that define the depth boundary errors; without it, boundaries are found by Canny and the caption says so. The authors'
.mat variant is not supported.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.pairs import files_in, read_names
from hqmd_cli.data.published_layout import PublishedPairs, in_any_format
from hqmd_cli.data.sample import WHOLE, GroundTruth, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.kinds import photo_suffixes
from hqmd_cli.files.photos import read_image
from hqmd_cli.files.text import read_lines
from hqmd_cli.geometry.camera import Intrinsics

UNITS_PER_METRE = 65535 / 50
PARTS = ("rgb", "depth", "mask_invalid", "mask_transp")
MASKS = PARTS[2:]
EDGES, CALIB = "edges", "calib"
PLANES = ("mask_wall", "mask_table", "mask_floor")
LIST = "imagelist.txt"
UNPACK = "unpack ibims1_core_raw.zip again"


class Ibims(PublishedPairs):
    """All of iBims-1, which is for testing only."""

    title = "iBims-1"
    home = "https://www.asg.ed.tum.de/lmf/ibims1/"
    licence = "none found"
    layout = "ibims1_core_raw/ with rgb/, depth/, mask_invalid/ and mask_transp/"
    split_help = "iBims-1 is for testing only"
    published_as = ".png"
    remedy = UNPACK

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
        pairs = [(name, in_any_format(path / "rgb" / f"{name}.png"), path / "depth" / f"{name}.png") for name in names]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        drawn = "edges as drawn" if self.has_edges else "without edges/, so that edges are found by Canny"
        self.description += f", {drawn}"
        self.calib, self.planes = path / CALIB, [path / part for part in PLANES if (path / part).is_dir()]
        if absent := [f"{part}/" for part in (CALIB, *PLANES) if not (path / part).is_dir()]:
            self.description += f", without {', '.join(absent)}"

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if there are masks, or by the folder's name: without masks it looks like pairs in millimetres."""
        return any((path / mask).is_dir() for mask in MASKS) or path.resolve().name.startswith("ibims1_core")

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return both names of the only split."""
        return ["test", WHOLE]

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return photo, depth map, masks and, if anybody drew them, edges."""
        others = (*MASKS, EDGES) if self.has_edges else MASKS
        return [photo, depth, *(sibling(depth, part) for part in others)]

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps, masks and edges, and what is there of planes and cameras."""
        optional = [folder / f"{name}.png" for name in self.names for folder in self.planes]
        optional += [self.calib / f"{name}.txt" for name in self.names]
        return super().files + [file for file in optional if file.is_file()]

    def __getitem__(self, index: int) -> Sample:
        sample = super().__getitem__(index)
        name, _, depth = self.pairs[index]
        edges = read_mask(sibling(depth, EDGES), sample.depth_m.shape) > 0 if self.has_edges else None
        planes = read_planes([folder / f"{name}.png" for folder in self.planes], sample.depth_m.shape)
        return replace(sample, edges=edges, planes=planes, camera=read_camera(self.calib / f"{name}.txt"))

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where a mask excludes the pixel."""
        depth_m = self.read_16_bit_m(depth, UNITS_PER_METRE)
        for mask in MASKS:
            depth_m[read_mask(sibling(depth, mask), depth_m.shape) == 0] = 0
        return depth_m


def sibling(depth: Path, part: str) -> Path:
    """Return the file in another folder that belongs to a depth map."""
    return depth.parents[1] / part / depth.name


def read_planes(files: Sequence[Path], shape: tuple[int, ...]) -> NDArray[np.uint8] | None:
    """Number the planes of all masks that are there from 1, (H, W); 0 elsewhere. None if there is no mask."""
    files = [file for file in files if file.is_file()]
    planes = np.zeros(shape, np.uint8)
    for file in files:
        numbers = read_mask(file, shape)
        for number in np.unique(numbers[numbers > 0]):
            planes[numbers == number] = planes.max() + 1
    return planes if files else None


def read_camera(file: Path) -> Intrinsics | None:
    """Read fx, fy, cx, cy, whose pixels count from 1; None without the file. Raises HqmdError for anything else."""
    if not file.is_file():
        return None
    try:
        fx, fy, cx, cy = (float(number) for number in " ".join(read_lines(file, "camera")).replace(",", " ").split())
    except ValueError as error:
        raise HqmdError(f"{file}: not a camera of iBims-1 (fx,fy,cx,cy): {error}; {UNPACK}") from error
    return Intrinsics(fx, fy, cx - 1, cy - 1, f"as in {file.name}")


def read_mask(path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read the numbers of a mask, (H, W). Raises HqmdError if its shape is not `shape`."""
    mask = read_image(path)[..., 0]  # some have one bit per pixel, which only the photo reader expands
    if mask.shape != shape:
        raise HqmdError(f"{path}: the mask is {mask.shape}, the depth {shape}; {UNPACK}")
    return mask
