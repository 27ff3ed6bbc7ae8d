"""DIODE: photos of 1024 x 768 with a laser scanner's depth, indoors and outdoor. Vasiljevic et al., arXiv 1908.00463.

The archives train.tar.gz and val.tar.gz as published: SPLIT/indoors|outdoor/scene_00019/scan_00183/NAME.png with
NAME_depth.npy, (H, W, 1) metres, and NAME_depth_mask.npy, (H, W) with 1 where the scanner saw something. After the
readme and diode.py of https://github.com/diode-dataset/diode-devkit
"""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data import WHOLE
from hqmd_cli.data.published_layout import PublishedPairs, require_files
from hqmd_cli.data.sample import GroundTruth
from hqmd_cli.errors import HqmdError

SCENES = ("indoors", "outdoor")
ARCHIVES = ("train", "val", "test")
DEPTH_SUFFIX, MASK_SUFFIX = "_depth.npy", "_depth_mask.npy"


class Diode(PublishedPairs):
    """One split, or its indoor or outdoor half: `val`, `val-indoors`; of one archive alone `indoors`, `all`."""

    title = "DIODE"
    layout = "[train|val/]indoors|outdoor/scene_NNNNN/scan_NNNNN/"
    split_help = "DIODE's are its archives and their halves, such as val, val-indoors and val-outdoor"

    @staticmethod
    def recognises(path: Path) -> bool:
        """By its scenes in the path itself, or the folders of its two kinds of scenes there or in an archive below."""
        return bool(scene_folders(path))

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Those there are."""
        return [*scene_folders(path), WHOLE]

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        folders = scene_folders(path)
        chosen = (
            sorted({folder for listed in folders.values() for folder in listed}) if split == WHOLE else folders[split]
        )
        depths = sorted(file for folder in chosen for file in folder.glob(f"scene_*/scan_*/*{DEPTH_SUFFIX}"))
        stems = [str(depth).removesuffix(DEPTH_SUFFIX) for depth in depths]
        photos, masks = ([Path(f"{stem}{suffix}") for stem in stems] for suffix in (".png", MASK_SUFFIX))
        require_files(path, photos + masks, self.title, "unpack its archive again")
        pairs = [
            (photo.relative_to(path).with_suffix("").as_posix(), photo, depth)
            for photo, depth in zip(photos, depths, strict=True)
        ]
        super().__init__(path, split, pairs, ground_truth, depth_scale)

    @property
    def files(self) -> list[Path]:
        """Masks, too."""
        return super().files + [mask_of(depth) for _, _, depth in self.pairs]

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """(H, W) metres, 0 where the mask says that there is none."""
        depth_m, mask = read_array(depth), read_array(mask_of(depth))
        if mask.shape != depth_m.shape:
            raise HqmdError(f"{depth}: the depth is {depth_m.shape}, its mask {mask.shape}; unpack the archive again")
        return np.where(mask > 0, depth_m, 0).astype(np.float32)


def mask_of(depth: Path) -> Path:
    """Where the mask of a depth map lies."""
    return depth.with_name(depth.name.removesuffix(DEPTH_SUFFIX) + MASK_SUFFIX)


def scene_folders(path: Path) -> dict[str, list[Path]]:
    """Split -> its folders of scenes, for those that exist."""
    if any(path.glob("scene_*/scan_*")):  # one half of one archive by itself
        return {path.resolve().name: [path]}
    here = {scene: [path / scene] for scene in SCENES if (path / scene).is_dir()}
    for archive in ARCHIVES:
        if halves := [path / archive / scene for scene in SCENES if (path / archive / scene).is_dir()]:
            here |= {archive: halves} | {f"{archive}-{half.name}": [half] for half in halves}
    return here


def read_array(path: Path) -> NDArray[np.number]:
    """An array of (H, W) or (H, W, 1) numbers as (H, W). Raises HqmdError naming the file when it is none."""
    try:
        values = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise HqmdError(f"{path}: cannot be read: {error}; unpack the archive again") from error
    values = values[..., 0] if values.ndim == 3 and values.shape[2] == 1 else values
    if values.ndim != 2 or values.dtype.kind not in "buif":
        raise HqmdError(f"{path}: {values.shape} {values.dtype}, DIODE's arrays are (H, W) or (H, W, 1) numbers")
    return values
