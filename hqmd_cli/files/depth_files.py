"""Depth maps in files: read in the file's own numbers, written in metres or millimetres.

The files come from any tool, so everything that could silently turn into other numbers is refused with the remedy. A
new format is a reader and an entry of DEPTH_READERS.
"""

import math
import os
import re
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from threading import Lock
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from hqmd_cli.depth import valid_depth
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.atomic import write_bytes
from hqmd_cli.files.exr import read_exr
from hqmd_cli.files.limits import require_array, require_pixels
from hqmd_cli.files.open_picture import no_file, open_picture
from hqmd_cli.files.photos import LARGEST_16_BIT
from hqmd_cli.files.png import encode_png

NPZ_NAMES = ("depth", "pred")  # arrays to read from an .npz that holds several
# Held while NumPy parses a header: before 3.11.8 and 3.12.2, Python fails if two threads parse at once
# (https://github.com/python/cpython/issues/106905).
NPY_HEADERS = Lock()
NPY_START, ZIP_START = b"\x93NUMPY", b"PK"
PFM_HEADER = re.compile(rb"(P[Ff])\s+(\d+)\s+(\d+)\s+([-+.\deE]+)(?:\r\n|\s)")
LONGEST_PFM_HEADER = 1024  # bytes; of a PGM's, too
PGM_HEADER = re.compile(rb"P5(?:\s+#[^\r\n]*)*\s+(\d+)(?:\s+#[^\r\n]*)*\s+(\d+)(?:\s+#[^\r\n]*)*\s+(\d+)\s")
WRITE_NUMBERS = "have the tool write its numbers, one a pixel, as .npy or 16-bit grey .png"
MILLIMETRES_PER_METRE = 1000
LARGEST_MM_M = LARGEST_16_BIT / MILLIMETRES_PER_METRE  # metres that 16 bits of millimetres hold
UNIT_TAG = "depth_units_per_metre"  # PNG text chunk with the unit of the numbers


def read_depth_values(path: Path, squeeze: bool = False) -> NDArray[np.number]:
    """Read a depth map (H, W) in the file's own numbers; NaN and negative values stay.

    `squeeze` drops axes of length 1, as in (1, H, W). Raises HqmdError naming the file and the remedy if the file
    cannot be read, or is not one map of real numbers.
    """
    try:
        if not path.is_file():  # opening a named pipe would wait for ever
            raise no_file(path, str(path))
        if path.stat().st_size == 0:
            raise ValueError("the file is empty")
        reader = DEPTH_READERS.get(path.suffix.lower())
        if reader is None:
            raise ValueError(f"its suffix is not {', '.join(DEPTH_READERS)}")
        values = reader(path)
    except Exception as error:  # damaged files make numpy, Pillow and zlib raise all sorts
        raise unreadable(path, error) from error
    if squeeze:
        values = np.squeeze(values)
    if values.ndim != 2 or not values.size or values.dtype.kind not in "uif":
        raise HqmdError(
            f"{path}: a depth map has one number a pixel, this is {values.shape} {values.dtype}; "
            "write one map of (height, width) a file"
        )
    return values


def unreadable(path: Path, error: Exception) -> HqmdError:
    """Turn what was raised while a depth map was read into an HqmdError that names it and the remedy."""
    if isinstance(error, HqmdError):
        return error
    why = first_line(error)
    if isinstance(error, UnidentifiedImageError):  # whose own words are those for photos
        empty = path.stat().st_size == 0
        why = "the file is empty" if empty else "not a grey picture of 8 or 16 bits, or of fractions in 32"
    return HqmdError(f"{path}: cannot be read as a depth map: {why}; write it again, or leave it out")


def read_picture(path: Path) -> NDArray[np.number]:
    """Read a grey PNG or TIFF: 8- and 16-bit integers, or 32-bit floats."""
    with open_picture(path) as picture:
        if getattr(picture, "n_frames", 1) > 1:
            raise HqmdError(f"{path}: {picture.n_frames} pictures in one file; write one a file")  # type: ignore[attr-defined]
        if picture.format == "TIFF":
            from hqmd_cli.files.tiff import decode  # which few depth maps need

            decode(picture)
        values = np.asarray(picture)
        if values.ndim != 2 or picture.mode == "P":  # as is_colour
            raise HqmdError(
                f"{path}: a colour picture ({picture.mode}), from which no depth can be read back: a depth map has "
                f"one number a pixel, this is {values.shape}; {WRITE_NUMBERS}"
            )
        return values


