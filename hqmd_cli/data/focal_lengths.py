"""What a dataset states of its photos: focal lengths in pixels and places, in `frames.csv` or columns of a list."""

import csv
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.text import read_lines
from hqmd_cli.geometry.camera import FX_RANGE

FRAMES_FILE = "frames.csv"  # beside rgb/ and depth/, with columns `name`, `fx` and `place`
DELIMITERS = "\t,;"
SHORTEST_WITH_COMMA = 10.0  # pixels
FOCAL_COLUMNS = ("focal", "focal_px", "focal_length", "fx")  # names in the header of a list


class Frame(NamedTuple):
    """What frames.csv says of a photo."""

    fx: float  # pixels; 0: nothing
    place: str  # the room that it shows; empty: nothing


def read_frames(folder: Path) -> dict[str, Frame]:
    """Read focal length and place of each name in frames.csv; empty if there is no such file, or it has neither.

    Columns are separated by commas, semicolons or tabs. Raises HqmdError naming the row if a focal length is
    beyond FX_RANGE, or a name has two.
    """
    path = folder / FRAMES_FILE
    if not path.is_file():
        return {}
    frames: dict[str, Frame] = {}
    lines = read_lines(path, "table of frames")
    delimiter = next((mark for mark in DELIMITERS if lines and mark in lines[0]), ",")
    try:
        rows = list(csv.DictReader(lines, delimiter=delimiter))
    except csv.Error as error:
        raise HqmdError(f"{printable(str(path))}: not a readable table of frames: {error}") from error
    for number, row in enumerate(rows, 2):
        name, text, place = (str(row.get(column) or "").strip() for column in ("name", "fx", "place"))
        if not (name and (text or place)):
            continue
        frame = Frame(focal_of(text) if text else 0.0, place)
        if text and not frame.fx:
            raise HqmdError(
                f"{printable(str(path))}: line {number}: {printable(text)!r} is not a focal length in pixels"
            )
        if frames.setdefault(name, frame) != frame:
            what = "focal length" if frames[name].fx != frame.fx else "place"
            raise HqmdError(f"{printable(str(path))}: line {number}: a second {what} for {printable(name)}")
    return frames


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
