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

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.exr import read_exr

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
