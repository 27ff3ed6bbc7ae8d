"""Depth maps as any tool may have written them, in the file's own numbers. A new format is a function and one line.

Stricter than images.read_depth_values, which reads what this program's own data is made of: here the file comes from
elsewhere, so everything that would turn into other numbers without complaint is refused with the remedy.
"""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.depth import valid_depth
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import write_aside, write_bytes
from hqmd_cli.files.exr import read_exr
from hqmd_cli.files.photos import LARGEST_16_BIT
from hqmd_cli.files.png import encode_png

NPZ_NAMES = ("depth", "pred")  # arrays of an .npz that holds several
NPY_START, ZIP_START = b"\x93NUMPY", b"PK"
PFM_HEADER = re.compile(rb"(P[Ff])\s+(\d+)\s+(\d+)\s+([-+.\deE]+)(?:\r\n|\s)")
WRITE_NUMBERS = "have the tool write its numbers, one a pixel, as .npy or 16-bit grey .png"


def read_depth_file(path: Path) -> NDArray[np.number]:
    """A depth map in the file's own numbers, (H, W); NaN and negative values as they are.

    Axes of length 1, as in (1, H, W), are dropped. Raises HqmdError naming the file, and what to do about it, when it
    cannot be read or is no single map of real numbers.
    """
    try:
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        values = DEPTH_READERS[path.suffix.lower()](path)
    except HqmdError:
        raise
    except Exception as error:  # damaged files make numpy, Pillow and zlib raise all sorts
        raise HqmdError(
            f"{path}: cannot be read as a depth map: {first_line(error)}; write it anew, or leave it out"
        ) from error
    values = np.squeeze(values)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "uif":
        raise HqmdError(
            f"{path}: a depth map has one number a pixel, this is {values.shape} {values.dtype}; "
            "write one map of (height, width) a file"
        )
    return values


def read_picture(path: Path) -> NDArray[np.number]:
    """A grey PNG or TIFF: 8- and 16-bit whole numbers, or 32-bit fractional ones."""
    with Image.open(path) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise HqmdError(f"{path}: {picture.n_frames} pictures in one file; write one a file")  # type: ignore[attr-defined]
        if is_colour(picture):
            raise HqmdError(
                f"{path}: a colour picture ({picture.mode}), from which no depth can be read back; {WRITE_NUMBERS}"
            )
        return np.asarray(picture)


def is_colour(picture: Image.Image) -> bool:
    """Whether it has several numbers a pixel, or, with a palette, one that means nothing by itself."""
    return len(picture.getbands()) > 1 or picture.mode == "P"


def read_npy(path: Path) -> NDArray[np.number]:
    """The array of an .npy. Never unpickles, which could run anything."""
    require_start(path, NPY_START, "numpy.save")
    return np.load(path, allow_pickle=False)


def require_start(path: Path, start: bytes, writer: str) -> None:
    """Raise ValueError for a file that begins otherwise: numpy would take it for a pickle, and say so of any text."""
    with path.open("rb") as file:
        if file.read(len(start)) != start:
            raise ValueError(f"it does not begin as {writer} has it, whatever its name says")


def read_npz(path: Path) -> NDArray[np.number]:
    """The only array of an .npz, or the only one with a name for a prediction."""
    require_start(path, ZIP_START, "numpy.savez")
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        chosen = names if len(names) == 1 else [name for name in names if name in NPZ_NAMES]
        if len(chosen) != 1:
            raise HqmdError(
                f"{path}: which array is the depth? There are {', '.join(names) or 'none'}; "
                f"save one alone, or call it {NPZ_NAMES[0]}"
            )
        return arrays[chosen[0]]


def read_pfm(path: Path) -> NDArray[np.number]:
    """A grey PFM: rows from the bottom up; a negative scale means little-endian.

    Not by OpenCV, which divides by the scale's magnitude: writers put anything there (Middlebury's disparities have
    0.004), and their own readers leave the numbers alone. https://netpbm.sourceforge.net/doc/pfm.html
    """
    content = path.read_bytes()
    header = PFM_HEADER.match(content)
    if header is None or (scale := float(header[4])) == 0:
        raise ValueError("its header is not that of a PFM")
    if header[1] == b"PF":
        raise HqmdError(f"{path}: a PFM of three channels; {WRITE_NUMBERS}")
    width, height = int(header[2]), int(header[3])
    if (found := len(content) - header.end()) != (expected := 4 * width * height):
        raise ValueError(f"{found} bytes of values, {width} x {height} pixels need {expected}")
    values = np.frombuffer(content, "<f4" if scale < 0 else ">f4", offset=header.end())
    return values.reshape(height, width)[::-1].astype(np.float32)


