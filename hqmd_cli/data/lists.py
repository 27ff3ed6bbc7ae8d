"""Lists of pairs: text files with a row a pair, as they are passed around.

LIST.csv, .tsv, .txt    A photo and its depth map a row, parted by tabs, commas, semicolons or, where there are none of
                        these, spaces. A header line names the columns (`rgb` or `image`, `depth`, and `split` if there
                        are splits); without one they are the first two. What else stands in a row is not read.
BTS's lists             `rgb depth focal`; AdaBins, NeWCRFs and ZoeDepth have them, too. `None` stands where a photo has
                        no depth; such rows are left out and counted. Depth has 16 bits, NYU's in millimetres, KITTI's
                        in 1/256 m, and a path may begin with a slash that means nothing.
                        https://github.com/cleinc/bts, pytorch/bts_dataloader.py
nyu2_train|test.csv     of Hu et al. and DenseDepth, no header. The training depth has 8 bits, 255 = 10 m, so that it
                        comes in steps of 39 mm; the test depth has 16, in millimetres.
                        https://github.com/JunjH/Revisiting_Single_Depth_Estimation, nyu_transform.py, ToTensor;
                        https://github.com/ialhashim/DenseDepth, data.py and issue 146

Paths are relative to the list's folder, to one of the three above it (the way nyu2_train.csv lies in data/ and its rows
begin with data/), or to a folder in HQMD_DATA_ROOT (several as in PATH): photos to one, depth maps to the same or
another, whichever has the files.
"""

import csv
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from hqmd_cli.data import WHOLE
from hqmd_cli.data.pairs import Pairs, refuse_raw
from hqmd_cli.data.sample import GroundTruth, evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import DEPTH_SUFFIXES, depth_bits
from hqmd_cli.files.photos import PHOTO_SUFFIXES

DELIMITERS = "\t,;"  # spaces where a list has none of these
COLUMNS = {"photo": ("rgb", "image", "photo", "color", "colour"), "depth": ("depth",), "split": ("split",)}
WITHOUT_DEPTH = ("none", "")  # what BTS's lists, and tables with empty cells, have in place of a depth map
ROOTS_VARIABLE = "HQMD_DATA_ROOT"
FOLDERS_ABOVE = 3
TRIED = 16  # entries, evenly spaced, by which the folder that has the files is found


class Known(NamedTuple):
    """What is known of a published list's depth."""

    units_per_metre: float
    words: str  # how the unit is known
    raw: bool  # measured, and its holes not filled


# By a folder in the paths of its depth maps, and their bits a pixel.
PUBLISHED = {
    ("nyu2_train", 8): Known(255 / 10, "Hu's and DenseDepth's training set: 255 = 10 m", raw=False),
    ("nyu2_test", 16): Known(1000, "Hu's and DenseDepth's test set: millimetres", raw=False),
    ("proj_depth", 16): Known(256, "KITTI's 1/256 m", raw=True),
}
BTS_NYU = Known(1000, "BTS's list of NYU: millimetres", raw=True)
BTS_DEPTH, NYU_FOCAL = re.compile(r"sync_depth_\d+"), 518.8579  # what its depth maps are called; pixels, in every row


class Row(NamedTuple):
    """A pair as the list has it."""

    photo: str
    depth: str
    split: str
    third: str  # cell of a list without a header: BTS's focal length


class PairList(Pairs):
    """One split of a list, or all of it."""

    split_help = "a list with a header line may have a column `split`"

    @staticmethod
    def splits(path: Path) -> list[str]:
        """What stands in the column `split`, if there is one."""
        return [*sorted({row.split for row in read_list(path) if row.split} - {WHOLE}), WHOLE]

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        rows = [row for row in read_list(path) if split in (WHOLE, row.split)]
        with_depth = [row for row in rows if row.depth.lower() not in WITHOUT_DEPTH]
        photos = find_files(path, [row.photo for row in with_depth])
        depths = find_files(path, [row.depth for row in with_depth])
        pairs = list(zip(names_of([row.photo for row in with_depth]), photos, depths, strict=True))
        known = published_list(with_depth, depths)
        if known and known.raw and ground_truth == "raw":
            self.ground_truth = "raw"
        else:
            refuse_raw(path, ground_truth)
        super().__init__(path, split, pairs, depth_scale, known and known[:2])
        if left_out := len(rows) - len(with_depth):
            self.description += f", rows without depth left out: {left_out}"


