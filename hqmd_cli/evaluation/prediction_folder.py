"""Depth predictions that any tool has written into a folder, one file a picture, as something that can be judged.

Nothing is guessed: a picture without its file or with two, a unit that the numbers leave open, and a size other than
the truth's are refused with the remedy. What the numbers themselves give away (disparities, millimetres, mirrored
maps, files in another order) is found by checks.py.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.data.depth_unit import find_depth_scale
from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import DEPTH_READERS, is_colour, read_depth_file, read_picture
from hqmd_cli.units import KINDS, NEEDED_FIT, Kind

Resize = Literal["bilinear"]

# What the numbers of files mean, for a caption.
MEANINGS: dict[Kind, str] = {
    "depth": "depth",
    "disparity": "disparity as stored, larger is nearer, no metres",
    "relative": "relative depth as stored, larger is farther, no metres",
}
# What tools put behind a picture's name, as in room.mm.png or room_depth.npy.
MARKER = re.compile(r"[._-](mm|depth|pred|prediction|disp|disparity|raw)$", re.IGNORECASE)
NOT_METRES = ", or, where these are no metres at all, say so with --pred-kind disparity or relative"


class PredictionFolder:
    """The predictions for the pictures `names` of a dataset: `folder(sample)` is the map for a sample.

    kind="depth" (the default) hands over metres; `scale` states how many of the files' units are one, where the files
    leave it open. The others hand over the numbers as stored, as float32 and without a unit: they claim no metres, and
    can only be judged after the fit of `needed_fit`. A disparity is therefore fitted as one, and inverted after that.

    Raises HqmdError when the folder has not one file a picture, the unit is open, or `scale` and `kind` contradict.
    """

    def __init__(
        self,
        folder: Path,
        names: Sequence[str],
        scale: float | None = None,
        kind: Kind = "depth",
        resize: Resize | None = None,
    ) -> None:
        if kind not in KINDS:
            raise HqmdError(f"no kind of prediction named {kind!r}; there are: {', '.join(KINDS)}")
        if kind != "depth" and scale is not None:
            raise HqmdError(
                f"--pred-scale states metres, but a prediction of kind {kind} has none; leave one of them out"
            )
        if resize not in (None, "bilinear"):
            raise HqmdError(f"no way to resize named {resize!r}; there is: bilinear")
        self.kind, self.resize = kind, resize
        self.files = find_predictions(folder, names)
        self.units_per_metre = 1.0
        meaning = MEANINGS[kind]
        if kind == "depth":
            files = list(self.files.values())
            self.units_per_metre, origin = find_depth_scale(files, scale, read_depth_file, "--pred-scale", NOT_METRES)
            meaning = f"depth / {self.units_per_metre:g} ({origin})"
        self.description = f"{folder.name}, {meaning}{', resized bilinearly' if resize else ''}"  # for a caption
        if unused := unused_files(folder, names):
            self.description += f", {len(unused)} other files there not used, such as {unused[0]}"

    @property
    def needed_fit(self) -> str | None:
        """The fit to the truth without which these cannot be judged, in words; None for metres."""
        return NEEDED_FIT[self.kind]

    def read(self, name: str) -> NDArray[np.float32]:
        """The prediction for a picture, (H, W) of the file's size: metres, or for other kinds the numbers as stored.

        NaN, zero and negative values stay: suspicions.fault explains them. Raises HqmdError when the file cannot be
        read.
        """
        with np.errstate(over="ignore"):  # what is too large becomes infinite
            values = read_depth_file(self.files[name]).astype(np.float32)
        return values / np.float32(self.units_per_metre)

    def __call__(self, sample: Sample) -> NDArray[np.float32]:
        """`read` at the size of the sample's truth. Raises HqmdError for another size where `resize` was not asked."""
        values = self.read(sample.name)
        if values.shape == sample.depth_m.shape:
            return values
        (height, width), (true_height, true_width) = values.shape, sample.depth_m.shape
        sizes = (
            f"{self.files[sample.name]}: the prediction is {width} x {height}, the truth {true_width} x {true_height}"
        )
        if (width - height) * (true_width - true_height) < 0:
            raise HqmdError(f"{sizes}: it lies on its side; turn it, or swap its axes, before it is written")
        if self.resize is None:
            raise HqmdError(f"{sizes}; write it at that size, or pass --pred-resize bilinear")
        # Pixel centres at half-integers, as in torch with align_corners=False.
        return cv2.resize(values, (true_width, true_height), interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def find_predictions(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Name -> its file, in the order of `names`. Raises HqmdError unless there is exactly one for each.

    A file belongs to a picture by its name without suffix and MARKER, where the folders of the picture's name are among
    its own, in order: `drive/image_02/0005` is `drive/image_02/data/0005.png` as well. Right in `folder`, where a
    tool has written all into one place, `0005.png` (if no other picture is called so) and `drive_image_02_0005.png` do.
    """
    if not folder.is_dir():
        raise HqmdError(
            f"{folder}: {'no folder, but a file' if folder.exists() else 'no such folder'}; --pred takes one"
        )
    if twins := [name for name, count in Counter(names).items() if count > 1]:
        raise HqmdError(
            f"{len(twins)} names stand for several pictures of the data, such as {twins[0]}, so files cannot be told "
            "apart by them; rename the photos"
        )
    depth_files, other_suffixes = files_below(folder)
    if not depth_files:
        others = f"there are {', '.join(sorted(other_suffixes))}" if other_suffixes else "it is empty"
        raise HqmdError(f"{folder}: no depth maps ({', '.join(DEPTH_READERS)}) in it, {others}")
    found = match(depth_files, names)
    if not found:
        raise HqmdError(
            f"{folder}: none of its {len(depth_files)} files has a picture's name: there is {depth_files[0]}, the data "
            f"has {names[0]}; name each after its picture, such as {names[0]}.npy"
        )
    if missing := [name for name in names if name not in found]:
        raise HqmdError(
            f"{folder}: no prediction for {len(missing)} of {len(names)} pictures, such as {missing[0]}; write them, "
            "or judge a --split that has all"
        )
    return {name: folder / only_one(folder, name, found[name]) for name in names}


def unused_files(folder: Path, names: Sequence[str]) -> list[PurePosixPath]:
    """The depth maps below `folder` that are no picture's."""
    depth_files, _ = files_below(folder)
    used = {file for files in match(depth_files, names).values() for file in files}
    return [file for file in depth_files if file not in used]


def files_below(folder: Path) -> tuple[list[PurePosixPath], set[str]]:
    """Depth maps by their paths below `folder`, sorted, and the suffixes of all other files."""
    depth_files, others = [], set()
    for place, _, files in os.walk(folder):
        for file in files:
            path = Path(place, file).relative_to(folder)
            if path.suffix.lower() in DEPTH_READERS:
                depth_files.append(PurePosixPath(path))
            else:
                others.add(path.suffix.lower() or "files without suffix")
    return sorted(depth_files), others


def match(files: Sequence[PurePosixPath], names: Sequence[str]) -> Mapping[str, list[PurePosixPath]]:
    """Name -> the files that could be its prediction; without the names that have none."""
    by_stem, flat = defaultdict(list), {name.replace("/", "_"): name for name in names}
    for name in names:
        by_stem[PurePosixPath(name).name].append(name)
    found = defaultdict(list)
    for file in files:
        for stem in stems_of(file):
            fitting = [name for name in by_stem[stem] if is_within(PurePosixPath(name).parts[:-1], file.parts[:-1])]
            if not fitting and len(file.parts) == 1:
                fitting = by_stem[stem] if len(by_stem[stem]) == 1 else [flat[stem]] if stem in flat else []
            if fitting:
                found[max(fitting, key=len)].append(file)  # of a/x and a/b/x the one that says more
                break
    return found


def stems_of(file: PurePosixPath) -> Iterator[str]:
    """The names that a file may be meant for, the longest first: a picture may itself be called room_depth."""
    stem = file.stem
    yield stem
    while MARKER.search(stem):
        stem = MARKER.sub("", stem)
        yield stem


def is_within(parts: Sequence[str], folders: Sequence[str]) -> bool:
    """Whether all parts are among the folders, in this order."""
    rest = iter(folders)
    return all(part in rest for part in parts)


def only_one(folder: Path, name: str, files: Sequence[PurePosixPath]) -> PurePosixPath:
    """The only file that can hold depth. Raises HqmdError naming two of them where there are several."""
    if len(files) > 1:  # many tools, this one too, write a picture in colours beside the numbers
        files = [file for file in files if not is_colour_picture(folder / file)] or files
    if len(files) > 1:
        raise HqmdError(
            f"{folder}: {len(files)} files could be the prediction for {name}: {files[0]} and {files[1]}; keep one "
            "a picture, or name the folder below that has one"
        )
    return files[0]


def is_colour_picture(path: Path) -> bool:
    """Whether a file is a picture in colours, by its header; False for what cannot be opened, which is told later."""
    if DEPTH_READERS[path.suffix.lower()] is not read_picture:
        return False
    try:
        with Image.open(path) as picture:
            return is_colour(picture)
    except Exception:  # damaged files make Pillow raise all sorts
        return False
