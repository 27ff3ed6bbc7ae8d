"""Read depth predictions that any tool has written into a folder, one file a picture, and check them while reading.

Nothing is guessed: a picture without a file or with two, a unit that the numbers leave open, and a size other than the
truth's are refused with the remedy. sanity/ finds disparities, millimetres, mirrored maps and files in another order.
"""

import os
import re
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.depth_unit import find_depth_scale
from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.omissions import Omissions
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.sanity.checks import Examination
from hqmd_cli.files.depth_files import DEPTH_READERS, is_colour, read_depth_values, read_picture
from hqmd_cli.files.open_picture import open_picture
from hqmd_cli.files.regular import file_hash
from hqmd_cli.units import KINDS, Kind

Resize = Literal["bilinear"]

EARLY = 10  # pictures after which a wrong set is noticed

# What the numbers of files mean, for a caption.
MEANINGS: dict[Kind, str] = {
    "depth": "depth",
    "disparity": "disparity as stored, larger is nearer, no metres",
    "relative": "relative depth as stored, larger is farther, no metres",
}
# Suffixes that tools append to a picture's name, as in room.mm.png or room_depth.npy.
MARKER = re.compile(r"[._-](mm|depth|pred|prediction|disp|disparity|raw)$", re.IGNORECASE)
NOT_METRES = ", or, if these are not metres at all, pass --pred-kind disparity or relative"


@dataclass(frozen=True)
class FolderOptions:
    """Options for reading folders of predictions, see PredictionFolder; `score_anyway`: despite complaints."""

    scale: float | None = None
    kind: str = "depth"
    resize: str | None = None
    score_anyway: bool = False


class PredictionFolder:
    """The predictions for the pictures `names` of a dataset: `folder(sample)` is the map for a sample.

    kind="depth" (the default) gives metres; `scale` states how many of the files' units are a metre, if the files leave
    that open. The other kinds give the numbers as stored, as float32 without a unit, and can only be scored after the
    fit of units.NEEDED_FIT: a disparity is fitted as one, and inverted after that.

    Raises HqmdError if a picture has no file or several, the unit is open, or `scale` and `kind` contradict each other.
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
                f"--pred-scale states metres, but a prediction of kind {kind} has none; leave out one of them"
            )
        if resize not in (None, "bilinear"):
            raise HqmdError(f"no way to resize named {resize!r}; there is: bilinear")
        self.kind, self.resize = kind, resize
        self.files = find_predictions(folder, names)
        self.units_per_metre = 1.0
        meaning = MEANINGS[kind]
        if kind == "depth":
            files = list(self.files.values())
            self.units_per_metre, origin = find_depth_scale(files, scale, read_prediction, "--pred-scale", NOT_METRES)
            meaning = f"depth / {self.units_per_metre:g} ({origin})"
        self.description = f"{folder.name}, {meaning}{', resized bilinearly' if resize else ''}"  # for a caption
        if unused := unused_files(folder, names):
            self.description += f", {len(unused)} other files there not used, such as {unused[0]}"

    def read(self, name: str) -> NDArray[np.float32]:
        """Read the prediction for a picture, (H, W) of the file's size: metres, or numbers as stored for other kinds.

        NaN, zero and negative values stay: sanity.checks.explain_invalid explains them. Raises HqmdError if the file
        cannot be read.
        """
        with np.errstate(over="ignore"):  # too large values become infinite
            values = read_prediction(self.files[name]).astype(np.float32)
        return values / np.float32(self.units_per_metre)

    def __call__(self, sample: Sample) -> NDArray[np.float32]:
        """Read the map for a sample. Raises HqmdError for another size than the truth's without `resize`."""
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


def read_prediction(path: Path) -> NDArray[np.number]:
    """Read a depth map in the file's own numbers, (H, W). Drops axes of length 1, as in (1, H, W)."""
    return read_depth_values(path, squeeze=True)


