"""Lists of pairs: text files with one pair per row.

LIST.csv, .tsv, .txt    A photo and its depth map per row, separated by tabs, commas or semicolons, or by spaces if the
                        list has none of these. A header line names the columns: `rgb` or `image`, `depth` and,
                        optionally, `split`. Without a header they are the first two. Other columns are ignored.
BTS's lists             `rgb depth focal`, also used by AdaBins, NeWCRFs and ZoeDepth. Rows with `None` for the depth
                        map are skipped and counted. Depth has 16 bits: NYU's in millimetres, KITTI's in 1/256 m. A
                        leading slash of a path has no meaning.
                        https://github.com/cleinc/bts, pytorch/bts_dataloader.py
TUM's associations      `time rgb time depth`, or depth first, as associate.py of TUM RGB-D writes them. 16-bit depth is
                        in 1/5000 m.
nyu2_train|test.csv     Lists of Hu et al. and DenseDepth, without header. Training depth has 8 bits, 255 = 10 m, which
                        means steps of 39 mm; test depth has 16 bits, in millimetres.
                        https://github.com/JunjH/Revisiting_Single_Depth_Estimation, nyu_transform.py, ToTensor;
                        https://github.com/ialhashim/DenseDepth, data.py and issue 146

Paths are relative to the list's folder, to one of the three folders above it (nyu2_train.csv lies in data/, and its
rows begin with data/), or to a folder in HQMD_DATA_ROOT (several as in PATH). Photos and depth maps may have different
roots; the root that has the files is taken.
"""

import csv
import os
import re
from collections.abc import Sequence
from glob import escape
from pathlib import Path
from typing import NamedTuple

from hqmd_cli.data.depth_unit import find_depth_scale
from hqmd_cli.data.focal_lengths import DELIMITERS, FOCAL_COLUMNS, focal_of, in_words
from hqmd_cli.data.missing import without_missing
from hqmd_cli.data.pairs import OwnPairs, depth_suffixes, misnamed_splits, refuse_raw
from hqmd_cli.data.sample import WHOLE, GroundTruth, evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_bits
from hqmd_cli.files.kinds import photo_suffixes
from hqmd_cli.files.text import read_lines

STATED_DELIMITER = re.compile("sep=(.)", re.IGNORECASE)  # a first line that Excel writes and reads
COLUMNS = {
    "photo": ("rgb", "image", "photo", "color", "colour"),
    "depth": ("depth",),
    "split": ("split",),
    "scene": ("scene", "place"),
}
WITHOUT_DEPTH = ("none", "")  # in place of a depth map: BTS's lists, and empty cells
UNKNOWN_FOCAL = ("none", "nan", "")
ROOTS_VARIABLE = "HQMD_DATA_ROOT"
FOLDERS_ABOVE = 3
TRIED = 16  # entries, evenly spaced, that decide which root has the files


class PublishedList(NamedTuple):
    """Depth of a published list."""

    units_per_metre: float
    origin: str  # how the unit is known
    raw: bool  # measured, without filled holes


# By a folder in the paths of the depth maps, and their bits per pixel.
PUBLISHED = {
    ("nyu2_train", 8): PublishedList(255 / 10, "Hu's and DenseDepth's training set: 255 = 10 m", raw=False),
    ("nyu2_test", 16): PublishedList(1000, "Hu's and DenseDepth's test set: millimetres", raw=False),
    ("proj_depth", 16): PublishedList(256, "KITTI's 1/256 m", raw=True),
}
BTS_NYU = PublishedList(1000, "BTS's list of NYU: millimetres", raw=True)
BTS_DEPTH, NYU_FOCAL = re.compile(r"sync_depth_\d+"), 518.8579  # names of its depth maps; focal length in pixels
TUM = PublishedList(5000, "TUM's 1/5000 m", raw=True)


class Row(NamedTuple):
    """One row of a list."""

    photo: str
    depth: str
    split: str = ""
    third: str = ""  # focal length, in pixels: a column of FOCAL_COLUMNS, or as BTS's lists have it without a header
    time: str = ""  # of the photo: TUM's associations
    scene: str = ""  # such as the room that the photo shows


