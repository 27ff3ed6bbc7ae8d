"""Focal lengths of photos in a dataset, in pixels: `frames.csv` in a folder of pairs, or a column of a list."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.text import read_lines
from hqmd_cli.geometry.camera import FX_RANGE

FRAMES_FILE = "frames.csv"  # beside rgb/ and depth/, with columns `name` and `fx`
DELIMITERS = "\t,;"
SHORTEST_WITH_COMMA = 10.0  # pixels
FOCAL_COLUMNS = ("focal", "focal_px", "focal_length", "fx")  # names in the header of a list


def read_frames(folder: Path) -> dict[str, float]:
    """Read the focal length of each name in frames.csv; empty if there is no such file, or it has no column `fx`.

    Columns are separated by commas, semicolons or tabs. Raises HqmdError naming the row if a focal length is
    beyond FX_RANGE, or a name has two.
    """
    path = folder / FRAMES_FILE
    if not path.is_file():
        return {}
    focals: dict[str, float] = {}
    lines = read_lines(path, "table of frames")
    delimiter = next((mark for mark in DELIMITERS if lines and mark in lines[0]), ",")
    try:
        rows = list(csv.DictReader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise HqmdError(f"{printable(str(path))}: not a readable table of frames: {error}") from error
    for number, row in enumerate(rows, 2):
        name, text = row.get("name") or "", (row.get("fx") or "").strip()
        if not (name and text):
            continue
        focal = focal_of(text)
        if not focal:
            raise HqmdError(f"{printable(str(path))}: line {number}: {printable(text)!r} is no focal length in pixels")
        if focals.setdefault(name, focal) != focal:
            raise HqmdError(f"{printable(str(path))}: line {number}: a second focal length for {printable(name)}")
    return focals


def focal_of(text: str) -> float:
    """Parse a focal length, also with a decimal comma; return 0 if the text is not a number within FX_RANGE."""
    try:
        focal = float(text.replace(",", ".", 1))
    except ValueError:
        return 0.0
    if "," in text and focal < SHORTEST_WITH_COMMA:  # "1,234" is more likely a thousand and some
        return 0.0
    return focal if FX_RANGE[0] <= focal <= FX_RANGE[1] else 0.0


def in_words(focals: Mapping[str, float], names: Iterable[str], source: str) -> str:
    """Say for the description of a dataset where its focal lengths are from, and for how many they are assumed."""
    names = list(names)
    known = sum(name in focals for name in names)
    if not known:
        return f", {source} has no focal lengths of them" if focals else ""
    assumed = f", NYU's camera assumed for {len(names) - known}" if known < len(names) else ""
    return f", focal lengths from {source}{assumed}"
