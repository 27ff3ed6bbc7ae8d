"""Datasets by what their path looks like. A new one is one file and one line here.

A dataset class takes (path, split, ground_truth, depth_scale), follows data.sample.Dataset, and knows the
`splits` of a path and, in `split_help`, how the user makes one. Those whose name ends in a slash read a folder: they
say in `layout` how its files lie, and by `recognises(path)` whether one is theirs.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.registry import resolve

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset

DATASETS = {
    ".mat": "hqmd_cli.data.nyu:NyuMat",
    ".csv": "hqmd_cli.data.lists:PairList",
    ".tsv": "hqmd_cli.data.lists:PairList",
    ".txt": "hqmd_cli.data.lists:PairList",
    "KITTI/": "hqmd_cli.data.kitti:KittiDepth",
    "iBims-1/": "hqmd_cli.data.ibims:Ibims",
    "DIODE/": "hqmd_cli.data.diode:Diode",
    "NYU's raw recordings/": "hqmd_cli.data.nyu_raw.recordings:NyuRaw",
    "pairs/": "hqmd_cli.data.pairs:PairFolder",
}

WHOLE = "all"  # the split of files that list none

NYU_FILE = "nyu_depth_v2_labeled.mat"
NYU_URL = f"https://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/{NYU_FILE}"


def open_dataset(path: Path, split: str, ground_truth: str = "filled", depth_scale: float | None = None) -> "Dataset":
    """Open one split of the data at `path`.

    `ground_truth` ("filled" or "raw") chooses between the depths of a file that holds both; `depth_scale` states how
    many units of a depth file are one metre where the files leave it open. Raises HqmdError when the path,
    the split or the unit is wrong.
    """
    reader = find_reader(path)
    if split not in (splits := reader.splits(path)):
        raise HqmdError(f"{path}: no split {split!r}, there are: {', '.join(splits)}; {reader.split_help}")
    return reader(path, split, ground_truth, depth_scale)


def open_training_data(
    data: Path, val_data: Path | None = None, val_ground_truth: str = "filled", depth_scale: float | None = None
) -> "tuple[Dataset, Dataset]":
    """The `train` split of `data` and the `val` split of `val_data` (of `data` where that is None).

    Data given as two places may have no splits of its own: then each is taken whole. Raises HqmdError where a photo
    would be validated on that was trained on.
    """

    reader = find_reader(data)
    if val_data is None and not {"train", "val"} <= set(splits := reader.splits(data)):
        raise HqmdError(
            f"{data}: training needs splits train and val, there are: {', '.join(splits)}; {reader.split_help}, or "
            "validate on other data with --val-data"
        )
    seen = open_or_whole(data, "train", "filled", depth_scale)
    held_out = open_or_whole(val_data or data, "val", val_ground_truth, depth_scale)
    refuse_shared(seen, held_out)
    return seen, held_out


def open_extra_data(path: Path, held_out: "Dataset", depth_scale: float | None = None) -> "Dataset":
    """The `train` split of further data, or all of it. Raises HqmdError as open_training_data does."""
    extra = open_or_whole(path, "train", "filled", depth_scale)
    refuse_shared(extra, held_out)
    return extra


def open_or_whole(path: Path, split: str, ground_truth: str, depth_scale: float | None) -> "Dataset":
    """A split where there is one of that name, else everything."""
    chosen = split if split in find_reader(path).splits(path) else WHOLE
    return open_dataset(path, chosen, ground_truth, depth_scale)


def refuse_shared(seen: "Dataset", held_out: "Dataset") -> None:
    """Raise HqmdError where a photo would be validated on that was trained on."""
    if both := set(seen.photos) & set(held_out.photos):
        raise HqmdError(f"{len(both)} photos are in the training and the validation data, such as {min(both)}")


def find_reader(path: Path) -> Any:
    """The dataset class for a path. Raises HqmdError when there is nothing, or nothing known."""
    if not path.exists():
        raise HqmdError(f"{path}: no such file or folder")
    return resolve(DATASETS, kind_of_folder(path) if path.is_dir() else path.suffix.lower(), "kind of data")


def kind_of_folder(path: Path) -> str:
    """The key in DATASETS for a folder. Raises HqmdError where its layout is not known, or there are several in it."""
    readers = {name: resolve(DATASETS, name, "kind of data") for name in DATASETS if name.endswith("/")}
    fitting = [name for name, reader in readers.items() if reader.recognises(path)]
    if "iBims-1/" in fitting and "pairs/" in fitting:  # it is pairs, too, but in a unit of its own and with masks
        fitting.remove("pairs/")
    if not fitting:
        layouts = "; ".join(f"{name.rstrip('/')}: {reader.layout}" for name, reader in readers.items())
        raise HqmdError(f"{path}: no data in a layout that is known: {layouts}")
    if len(fitting) > 1:
        raise HqmdError(
            f"{path}: data in several layouts ({', '.join(name.rstrip('/') for name in fitting)}); give the folder of "
            "one"
        )
    return fitting[0]


def default_data() -> Path:
    """Where the data lies when `--data` is not given: $HQMD_DATA, else the cached official NYU file.

    Raises HqmdError saying how to get it where there is neither.
    """
    if stated := os.environ.get("HQMD_DATA"):
        if not Path(stated).exists():
            raise HqmdError(f"HQMD_DATA={stated}: no such file or folder")
        return Path(stated)
    if (cached := cached_nyu()).is_file():
        return cached
    raise HqmdError(
        f"no data: pass --data FILE.mat|FOLDER|LIST.csv or set HQMD_DATA; NYU Depth V2 (3.0 GB) is at {NYU_URL}; "
        f"`hqmd data nyu` gets it, and it is found by itself as {cached}"
    )


def cached_nyu() -> Path:
    """Where NYU's labelled file is found by itself."""
    return hqmd_home() / NYU_FILE