class PairList(OwnPairs):
    """One split of a list, or all of it."""

    split_help = "a list with a header line may have a column `split`"

    def __init__(self, path: Path, split: str, ground_truth: GroundTruth, depth_scale: float | None) -> None:
        rows = [row for row in read_list(path) if split in (WHOLE, row.split)]
        with_depth = [row for row in rows if row.depth.lower() not in WITHOUT_DEPTH]
        there, photos, depths, missing = find_pairs(path, with_depth)
        pairs = list(zip(names_of([row.photo for row in there]), photos, depths, strict=True))
        known = find_published(there, depths)
        if known is TUM and depth_scale is None:
            refuse_millimetres(path, depths)
        if known and known.raw and ground_truth == "raw":
            self.ground_truth = "raw"
        else:
            refuse_raw(path, ground_truth)
        super().__init__(path, split, pairs, depth_scale, known and known[:2])
        if skipped := len(rows) - len(with_depth):
            self.description += f", rows without depth left out: {skipped}"
        named = dict(zip(names_of([row.photo for row in there]), there, strict=True))
        self.focals = {name: focal for name, row in named.items() if (focal := focal_of(row.third))}
        self.scenes = {name: row.scene for name, row in named.items() if row.scene}
        self.description += missing + in_words(self.focals, self.names, "the list")

    @staticmethod
    def splits(path: Path) -> list[str]:
        """Return the values in the column `split`, and `all`."""
        return [*sorted({row.split for row in read_list(path) if row.split} - {WHOLE}), WHOLE]

    @staticmethod
    def unpaired(path: Path) -> list[str]:
        """Describe splits of another name than the usual ones, one line each."""
        return misnamed_splits(PairList.splits(path))


def read_list(path: Path) -> list[Row]:
    """Read the rows of a list. Raises HqmdError if it is not text, or a row lacks a photo or a depth map."""
    lines = [line for line in read_lines(path, "list") if line.strip() and not line.startswith("#")]
    try:
        cells = split_cells(lines)
    except (ValueError, csv.Error) as error:
        raise HqmdError(f"{path}: not a readable list: {error}") from error
    columns, body = find_columns(path, cells)
    rows = []
    for row in body:
        cell = {name: row[column] if column < len(row) else "" for name, column in columns.items()}
        if not cell["photo"] or columns["depth"] >= len(row):
            raise HqmdError(f"{path}: a photo and a depth map are needed in every row, unlike in {' '.join(row)!r}")
        stated = cell.get("third", "") if len(body) < len(cells) else ""  # in a column that the header calls so
        if stated.lower() not in UNKNOWN_FOCAL and not focal_of(stated):
            raise HqmdError(
                f"{path}: {stated!r} is not a focal length in pixels; leave the cell of {cell['photo']} empty"
            )
        rows.append(Row(**cell))
    return rows


def split_cells(lines: Sequence[str]) -> list[list[str]]:
    """Split lines at the delimiter that the first line states, as in `sep=;`, or else has."""
    if lines and (stated := STATED_DELIMITER.fullmatch(lines[0].strip('" '))):
        delimiter, lines = stated[1], lines[1:]
    else:
        delimiter = next((d for d in DELIMITERS if lines and d in lines[0]), None)  # or else spaces
    rows = csv.reader(lines, delimiter=delimiter) if delimiter else map(str.split, lines)
    return [[cell.strip().replace("\\", "/") for cell in row] for row in rows]


def find_columns(path: Path, cells: list[list[str]]) -> tuple[dict[str, int], list[list[str]]]:
    """Return the column of each field of Row, and the rows without the header. Raises HqmdError if they are unclear."""
    if not cells or len(cells[0]) < 2:
        folder = path.resolve().parent
        is_split = (folder / "rgb").is_dir() and (folder / "depth").is_dir()
        remedy = f"; for a folder of pairs give the folder, {folder}" if is_split else ""
        raise HqmdError(f"{path}: a list has a photo and a depth map in each row, as rgb/a.jpg,depth/a.png{remedy}")
    if any(is_file_name(cell) for cell in cells[0]):
        if len(cells[0]) == 4 and [is_file_name(cell) for cell in cells[0]] == [False, True, False, True]:
            photo, depth = (3, 1) if is_depth_first(cells[0]) else (1, 3)
            return {"photo": photo, "depth": depth, "time": photo - 1}, cells
        return {"photo": 0, "depth": 1, "third": 2}, cells
    found = {field: column for field, words in COLUMNS.items() if (column := find_column(cells[0], words)) is not None}
    header = [name.lower() for name in cells[0]]
    if focal := next((name for name in FOCAL_COLUMNS if name in header), None):
        found["third"] = header.index(focal)
    if not {"photo", "depth"} <= found.keys() or len(cells) == 1:
        raise HqmdError(
            f"{path}: needs a header line such as `rgb,depth` or `image,depth,split`, or none, and one pair per row; "
            f"it begins with {','.join(cells[0])!r}"
        )
    return found, cells[1:]


def find_column(header: list[str], words: tuple[str, ...]) -> int | None:
    """Return the first column named by one of the words, or else beginning with one, such as `image_path`."""
    names = [name.lower() for name in header]
    exact = [column for column, name in enumerate(names) if name in words]
    return next(iter(exact + [column for column, name in enumerate(names) if name.startswith(words)]), None)