class CheckedFolder:
    """A folder of predictions that is examined while it is read for scoring, so that each file is read once.

    `folder(sample)` is the map of a sample; raises HqmdError naming the picture for a map that cannot be a prediction.
    `on_early` is called once, after the first EARLY pictures, if there are complaints about these.
    """

    def __init__(
        self, predictions: PredictionFolder, dataset: Dataset, on_early: Callable[[], object] = lambda: None
    ) -> None:
        self.predictions, self.dataset, self.on_early = predictions, dataset, on_early
        self.examination = Examination(predictions.kind, predictions.units_per_metre)
        self.seen: set[str] = set()

    def __call__(self, sample: Sample) -> NDArray[np.float32]:
        pred = self.examine(sample)
        if len(self.seen) == EARLY and self.examination.complaints():
            self.on_early()
        return pred

    def examine(self, sample: Sample) -> NDArray[np.float32]:
        """Read a map, and examine it the first time."""
        pred = self.predictions(sample)
        if sample.name not in self.seen:
            self.seen.add(sample.name)
            self.examination.add(sample.name, pred, sample.depth_m, sample.valid)
        return pred

    def complaints(self) -> list[str]:
        """Say what is suspicious about the whole set, a sentence each; reads the pictures that were not read yet."""
        omissions = Omissions(len(self.dataset))
        for index, name in enumerate(self.dataset.names):
            if name not in self.seen and (sample := omissions.read(self.dataset, index)):
                self.examine(sample)
        return self.examination.complaints()


def folder_source(
    folder: Path, predictions: PredictionFolder, dataset: Dataset, score_anyway: bool
) -> PredictionSource:
    """Predict with files, which are checked while they are scored.

    The source's remark raises HqmdError for complaints about the set; with `score_anyway` it states them instead.
    """

    def remark() -> str:
        complaints = "; ".join(checked.complaints())
        if complaints and not score_anyway:
            raise HqmdError(f"{folder}: {complaints}; or, if that is wrong, score them with --pred-anyway")
        return f"scored although {complaints}" if complaints else ""

    def identity() -> str:
        return f"{predictions.description}, {file_hash(*predictions.files.values())}"

    checked = CheckedFolder(predictions, dataset, on_early=str if score_anyway else remark)
    return PredictionSource(checked, predictions.kind, remark=remark, identity=identity)


def find_predictions(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """Find the file of each picture, in the order of `names`. Raises HqmdError unless there is exactly one for each.

    A file belongs to a picture by its name without suffix and MARKER, if the folders in the picture's name are among
    the file's, in order: `drive/image_02/0005` matches `drive/image_02/data/0005.png`. Directly in `folder`, as written
    by tools that use one folder, `drive_image_02_0005.png` matches, and `0005.png` if no other picture has that name.
    """
    if not folder.is_dir():
        raise HqmdError(f"{folder}: {'a file' if folder.exists() else 'no such folder'}; --pred takes a folder")
    if twins := [name for name, count in Counter(names).items() if count > 1]:
        raise HqmdError(
            f"{len(twins)} names stand for several pictures of the data, such as {twins[0]}, so files cannot be "
            "matched by name; rename the photos"
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
            "or use a --split that has all"
        )
    return {name: folder / only_one(folder, name, found[name]) for name in names}


def unused_files(folder: Path, names: Sequence[str]) -> list[PurePosixPath]:
    """List the depth maps below `folder` that belong to no picture."""
    depth_files, _ = files_below(folder)
    used = {file for files in match(depth_files, names).values() for file in files}
    return [file for file in depth_files if file not in used]


def files_below(folder: Path) -> tuple[list[PurePosixPath], set[str]]:
    """List the depth maps by their paths below `folder`, sorted, and the suffixes of all other files."""
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
    """Map names to the files that could be their predictions, without the names that have none."""
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
                found[max(fitting, key=len)].append(file)  # prefer a/b/x to a/x
                break
    return found


def stems_of(file: PurePosixPath) -> Iterator[str]:
    """Yield the names that a file may stand for, the longest first: a picture may itself be called room_depth."""
    stem = file.stem
    yield stem
    while MARKER.search(stem):
        stem = MARKER.sub("", stem)
        yield stem


def is_within(parts: Sequence[str], folders: Sequence[str]) -> bool:
    """True if all parts are among the folders, in this order."""
    rest = iter(folders)
    return all(part in rest for part in parts)


def only_one(folder: Path, name: str, files: Sequence[PurePosixPath]) -> PurePosixPath:
    """Return the only file that can hold depth. Raises HqmdError naming two of them if there are several."""
    if len(files) > 1:  # many tools, hqmd too, write a picture in colours beside the numbers
        files = [file for file in files if not is_colour_picture(folder / file)] or files
    if len(files) > 1:
        raise HqmdError(
            f"{folder}: {len(files)} files could be the prediction for {name}: {files[0]} and {files[1]}; keep one "
            "for each picture, or name a subfolder that has one"
        )
    return files[0]


def is_colour_picture(path: Path) -> bool:
    """True if a file is a picture in colours, by its header; False if it cannot be opened: reading will explain why."""
    if DEPTH_READERS[path.suffix.lower()] is not read_picture:
        return False
    try:
        with open_picture(path) as picture:
            return is_colour(picture)
    except Exception:  # damaged files make Pillow raise all sorts
        return False