def is_colour(picture: Image.Image) -> bool:
    """True if a picture has several numbers per pixel, or indices into a palette."""
    return len(picture.getbands()) > 1 or picture.mode == "P"


def read_npy(path: Path) -> NDArray[np.number]:
    """Read the array of an .npy. Never unpickles, which could run any code."""
    require_start(path, NPY_START, "numpy.save")
    with path.open("rb") as file:
        shape, by_columns, dtype = require_npy_size(file, path.stat().st_size)
        if dtype.hasobject:
            raise ValueError("Object arrays cannot be loaded")
        values = np.fromfile(file, dtype, math.prod(shape))
    return values.reshape(shape[::-1]).T if by_columns else values.reshape(shape)


def require_npy_size(file: IO[bytes], size: int | None = None) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    """Return the shape of an .npy, whether it is stored by columns, and its type.

    Raises ValueError if it is too large by its header, or has fewer than `size` bytes in all.
    """
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    with NPY_HEADERS:
        shape, by_columns, dtype = read(file)
    require_array(shape, dtype.itemsize)
    if size is not None and size < (needed := math.prod(shape) * dtype.itemsize):
        raise ValueError(f"{size} bytes, its header says {needed}")
    return shape, by_columns, dtype


def require_start(path: Path, start: bytes, writer: str) -> None:
    """Raise ValueError unless a file starts like this; numpy would complain about pickles, even for a text file."""
    with path.open("rb") as file:
        if file.read(len(start)) != start:
            raise ValueError(f"its content is not from {writer}, whatever its name says")


def read_npz(path: Path) -> NDArray[np.number]:
    """Read the only array of an .npz, or the only one that has a name of NPZ_NAMES."""
    require_start(path, ZIP_START, "numpy.savez")
    with np.load(path, allow_pickle=False) as arrays:
        names = list(arrays)
        chosen = names if len(names) == 1 else [name for name in names if name in NPZ_NAMES]
        if len(chosen) != 1:
            raise HqmdError(
                f"{path}: which array is the depth? There are {printable(', '.join(names[:20])) or 'none'}; "
                f"save one alone, or call it {NPZ_NAMES[0]}"
            )
        members = {name.removesuffix(".npy"): name for name in arrays.zip.namelist()}  # as numpy finds them
        with arrays.zip.open(members[chosen[0]]) as member:
            require_npy_size(member)
        with NPY_HEADERS:
            return arrays[chosen[0]]


def read_pfm(path: Path) -> NDArray[np.number]:
    """Read a grey PFM: rows from the bottom up; a negative scale means little-endian.

    Not with OpenCV, which divides by the magnitude of the scale. Writers put anything there (0.004 in Middlebury's
    disparities), and their own readers ignore it. https://netpbm.sourceforge.net/doc/pfm.html
    """
    with path.open("rb") as file:
        header = PFM_HEADER.match(file.read(LONGEST_PFM_HEADER))
        if header is None or (scale := float(header[4])) == 0:
            raise ValueError("it has no PFM header")
        if header[1] == b"PF":
            raise HqmdError(f"{path}: a PFM of three channels; {WRITE_NUMBERS}")
        values = values_after(file, header.end(), int(header[3]), int(header[2]), "<f4" if scale < 0 else ">f4")
    return values[::-1].astype(np.float32)


def read_pgm(path: Path) -> NDArray[np.number]:
    """Read a binary PGM of 8 or 16 bits. Not with Pillow, which stretches the numbers to its own largest one."""
    with path.open("rb") as file:
        header = PGM_HEADER.match(file.read(LONGEST_PFM_HEADER))
        if header is None:
            raise ValueError("it has no header of a binary PGM (P5)")
        width, height, largest = (int(number) for number in header.groups())
        values = values_after(file, header.end(), height, width, ">u2" if largest > 255 else "u1")
    return values.astype(values.dtype.newbyteorder("="))