DEPTH_READERS: dict[str, Callable[[Path], NDArray[np.number]]] = {
    ".png": read_picture,
    ".npy": read_npy,
    ".npz": read_npz,
    ".tif": read_picture,
    ".tiff": read_picture,
    ".pfm": read_pfm,
    ".exr": read_exr,
}


DEPTH_SUFFIXES = frozenset({".png", ".npy", ".tif", ".tiff"})


MILLIMETRES_PER_METRE = 1000


UNIT_TAG = "depth_units_per_metre"  # the PNG text chunk that says what a depth PNG's numbers mean


def read_depth_values(path: Path) -> NDArray[np.number]:
    """A depth map in the file's own numbers, (H, W). Raises HqmdError naming the file when it cannot be read."""
    try:
        if path.suffix.lower() == ".npy":
            values = np.load(path, allow_pickle=False)
        else:
            with Image.open(path) as picture:
                values = np.asarray(picture)
    except Exception as error:  # damaged files make numpy and Pillow raise all sorts
        raise HqmdError(f"{path}: cannot be read as a depth map: {error}") from error
    if not isinstance(values, np.ndarray):  # np.load of several arrays
        values.close()
        raise HqmdError(f"{path}: holds several arrays (.npz), a depth map is one")
    if values.ndim != 2 or values.dtype.kind not in "uif":
        raise HqmdError(f"{path}: a depth map has one number a pixel, this is {values.shape} {values.dtype}")
    return values


def depth_size(path: Path) -> tuple[int, int]:
    """(H, W) of a depth map by its header. Raises HqmdError naming the file when it cannot be read."""
    try:
        if path.suffix.lower() == ".npy":
            return np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
        with Image.open(path) as picture:
            return picture.size[::-1]
    except Exception as error:  # damaged files make numpy and Pillow raise all sorts
        raise HqmdError(f"{path}: cannot be read as a depth map: {first_line(error)}") from error


def depth_bits(path: Path) -> int | None:
    """Bits of a whole-number depth picture's pixel, 8 or 16, by its header; None of fractions, arrays and damage."""
    if path.suffix.lower() == ".npy":
        return None
    try:
        with Image.open(path) as picture:
            mode = picture.mode
    except Exception:  # read_depth_values will say what is wrong
        return None
    return 8 if mode == "L" else 16 if mode.startswith("I") else None


def depth_unit_tag(path: Path) -> float | None:
    """Units per metre as write_depth_mm wrote them into a PNG; None where the file does not say."""
    if path.suffix.lower() != ".png":
        return None
    try:
        with Image.open(path) as picture:
            tag = picture.info.get(UNIT_TAG)
    except Exception as error:  # damaged files make Pillow raise all sorts
        raise HqmdError(f"{path}: cannot be read as a depth map: {error}") from error
    if tag is None:
        return None
    try:
        units_per_metre = float(tag)
    except ValueError:
        units_per_metre = 0
    if not 0 < units_per_metre < float("inf"):
        raise HqmdError(f"{path}: its text chunk {UNIT_TAG} says {tag!r}, which is no unit")
    return units_per_metre


def write_depth_mm(path: Path, depth_m: NDArray[np.floating]) -> None:
    """(H, W) metres as a 16-bit PNG in millimetres, 0 = none, with the unit in a text chunk.

    Raises HqmdError for depth beyond 65.535 m, which 16 bits of millimetres cannot hold.
    """
    millimetres = np.where(valid_depth(depth_m), np.round(depth_m * MILLIMETRES_PER_METRE), 0)
    if (farthest := millimetres.max(initial=0)) > LARGEST_16_BIT:
        raise HqmdError(
            f"{path}: {farthest / MILLIMETRES_PER_METRE:.1f} m does not fit into 16 bits of millimetres; write .npy"
        )
    text = {UNIT_TAG: str(MILLIMETRES_PER_METRE), "Description": "depth in millimetres, 0 = none"}
    write_bytes(path, encode_png(millimetres.astype(np.uint16), text))


def write_depth_npy(path: Path, depth_m: NDArray[np.floating]) -> None:
    """(H, W) metres as float32 .npy."""

    def save(aside: Path) -> None:
        with aside.open("wb") as file:  # np.save on a path would add a suffix of its own
            np.save(file, depth_m.astype(np.float32))

    write_aside(path, save)
