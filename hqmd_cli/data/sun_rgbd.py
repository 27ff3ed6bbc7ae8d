"""SUN RGB-D: 10,335 indoor photos with the depth of four sensors. Song, Lichtenberg and Xiao, CVPR 2015.

SUNRGBD.zip as published: a folder a frame, at any depth below kv1, kv2, realsense or xtion, with
    image/NAME.jpg, depth/NAME.png      of one size
    intrinsics.txt                      nine numbers, row by row; the first is the focal length in pixels
Depth is in millimetres, its 16 bits turned left by three: 8000 is 1 m. 0 is unknown. Numbers beyond 8 m, which the
authors' reader sets to 8 m, are left out. depth_bfx/, in which holes are filled, is not read.

After readframeSUNRGBD.m and readData/read3dPoints.m of the authors' SUNRGBDtoolbox, in the copy in evaluation/vis of
https://github.com/thusiyuan/cooperative_scene_parsing at 0689c80. Each sensor is a split. So are train (5,285 frames)
and test (5,050) where the toolbox, SUNRGBDtoolbox.zip, is unpacked beside or above the sensors: its allsplit.mat lists
their folders, each below /.../SUNRGBD/ (the copy in https://github.com/jiangliux/SUNRGBDtoolbox at fbc02ef). kv1
contains the photos of NYU Depth V2, in its own split.
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.published_layout import PublishedPairs, read_matrix
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.installed import require

SENSORS = ("kv1", "kv2", "realsense", "xtion")
TURNED_BITS, BITS = 3, 16
FARTHEST_M = 8.0
INTRINSICS = "intrinsics.txt"
OFFICIAL, LISTS = ("train", "test"), "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"


class SunRgbd(PublishedPairs):
    """The frames of one sensor, of the authors' train or test, or all."""

    title = "SUN RGB-D"
    home = "https://rgbd.cs.princeton.edu"
    licence = "none found"
    layout = f"[SUNRGBD/]kv1|kv2|realsense|xtion/.../image/, depth/ and {INTRINSICS}"
    split_help = (
        "SUN RGB-D's are its sensors kv1, kv2, realsense and xtion, and train and test if SUNRGBDtoolbox/ lies beside "
        "them"
    )
    remedy = "unpack SUNRGBD.zip again"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        root = root_of(path)
        if split in OFFICIAL and (lists := lists_of(root)):
            frames = {name: root / name for name in official(lists, split)}
        else:
            chosen = [root / sensor for sensor in SENSORS if split in (WHOLE, sensor)]
            known = sorted(file for folder in chosen for file in folder.rglob(INTRINSICS))
            frames = {f.parent.relative_to(root).as_posix(): f.parent for f in known if (f.parent / "depth").is_dir()}
        pairs = [(name, only(f / "image", "*.jpg"), only(f / "depth", "*.png")) for name, f in frames.items()]
        about = f", truth beyond {FARTHEST_M:g} m left out"
        super().__init__(path, split, pairs, ground_truth, depth_scale, about)

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if the folder of a sensor is there, with a frame in it."""
        return any(next((root_of(path) / sensor).rglob(INTRINSICS), None) for sensor in SENSORS)

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the sensors on disk, the authors' splits if their lists are there, and `all`."""
        root = root_of(path)
        return [*(each for each in SENSORS if (root / each).is_dir()), *(OFFICIAL if lists_of(root) else ()), WHOLE]

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return photo and depth map, since each is the first file of a folder."""
        return [photo, depth]

    @property
    def files(self) -> list[Path]:
        """Photos, depth maps and cameras."""
        return super().files + [depth.parents[1] / INTRINSICS for _, _, depth in self.pairs]

    def focal_px(self, index: int) -> float:
        """Read the focal length of a frame."""
        return float(read_matrix(self.pairs[index][2].parents[1] / INTRINSICS)[0])

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where the sensor measured nothing, infinite beyond FARTHEST_M."""
        turned = self.read_16_bit(depth)
        depth_m = (turned >> TURNED_BITS | turned << BITS - TURNED_BITS).astype(np.float32) / 1000
        return np.where(depth_m > FARTHEST_M, np.float32(np.inf), depth_m)


def root_of(path: Path) -> Path:
    """Return the folder of the sensors: `path`, or its SUNRGBD/."""
    return path / "SUNRGBD" if (path / "SUNRGBD").is_dir() else path


def lists_of(root: Path) -> Path | None:
    """Return the authors' lists in the folder of the sensors, or in the one above it; None if they are in neither."""
    return next((file for folder in (root, root.resolve().parent) if (file := folder / LISTS).is_file()), None)


def official(lists: Path, split: str) -> list[str]:
    """Return the names of the frames of `train` or `test`. Raises HqmdError without scipy, or for another file."""
    require("scipy", f"reading {lists.name}")
    from scipy.io import loadmat  # which takes a tenth of a second, and is an extra

    try:
        folders = [str(cell[0]) for cell in loadmat(lists)[f"all{split}"].ravel()]
    except (KeyError, IndexError, TypeError, ValueError, OSError) as error:
        raise HqmdError(f"{lists}: no lists of SUN RGB-D: {first_line(error)}; unpack it again") from error
    return sorted(folder.partition("SUNRGBD/")[2].strip("/") for folder in folders)


def only(folder: Path, pattern: str) -> Path:
    """Return the first file in a frame's folder, as the authors' reader does; a name to complain about if none is."""
    return next(iter(sorted(folder.glob(pattern))), folder / pattern)