def values_after(file: BinaryIO, start: int, height: int, width: int, kind: str) -> NDArray[np.number]:
    """Read the numbers of a map (H, W), row by row, that fill a file from `start` to its end.

    Raises ValueError if the map is too large, or the file has another number of bytes.
    """
    require_pixels(height, width)
    needed = np.dtype(kind).itemsize * width * height
    if (found := file.seek(0, os.SEEK_END) - start) != needed:
        raise ValueError(f"{found} bytes of depth, {width} x {height} pixels need {needed}")
    file.seek(start)
    return np.frombuffer(file.read(needed), kind).reshape(height, width)


DEPTH_READERS: dict[str, Callable[[Path], NDArray[np.number]]] = {
    ".png": read_picture,
    ".npy": read_npy,
    ".npz": read_npz,
    ".tif": read_picture,
    ".tiff": read_picture,
    ".pgm": read_pgm,
    ".pfm": read_pfm,
    ".exr": read_exr,
}


def depth_size(path: Path) -> tuple[int, int]:
    """Read (H, W) of a depth map from its header. Raises HqmdError naming the file if it cannot be read."""
    if path.suffix.lower() in (".npz", ".pfm", ".exr"):  # whose headers only their readers know
        return read_depth_values(path).shape[:2]
    try:
        if path.suffix.lower() == ".npy":
            if not path.is_file():
                raise no_file(path, str(path))
            with NPY_HEADERS:
                return np.load(path, mmap_mode="r", allow_pickle=False).shape[:2]
        with open_picture(path) as picture:
            return picture.size[::-1]
    except Exception as error:  # damaged files make numpy and Pillow raise all sorts
        raise unreadable(path, error) from error


def depth_bits(path: Path) -> int | None:
    """Read the bits per pixel of an integer picture, 8 or 16; None for floats, arrays and damaged files."""
    if path.suffix.lower() == ".npy":
        return None
    try:
        with open_picture(path) as picture:
            mode = picture.mode
    except Exception:  # read_depth_values says what is wrong
        return None
    return 8 if mode == "L" else 16 if mode.startswith("I") else None


def depth_unit_tag(path: Path) -> float | None:
    """Read the units per metre that write_depth_mm wrote into a PNG; None if there are none."""
    if path.suffix.lower() != ".png":
        return None
    try:
        with open_picture(path) as picture:
            tag = picture.info.get(UNIT_TAG)
    except Exception as error:  # damaged files make Pillow raise all sorts
        raise unreadable(path, error) from error
    if tag is None:
        return None
    try:
        units_per_metre = float(tag)
    except ValueError:
        units_per_metre = 0
    if not 0 < units_per_metre < float("inf"):
        raise HqmdError(f"{path}: its text chunk {UNIT_TAG} says {tag!r}, which is not a unit")
    return units_per_metre


def write_depth_mm(path: Path, depth_m: NDArray[np.floating]) -> None:
    """Write (H, W) metres as encode_depth_mm does."""
    write_bytes(path, encode_depth_mm(path, depth_m))


def encode_depth_mm(path: Path, depth_m: NDArray[np.floating]) -> bytes:
    """Encode (H, W) metres as a 16-bit PNG in millimetres, 0 = no depth, with the unit in a text chunk.

    Raises HqmdError, which names `path`, for depth beyond 65.535 m, the largest that 16 bits hold.
    """
    millimetres = np.where(valid_depth(depth_m), np.round(depth_m * MILLIMETRES_PER_METRE), 0)
    if (farthest := millimetres.max(initial=0)) > LARGEST_16_BIT:
        raise HqmdError(
            f"{path}: {farthest / MILLIMETRES_PER_METRE:.1f} m does not fit into 16 bits of millimetres; write .npy"
        )
    text = {UNIT_TAG: str(MILLIMETRES_PER_METRE), "Description": "depth in millimetres, 0 = none"}
    return encode_png(millimetres.astype(np.uint16), text)


def encode_npy(values: NDArray[np.floating]) -> memoryview:
    """Encode an array as a float32 .npy."""
    file = BytesIO()
    np.save(file, np.ascontiguousarray(values, np.float32))
    return file.getbuffer()
