"""KITTI depth benchmark: street photos with laser depth accumulated over eleven frames. Uhrig et al., 3DV 2017.

The archives as published, unpacked into one folder:
    train|val/2011_09_26_drive_0001_sync/proj_depth/groundtruth/image_02/0000000005.png     data_depth_annotated.zip
    [depth_selection/]val_selection_cropped/{image,groundtruth_depth}/*.png                 data_depth_selection.zip
The first archive has no photos. They are part of KITTI's raw data,
2011_09_26/2011_09_26_drive_0001_sync/image_02/data/0000000005.png, which may lie in the same folder, in raw/ inside or
beside it, or merged into the drives of train/ and val/.

Depth has 16 bits, 256 = 1 m, 0 = unknown (readme of KITTI's depth devkit). Drives are read from the left camera only
(image_02), the selection from both cameras, as in the benchmark's own validation.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.pairs import Pair
from hqmd_cli.data.published_layout import PublishedPairs, in_any_format
from hqmd_cli.data.sample import WHOLE, GroundTruth

UNITS_PER_METRE = 256
CAMERA = "image_02"
DRIVES = f"*_sync/proj_depth/groundtruth/{CAMERA}"
SELECTIONS = (".", "val_selection_cropped", "depth_selection/val_selection_cropped")
SELECTION_DEPTH = "groundtruth_depth"


class KittiDepth(PublishedPairs):
    """One split: `train`, `val`, or `selection`, the 1000 frames of 1216 x 352 that the benchmark validates on."""

    title = "KITTI depth"
    home = "https://www.cvlibs.net/datasets/kitti/eval_depth.php?benchmark=depth_prediction"
    licence = "CC BY-NC-SA 3.0, as far as known"
    layout = f"train|val/DRIVE_sync/proj_depth/groundtruth/{CAMERA}/, or val_selection_cropped/"
    split_help = "KITTI's are train, val and selection, as unpacked"
    published_as = ".png"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        drives = drive_folders(path)
        selection = selection_folder(path)
        if selection is not None and (split == "selection" or not drives):
            pairs = selected_pairs(selection)
        else:
            folders = [folder for part in drives.values() for folder in part] if split == WHOLE else drives[split]
            pairs = [pair for folder in folders for pair in drive_pairs(path, folder)]
        super().__init__(path, split, pairs, ground_truth, depth_scale)
        self.scenes = {name: name.partition("_sync")[0] for name in self.names}  # the drive

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if there are drives, or the selection."""
        return bool(drive_folders(path)) or selection_folder(path) is not None

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the splits on disk, and `all`: the drives of every split, or the selection if there are no drives."""
        selection = ["selection"] if selection_folder(path) else []
        return [*(split for split in drive_folders(path) if split != WHOLE), *selection, WHOLE]

    def complain(self, path: Path, needed: Mapping[Pair, list[Path]], absent: Mapping[Pair, list[Path]]) -> str:
        """Say which photos are missing, and what to unpack."""
        return explain_missing(list(absent), list(needed))

    def read_depth_m(self, depth: Path) -> NDArray[np.float32]:
        """Read a depth map: (H, W) metres, 0 where the laser measured nothing."""
        return self.read_16_bit_m(depth, UNITS_PER_METRE)


def drive_folders(path: Path) -> dict[str, list[Path]]:
    """Map each split to the depth folders of its drives; `all` stands for drives directly in `path`."""
    parts = {"train": path / "train", "val": path / "val", WHOLE: path}
    return {split: folders for split, part in parts.items() if (folders := sorted(part.glob(DRIVES)))}


def selection_folder(path: Path) -> Path | None:
    """Return the folder of the selection, or None."""
    return next((path / place for place in SELECTIONS if (path / place / SELECTION_DEPTH).is_dir()), None)


def drive_pairs(path: Path, depths: Path) -> list[Pair]:
    """Return the pairs of one drive, named DRIVE/image_02/FRAME. Photos that are missing have the path of raw data."""
    drive = depths.parents[2]
    in_raw = Path(drive.name[: len("2011_09_26")], drive.name)
    above = path.resolve().parent
    places = [drive, *(root / in_raw for root in (path, path / "raw", above, above / "raw"))]
    folders = [place / CAMERA / "data" for place in places]
    photos = next((folder for folder in folders if folder.is_dir()), folders[2])
    return [
        (f"{drive.name}/{CAMERA}/{depth.stem}", in_any_format(photos / depth.name), depth)
        for depth in sorted(depths.glob("*.png"))
    ]


def explain_missing(missing: list[Pair], pairs: list[Pair]) -> str:
    """Say which photos are missing, and what to unpack."""
    _, photo, depth = missing[0]
    folder = photo.parent
    if folder.name == "image":
        return f"{photo}: no such photo for {depth.name}; unpack data_depth_selection.zip again"
    if not folder.is_dir():
        drive = depth.parents[3]
        return f"{drive}: its photos are missing; unpack the raw data of {drive.name} so that {folder} exists"
    gone = sum(pair[1].parent == folder for pair in missing)
    total = sum(pair[1].parent == folder for pair in pairs)
    return (
        f"{folder}: no photo for {gone} of {total} depth maps, such as {photo.name}; "
        "unpack the raw data of this drive again (synced and rectified)"
    )


def selected_pairs(selection: Path) -> list[Pair]:
    """Return the pairs of the selection, named after the photos. Those that are missing have the archive's name."""
    pairs = []
    for depth in sorted((selection / SELECTION_DEPTH).glob("*.png")):
        # In the archive photos are called ..._sync_image_...; in the readme they have the name of their depth map.
        candidates = [selection / "image" / depth.name.replace(f"_sync_{SELECTION_DEPTH}_", "_sync_image_")]
        candidates.append(selection / "image" / depth.name)
        found = map(in_any_format, candidates)
        photo = next((photo for photo in found if photo.is_file()), candidates[0])
        pairs.append((photo.stem, photo, depth))
    return pairs
