"""Focal lengths of photos in a dataset, in pixels: `frames.csv` in a folder of pairs, or a column of a list."""

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.text import read_lines

FRAMES_FILE = "frames.csv"  # beside rgb/ and depth/, with columns `name` and `fx`
FOCAL_COLUMNS = ("focal", "focal_px", "focal_length", "fx")  # names in the header of a list


def read_frames(folder: Path) -> dict[str, float]:
    """Read the focal length of each name in frames.csv; empty if there is no such file, or it has no column `fx`.

    Raises HqmdError naming the row if a focal length is not a positive number, or a name has two.
    """
    path = folder / FRAMES_FILE
    if not path.is_file():
        return {}
    focals: dict[str, float] = {}
    for number, row in enumerate(csv.DictReader(read_lines(path, "table of frames")), 2):
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
    """Parse a focal length; 0 if it is not a positive number."""
    try:
        focal = float(text)
    except ValueError:
        return 0.0
    return focal if 0 < focal < math.inf else 0.0


def in_words(focals: Mapping[str, float], names: Iterable[str], source: str) -> str:
    """Say for the description of a dataset where its focal lengths are from, and for how many they are assumed."""
    names = list(names)
    known = sum(name in focals for name in names)
    if not known:
        return ""
    assumed = f", NYU's camera assumed for {len(names) - known}" if known < len(names) else ""
    return f", focal lengths from {source}{assumed}"