def is_file_name(cell: str) -> bool:
    """True if a cell ends as the name of a photo or a depth map does."""
    return Path(cell).suffix.lower() in photo_suffixes() | depth_suffixes()


def is_depth_first(cells: list[str]) -> bool:
    """True if, of TUM's two files, only the first one has "depth" in its path."""
    return "depth" in cells[1].lower() and "depth" not in cells[3].lower()


def find_pairs(path: Path, rows: list[Row]) -> tuple[list[Row], list[Path], list[Path], str]:
    """Find the files of the rows: return the rows that have both, their photos, their depth maps, and a note on others.

    Raises HqmdError if more are missing than are tolerated.
    """
    photos, depths = find_files(path, [row.photo for row in rows]), find_files(path, [row.depth for row in rows])
    files = [*photos, *depths]
    absent = {file for file in dict.fromkeys(files) if not file.is_file()}
    missing = [i for i in range(len(rows)) if photos[i] in absent or depths[i] in absent]
    complaint = ""
    if missing:
        listed = [file for file in files if file in absent]
        mostly_there = len(missing) < len(rows) / 2  # so that the folder is the right one
        remedy = (
            "get these files, or remove their rows"
            if mostly_there
            else f"put the list into the folder that its paths start from, or set {ROOTS_VARIABLE} to that folder"
        )
        complaint = (
            f"{path}: {len(listed)} of {len(files)} listed files do not exist, such as {listed[0]}"
            f"{other_suffix(listed[0])}; {remedy}"
        )
    there, note = without_missing(range(len(rows)), missing, complaint)
    return [rows[i] for i in there], [photos[i] for i in there], [depths[i] for i in there], note


def other_suffix(file: Path) -> str:
    """Name a file that has the same name with another suffix, for a message, or return an empty string."""
    twin = next((f for f in sorted(file.parent.glob(f"{escape(file.stem)}.*")) if is_file_name(f.name)), None)
    return f" (there is {twin.name})" if twin else ""


def find_files(path: Path, entries: list[str]) -> list[Path]:
    """Return where the files that a column names would be, below the root that has most of some of them."""
    folder = path.resolve().parent
    stated = [Path(root) for root in os.environ.get(ROOTS_VARIABLE, "").split(os.pathsep) if root]
    roots = [*stated, path.parent, *list(folder.parents)[:FOLDERS_ABOVE]]
    tried = [entries[i] for i in evenly(len(entries), TRIED)]
    best = max(roots, key=lambda root: sum(below(root, entry).is_file() for entry in tried))  # the first one of a tie
    return [below(best, entry) for entry in entries]


def below(root: Path, entry: str) -> Path:
    """Return the path of an entry: as it is if it is the absolute path of a file, or else below the root."""
    return Path(entry) if entry.startswith("/") and os.path.isfile(entry) else root / entry.lstrip("/")


def names_of(photos: list[str]) -> list[str]:
    """Name samples after their photos, without suffix and, unless two share a name, without folders."""
    paths = [Path(photo).with_suffix("") for photo in photos]
    stems = [path.name for path in paths]
    if len(set(stems)) == len(stems):
        return stems
    return [path.relative_to(path.anchor).as_posix() for path in paths]


def find_published(rows: list[Row], depths: list[Path]) -> PublishedList | None:
    """Recognise a published list by its paths and BTS's focal length; None for the user's own."""
    bits = depth_bits(depths[0]) if depths else None
    for (folder, bits_there), known in PUBLISHED.items():
        if bits == bits_there and all(folder in row.depth.split("/") for row in rows):
            return known
    if bits == 16 and all(BTS_DEPTH.fullmatch(depth.stem) for depth in depths) and all(map(is_nyu, rows)):
        return BTS_NYU
    return TUM if bits == 16 and all(is_time(row.time) for row in rows) else None


def is_time(cell: str) -> bool:
    """True for a time in seconds with a fraction, which a number of a picture has not."""
    try:
        return "." in cell and float(cell) >= 0
    except ValueError:
        return False


def refuse_millimetres(path: Path, depths: list[Path]) -> None:
    """Raise HqmdError if depth in the layout of TUM's associations looks like millimetres: others use it, too."""
    try:
        units, _ = find_depth_scale(depths, None)
    except HqmdError:  # several units are plausible, or none but TUM's
        return
    raise HqmdError(
        f"{path}: TUM's associations have depth in 1/5000 m, but these files look like 1/{units:g} m; state the right "
        f"one: --depth-scale 5000, or --depth-scale {units:g}"
    )


def is_nyu(row: Row) -> bool:
    """True if the third cell is the focal length of NYU's photos."""
    try:
        return abs(float(row.third) - NYU_FOCAL) < 0.01
    except ValueError:
        return False
