"""Photos and depth maps on disk: the only room that reads and writes picture files."""

import os
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, PngImagePlugin, UnidentifiedImageError

from hqmd_cli.errors import HqmdError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
FIGURE_SUFFIXES = frozenset({".png", ".pdf", ".svg"})
DEPTH_SUFFIXES = frozenset({".png", ".npy", ".tif", ".tiff"})

MILLIMETRES_PER_METRE = 1000
LARGEST_16_BIT = 65535
# EXIF orientation -> how to turn the stored picture upright. Not ImageOps.exif_transpose: that writes the other
# tags anew, and fails on the nonsense that cameras and editors leave in them.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
UNIT_TAG = "depth_units_per_metre"  # the PNG text chunk that says what a depth PNG's numbers mean


def read_image(path: Path) -> NDArray[np.uint8]:
    """A photo as (H, W, 3) uint8 RGB, turned upright by its EXIF orientation.

    Grey, palette and CMYK pictures become RGB, transparency is laid on white, 16 bits become 8, of an animation
    the first picture is taken. Raises HqmdError naming the file when it cannot be read.
    """
    if not path.exists():
        raise HqmdError(f"{path}: no such file")
    if path.is_dir():
        raise HqmdError(f"{path}: a folder, not a photo")
    try:
        with Image.open(path) as picture:
            picture.load()  # a TIFF is turned by this, and its tag taken away
            turn = UPRIGHT.get(picture.getexif().get(ExifTags.Base.Orientation, 1))
            return to_rgb(picture if turn is None else picture.transpose(turn))
    except UnidentifiedImageError as error:
        raise HqmdError(f"{path}: not a picture that can be read") from error
    except Exception as error:  # damaged files make Pillow raise all sorts
        raise HqmdError(f"{path}: cannot be read: {error}") from error


def to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """Any PIL picture as (H, W, 3) uint8 RGB. Raises ValueError where that would mean clipping."""
    if picture.mode in ("I;16", "I;16B", "I"):  # 16-bit grey
        grey = np.asarray(picture)
        if grey.min(initial=0) < 0 or grey.max(initial=0) > LARGEST_16_BIT:
            raise ValueError(f"values {grey.min()}..{grey.max()} are no 8- or 16-bit photo")
        return np.repeat(np.round(grey / 257).astype(np.uint8)[..., None], 3, axis=2)
    if picture.mode == "F":
        raise ValueError("a picture of fractional numbers is no 8- or 16-bit photo")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.array(picture.convert("RGB"))


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
    known = np.isfinite(depth_m) & (depth_m > 0)
    millimetres = np.where(known, np.round(depth_m * MILLIMETRES_PER_METRE), 0)
    if (farthest := millimetres.max(initial=0)) > LARGEST_16_BIT:
        raise HqmdError(
            f"{path}: {farthest / MILLIMETRES_PER_METRE:.1f} m does not fit into 16 bits of millimetres; write .npy"
        )
    note = PngImagePlugin.PngInfo()
    note.add_text(UNIT_TAG, str(MILLIMETRES_PER_METRE))
    note.add_text("Description", "depth in millimetres, 0 = none")
    picture = Image.fromarray(millimetres.astype(np.uint16))
    write_aside(path, lambda aside: picture.save(aside, format="PNG", pnginfo=note))


def write_depth_npy(path: Path, depth_m: NDArray[np.floating]) -> None:
    """(H, W) metres as float32 .npy."""

    def save(aside: Path) -> None:
        with aside.open("wb") as file:  # np.save on a path would add a suffix of its own
            np.save(file, depth_m.astype(np.float32))

    write_aside(path, save)


def write_image(path: Path, rgb: NDArray[np.uint8]) -> None:
    """(H, W, 3) uint8 RGB as a picture in the format of the path's suffix."""
    picture_format = Image.registered_extensions().get(path.suffix.lower())
    if picture_format not in Image.SAVE:  # filled by registered_extensions; some formats are for reading only
        raise HqmdError(f"{path}: no picture format has this suffix; .png is one")
    write_aside(path, lambda aside: Image.fromarray(rgb).save(aside, format=picture_format))


def write_figure(path: Path, figure: "Figure") -> None:
    """A matplotlib figure in the format of the path's suffix (.png, .pdf, .svg)."""
    require_suffix(path, FIGURE_SUFFIXES)
    write_aside(path, lambda aside: figure.savefig(aside, format=path.suffix.lstrip(".").lower()))


def require_suffix(path: Path, suffixes: Collection[str]) -> None:
    """Refuse a path that asks for a format that is not written."""
    if path.suffix.lower() not in suffixes:
        raise HqmdError(f"{path}: cannot be written with this suffix; there are {', '.join(sorted(suffixes))}")


def write_text(path: Path, text: str) -> None:
    """A text file."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_aside(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write beside `path`, then rename: a file appears whole or not at all. Makes the folders."""
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = path.with_name(f".{path.name}.{os.getpid()}.part")
        try:
            save(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn the system's words (read-only folder, full disk) into a line that names the file."""
    try:
        yield
    except OSError as error:
        raise HqmdError(f"{path}: cannot be written: {error.strerror or error}") from error


def find_photos(source: Path, leave_out: Collection[Path] = ()) -> Iterator[tuple[Path, Path]]:
    """Photos of a source, each with its place below the source (a photo's own name, a folder's tree).

    What lies in a folder of `leave_out` below the source (where an earlier run wrote to) is no photo. Raises
    HqmdError when there is nothing.
    """
    if not source.exists():
        raise HqmdError(f"{source}: no such file or folder")
    if not source.is_dir():
        yield source, Path(source.name)
        return
    top = source.resolve()
    elsewhere = [folder for folder in (f.resolve() for f in leave_out) if folder != top and folder.is_relative_to(top)]
    photos = [
        path
        for path in sorted(source.rglob("*"))
        if path.suffix.lower() in PHOTO_SUFFIXES
        and not path.name.startswith(".")
        and not path.is_dir()
        and not any(path.resolve().is_relative_to(folder) for folder in elsewhere)
    ]
    if not photos:
        raise HqmdError(f"{source}: no photos in this folder ({', '.join(sorted(PHOTO_SUFFIXES))})")
    for photo in photos:
        yield photo, photo.relative_to(source)