def read_list(path: Path) -> list[Row]:
    """The rows of a list. Raises HqmdError when it is no text, or a row has no photo and depth."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [line for line in file if line.strip() and not line.startswith("#")]
        cells = list(cells_of(lines))
    except (OSError, ValueError, csv.Error) as error:
        raise HqmdError(f"{path}: not a readable list: {error}") from error
    places, body = columns(path, cells)
    rows = []
    for row in body:
        cell = {name: row[place] if place < len(row) else "" for name, place in places.items()}
        if not cell["photo"] or places["depth"] >= len(row):
            raise HqmdError(f"{path}: a photo and a depth map are needed in every row, unlike in {' '.join(row)!r}")
        rows.append(Row(**{"split": "", "third": ""} | cell))
    return rows


def cells_of(lines: Sequence[str]) -> Iterator[list[str]]:
    """The cells of each line, by the first line's delimiter."""
    delimiter = next((d for d in DELIMITERS if lines and d in lines[0]), None)
    rows = csv.reader(lines, delimiter=delimiter) if delimiter else map(str.split, lines)
    for row in rows:
        yield [cell.strip().replace("\\", "/") for cell in row]


def columns(path: Path, cells: list[list[str]]) -> tuple[dict[str, int], list[list[str]]]:
    """Which column has what, and the rows below the header, if there is one. Raises HqmdError when that is not said."""
    if not cells or len(cells[0]) < 2:
        folder = path.resolve().parent
        is_split = (folder / "rgb").is_dir() and (folder / "depth").is_dir()
        remedy = f"; of a folder of pairs give the folder, {folder}" if is_split else ""
        raise HqmdError(f"{path}: a list has a photo and a depth map in each row, as rgb/a.jpg,depth/a.png{remedy}")
    if any(Path(cell).suffix.lower() in PHOTO_SUFFIXES | DEPTH_SUFFIXES for cell in cells[0]):
        return {"photo": 0, "depth": 1, "third": 2}, cells
    places = {name: place for name, words in COLUMNS.items() if (place := column(cells[0], words)) is not None}
    if not {"photo", "depth"} <= places.keys() or len(cells) == 1:
        raise HqmdError(
            f"{path}: needs a header line such as `rgb,depth` or `image,depth,split`, or none, and a row a pair; it "
            f"begins with {','.join(cells[0])!r}"
        )
    return places, cells[1:]


def column(header: list[str], words: tuple[str, ...]) -> int | None:
    """The column called by one of the words, else the first that begins with one, such as `image_path`."""
    names = [name.lower() for name in header]
    exact = [place for place, name in enumerate(names) if name in words]
    return next(iter(exact + [place for place, name in enumerate(names) if name.startswith(words)]), None)


def find_files(path: Path, entries: list[str]) -> list[Path]:
    """The files that a column of the list means. Raises HqmdError when some are in none of the folders tried."""
    folder = path.resolve().parent
    stated = [Path(root) for root in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if root]
    roots = [*stated, path.parent, *list(folder.parents)[:FOLDERS_ABOVE]]
    tried = [entries[i] for i in evenly(len(entries), TRIED)]
    best = max(roots, key=lambda root: sum(below(root, entry).is_file() for entry in tried))  # of equals the first
    files = [below(best, entry) for entry in entries]
    if missing := [file for file in files if not file.is_file()]:
        raise HqmdError(
            f"{path}: {len(missing)} of {len(files)} listed files do not exist, such as {missing[0]}; put the list "
            f"into the folder that its paths begin in, or name that folder in {ROOTS_VARIABLE}"
        )
    return files


def below(root: Path, entry: str) -> Path:
    """A list's entry as it is where that is a file's whole path, else below the root."""
    return Path(entry) if entry.startswith("/") and os.path.isfile(entry) else root / entry.lstrip("/")


def names_of(photos: list[str]) -> list[str]:
    """The photos of a list without suffix, and without their folders unless two have one name."""
    paths = [Path(photo).with_suffix("") for photo in photos]
    stems = [path.name for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return [path.relative_to(path.anchor).as_posix() for path in paths]


def published_list(rows: list[Row], depths: list[Path]) -> Known | None:
    """What is known of the list's depth, by its paths and BTS's focal length; None where it is somebody's own."""
    bits = depth_bits(depths[0]) if depths else None
    for (folder, bits_there), known in PUBLISHED.items():
        if bits == bits_there and all(folder in row.depth.split("/") for row in rows):
            return known
    if bits == 16 and all(BTS_DEPTH.fullmatch(depth.stem) for depth in depths) and all(map(is_nyu, rows)):
        return BTS_NYU
    return None


def is_nyu(row: Row) -> bool:
    """Whether BTS's focal length is that of NYU's photos."""
    try:
        return abs(float(row.third) - NYU_FOCAL) < 0.01
    except ValueError:
        return False
