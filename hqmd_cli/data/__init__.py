"""Datasets, by the path that the user gives. A new dataset is one file, and one line in DATASETS.

The class follows the contract of `hqmd_cli.data.sample.FileDataset`. A key that ends in a slash is a layout of a
folder, which the class recognises; any other key is the suffix of a file.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.errors import HqmdError, complain
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.registry import Registry, resolve

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset, FileDataset

DATASETS = Registry(
    "hqmd.datasets",
    {
        ".mat": "hqmd_cli.data.nyu:NyuMat",
        ".csv": "hqmd_cli.data.lists:PairList",
        ".tsv": "hqmd_cli.data.lists:PairList",
        ".txt": "hqmd_cli.data.lists:PairList",
        "KITTI/": "hqmd_cli.data.kitti:KittiDepth",
        "iBims-1/": "hqmd_cli.data.ibims:Ibims",
        "DIODE/": "hqmd_cli.data.diode:Diode",
        "TUM RGB-D/": "hqmd_cli.data.tum:TumRgbd",
        "ETH3D/": "hqmd_cli.data.eth3d:Eth3d",
        "Sintel/": "hqmd_cli.data.sintel:Sintel",
        "SUN RGB-D/": "hqmd_cli.data.sun_rgbd:SunRgbd",
        "Hypersim/": "hqmd_cli.data.hypersim:Hypersim",
        "ScanNet/": "hqmd_cli.data.scannet:ScanNet",
        "SYNS-Patches/": "hqmd_cli.data.syns:SynsPatches",
        "MoGe/": "hqmd_cli.data.moge:MoGeSet",
        "NYU's raw recordings/": "hqmd_cli.data.nyu_raw.recordings:NyuRaw",
        "pairs/": "hqmd_cli.data.pairs:PairFolder",
    },
    needs=("recognises", "splits"),
)

LIKE_PAIRS = {"iBims-1/", "TUM RGB-D/", "Sintel/", "ScanNet/"}
NYU_FILE = "nyu_depth_v2_labeled.mat"
NYU_URL = f"https://horatio.cs.nyu.edu/mit/silberman/nyu_depth_v2/{NYU_FILE}"


def open_dataset(
    path: Path, split: str, ground_truth: str = "filled", depth_scale: float | None = None
) -> "FileDataset":
    """Open one split of the data at `path`.

    `ground_truth` ("raw", else filled) selects the depth in a file that holds both. `depth_scale` states the units per
    metre of depth files that do not say. Raises HqmdError if the path, the split or the unit is wrong.
    """
    reader = find_reader(path)
    if split not in (splits := reader.splits(path)):
        raise HqmdError(f"{path}: no split {split!r}, there are: {', '.join(splits)}; {reader.split_help}")
    return reader(path, split, "raw" if ground_truth == "raw" else "filled", depth_scale)


def open_training_data(
    data: Path, val_data: Path | None = None, val_ground_truth: str = "filled", depth_scale: float | None = None
) -> "tuple[FileDataset, FileDataset]":
    """Open the `train` split of `data`, and the `val` split of `val_data` or else of `data`.

    If `val_data` is given, data without that split is opened as a whole. Raises HqmdError if a photo is in both.
    """
    reader = find_reader(data)
    if val_data is None and not {"train", "val"} <= set(splits := reader.splits(data)):
        raise HqmdError(
            f"{data}: training needs splits train and val, there are: {', '.join(splits)}; {reader.split_help}, or "
            "validate on other data with --val-data"
        )
    seen = open_split_or_all(data, "train", "filled", depth_scale)
    held_out = open_split_or_all(val_data or data, "val", val_ground_truth, depth_scale)
    refuse_shared(seen, held_out)
    return seen, held_out


def open_extra_data(path: Path, held_out: "Dataset", depth_scale: float | None = None) -> "FileDataset":
    """Open the `train` split at `path`, or all of it. Raises HqmdError if a photo is in `held_out`, too."""
    extra = open_split_or_all(path, "train", "filled", depth_scale)
    refuse_shared(extra, held_out)
    return extra


def refuse_shared(seen: "Dataset", held_out: "Dataset") -> None:
    """Raise HqmdError if a photo is in both datasets."""
    if both := set(seen.photos) & set(held_out.photos):
        raise HqmdError(f"{len(both)} photos are in the training and the validation data, such as {min(both)}")


def open_split_or_all(path: Path, split: str, ground_truth: str, depth_scale: float | None) -> "FileDataset":
    """Open a split, or all of the data if it has no split of that name."""
    chosen = split if split in find_reader(path).splits(path) else "all"
    return open_dataset(path, chosen, ground_truth, depth_scale)


def find_reader(path: Path) -> "type[FileDataset]":
    """Return the dataset class for a path. Raises HqmdError if the path does not exist or fits no class."""
    if not path.exists():
        raise HqmdError(f"{path}: no such file or folder")
    if path.is_dir():
        return resolve(DATASETS, layout_of(path), "kind of data")
    try:
        return resolve(DATASETS, path.suffix.lower(), "kind of data")
    except HqmdError as error:
        raise HqmdError(f"{path}: {error}") from error


def layout_of(path: Path) -> str:
    """Return the key in DATASETS for a folder. Raises HqmdError if no layout fits, or several do."""
    readers = folder_readers()
    fitting = [name for name, reader in readers.items() if reader.recognises(path)]
    if not fitting and DATASETS.extend():
        readers = folder_readers()
        fitting = [name for name, reader in readers.items() if reader.recognises(path)]
    if len(fitting) > 1 and "pairs/" in fitting and LIKE_PAIRS & set(fitting):
        fitting.remove("pairs/")  # their rgb/ or depth/ look like pairs, but masks, times and unit matter
    if not fitting:
        from hqmd_cli.data.pairs import near_miss

        layouts = "; ".join(f"{name.rstrip('/')}: {reader.layout}" for name, reader in readers.items())
        close = "".join(near_miss(path / part) for part in ("rgb", "depth"))
        raise HqmdError(f"{path}: no data in a known layout: {layouts}{close}")
    if len(fitting) > 1:
        names = ", ".join(name.rstrip("/") for name in fitting)
        raise HqmdError(f"{path}: data in several layouts ({names}); give the folder of one of them")
    return fitting[0]


def folder_readers() -> "dict[str, type[FileDataset]]":
    """Return the class of each layout of folders; those of other packages that cannot be imported are named."""
    readers = {}
    for name in [name for name in DATASETS if name.endswith("/")]:
        try:
            readers[name] = resolve(DATASETS, name, "kind of data")
        except HqmdError as error:
            complain(error)
            del DATASETS[name]
    return readers


def published_sets() -> "list[type[FileDataset]]":
    """Return the classes of all sets that hqmd reads as their authors publish them."""
    DATASETS.extend()
    readers = [resolve(DATASETS, ".mat", "kind of data"), *folder_readers().values()]
    return [reader for reader in readers if reader.home]


def default_data() -> Path:
    """Return the data to use without `--data`: $HQMD_DATA, or else the downloaded NYU file.

    Raises HqmdError that says how to get it if neither exists.
    """
    if stated := os.environ.get("HQMD_DATA"):
        if not Path(stated).exists():
            raise HqmdError(f"HQMD_DATA={stated}: no such file or folder")
        return Path(stated)
    if (downloaded := downloaded_nyu()).is_file():
        return downloaded
    raise HqmdError(
        f"no data: pass --data FILE.mat|FOLDER|LIST.csv or set HQMD_DATA; `hqmd data nyu` downloads NYU Depth V2 "
        f"(3.0 GB, {NYU_URL}) to {downloaded}, where hqmd finds it"
    )


def downloaded_nyu() -> Path:
    """Return the path at which hqmd looks for NYU's labelled file."""
    return hqmd_home() / NYU_FILE
