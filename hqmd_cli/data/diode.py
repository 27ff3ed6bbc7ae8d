"""DIODE: photos of 1024 x 768 with laser scanner depth, indoors and outdoors. Vasiljevic et al., arXiv 1908.00463.

The archives train.tar.gz and val.tar.gz as published: SPLIT/indoors|outdoor/scene_00019/scan_00183/NAME.png with
NAME_depth.npy, (H, W, 1) metres, and NAME_depth_mask.npy, (H, W), 1 where the scanner measured. Layout after the readme
and diode.py of https://github.com/diode-dataset/diode-devkit
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.published_layout import PublishedPairs, in_any_format
from hqmd_cli.data.sample import WHOLE, GroundTruth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import read_npy

SCENES = ("indoors", "outdoor")
ARCHIVES = ("train", "val", "test")
PHOTO_SUFFIX, DEPTH_SUFFIX, MASK_SUFFIX = ".png", "_depth.npy", "_depth_mask.npy"


class Diode(PublishedPairs):
    """One archive such as `val`, one half of it such as `val-indoors`; of a lone archive `indoors` or `all`."""

    title = "DIODE"
    home = "https://diode-dataset.org"
    licence = "MIT, as far as known (LICENSE of the devkit)"
    layout = "[train|val/]indoors|outdoor/scene_NNNNN/scan_NNNNN/"
    split_help = "DIODE's are its archives and their halves, such as val, val-indoors and val-outdoor"
    published_as = PHOTO_SUFFIX
    remedy = "unpack its archive again"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        folders = scene_folders(path)
        chosen = sorted(set().union(*folders.values())) if split == WHOLE else folders[split]
        depths = sorted(file for folder in chosen for file in folder.glob(f"scene_*/scan_*/*{DEPTH_SUFFIX}"))
        pairs = [(name_of(path, depth), in_any_format(with_suffix(depth, PHOTO_SUFFIX)), depth) for depth in depths]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        self.scenes = {name: name.partition("/scan_")[0] for name in self.names}

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if scenes lie in `path`, in indoors/ or outdoor/ below it, or in an archive below it."""
        return bool(scene_folders(path))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the splits on disk, and `all`."""
        return [*scene_folders(path), WHOLE]

    def needed(self, photo: Path, depth: Path) -> list[Path]:
        """Return photo and mask."""
        return [photo, with_suffix(depth, MASK_SUFFIX)]

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where the mask excludes the pixel."""
        depth_m, mask = read_array(depth), read_array(with_suffix(depth, MASK_SUFFIX))
        if mask.shape != depth_m.shape:
            raise HqmdError(f"{depth}: the depth is {depth_m.shape}, its mask {mask.shape}; unpack the archive again")
        return np.where(mask > 0, depth_m, 0).astype(np.float32)


def name_of(path: Path, depth: Path) -> str:
    """Return the name of a picture: its path below the folder, without suffix."""
    return with_suffix(depth, "").relative_to(path).as_posix()


def with_suffix(depth: Path, suffix: str) -> Path:
    """Return the file that belongs to NAME_depth.npy: NAME and `suffix`."""
    return depth.with_name(depth.name.removesuffix(DEPTH_SUFFIX) + suffix)


def scene_folders(path: Path) -> dict[str, list[Path]]:
    """Map each split on disk to its folders of scenes."""
    if any(path.glob("scene_*/scan_*")):  # one half of one archive
        return {path.resolve().name: [path]}
    found = {scene: [path / scene] for scene in SCENES if (path / scene).is_dir()}
    for archive in ARCHIVES:
        if halves := [path / archive / scene for scene in SCENES if (path / archive / scene).is_dir()]:
            found |= {archive: halves} | {f"{archive}-{half.name}": [half] for half in halves}
    return found


def read_array(path: Path) -> NDArray[np.number]:
    """Read an array of (H, W) or (H, W, 1) numbers as (H, W). Raises HqmdError naming the file for anything else."""
    try:
        values = read_npy(path)
    except (OSError, ValueError, EOFError) as error:
        raise HqmdError(f"{path}: cannot be read: {error}; unpack the archive again") from error
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise HqmdError(f"{path}: {values.shape} {values.dtype}, DIODE's arrays are (H, W) or (H, W, 1) numbers")
    return values
