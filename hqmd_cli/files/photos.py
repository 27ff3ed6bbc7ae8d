"""Photos: read from files or memory, turned upright, as RGB."""

import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError, features

from hqmd_cli.errors import HqmdError, first_line

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
AVIF_SUFFIXES = frozenset({".avif"})
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
HEIC_REMEDY = "pip install pillow-heif"

LARGEST_16_BIT = 65535
# EXIF orientation -> how to turn the stored picture upright. Not ImageOps.exif_transpose, which rewrites the other
# tags and fails on the invalid ones that cameras and editors leave.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
SIDEWAYS = frozenset({5, 6, 7, 8})  # orientations that swap height and width
LAST_BYTES = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}
PLAUSIBLE_FOCAL_35MM = (4, 12_000)  # millimetres; from the widest straight lenses to the longest with digital zoom
LARGEST_PIXELS = 100_000_000
REPAIR = "; copy or download it again, or leave it out"  # the remedy for a damaged file
STRIP_PIXELS = 2**16  # a quarter of a megabyte in Pillow: fits into the cache, and is not allocated anew

# Permanently, since all threads share one list of filters. Pillow warns of large photos, which LARGEST_PIXELS limits,
# and of damaged EXIF entries, which are not needed.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo, and the focal length that its camera recorded."""

    rgb: NDArray[np.uint8]  # (H, W, 3), upright
    focal_35mm: float | None  # millimetres on 35 mm film; None if the file does not say


def photo_suffixes() -> frozenset[str]:
    """Return the suffixes of readable photos. AVIF and HEIC need a library, or a version of it, that may be missing."""
    avif = "avif" in features.modules and features.check_module("avif")  # Pillow 11.3 and later, not every build
    heic = find_spec("pillow_heif") is not None
    return PHOTO_SUFFIXES | (AVIF_SUFFIXES if avif else set()) | (HEIC_SUFFIXES if heic else set())


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a photo as upright (H, W, 3) uint8 RGB; see read_photo."""
    return read_photo(path).rgb


def read_photo(file: Path | BytesIO, name: str | None = None) -> Photo:
    """Read a photo from a file or its bytes, and turn it upright by its EXIF orientation; errors call it `name`.

    Grey, palette and CMYK pictures become RGB. Transparent pixels are laid on white. An animation gives its first
    picture. 16 bits become 8: grey values are rounded, and Pillow keeps the high byte of colours. Takes about 10 bytes
    a pixel while reading, and 3 for the result.

    Raises HqmdError naming the file if it cannot be read, or has more than 100 megapixels, which the header tells.
    """
    name = name or (str(file) if isinstance(file, Path) else "photo")
    with explain_picture_errors(name):
        if isinstance(file, Path):
            require_file(file, name)
        try:
            with open_picture(file) as picture:
                require_size(picture)
                refuse_misread_tiff(picture)
                exif = loaded_exif(picture)
        except UnidentifiedImageError as error:
            raise HqmdError(f"{name}: {explain_unidentified(file)}") from error
        focal_35mm = focal_35mm_of(exif)
        picture = upright(picture, exif)  # after the `with`, which would hold on to the picture as it was stored
        return Photo(to_rgb(picture), focal_35mm)


def count_pixels(file: Path | BytesIO) -> int:
    """Count the pixels of a photo by its header; 0 if it cannot be read, which read_photo explains."""
    try:
        if isinstance(file, Path) and not file.is_file():  # opening a pipe would wait for ever
            return 0
        with open_picture(file) as picture:
            return picture.width * picture.height
    except Exception:  # damaged files make Pillow raise all sorts
        return 0


def photo_size(path: Path) -> tuple[int, int]:
    """Read (H, W) of the upright photo from its header. Raises HqmdError naming the file if it cannot be read."""
    with explain_picture_errors(str(path)):
        require_file(path, str(path))
        try:
            with open_picture(path) as picture:
                sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
                return picture.size if sideways else picture.size[::-1]
        except UnidentifiedImageError as error:
            raise HqmdError(f"{path}: {explain_unidentified(path)}") from error


def ends_well(path: Path) -> bool:
    """True if a JPEG or PNG ends as its format does, and for other formats. A few whole files end otherwise, too."""
    last = LAST_BYTES.get(path.suffix.lower(), b"")
    try:
        with path.open("rb") as file:
            file.seek(-len(last), os.SEEK_END)
            return file.read() == last
    except OSError:
        return False


def photo_of(picture: Image.Image) -> Photo:
    """Convert a picture that Pillow has opened. Raises HqmdError if it cannot be decoded or is too large."""
    with explain_picture_errors(getattr(picture, "filename", "") or "photo"):
        require_size(picture)
        exif = loaded_exif(picture)
        return Photo(to_rgb(upright(picture, exif)), focal_35mm_of(exif))


def loaded_exif(picture: Image.Image) -> Image.Exif:
    """Read the EXIF of a picture after decoding it, since Pillow turns a TIFF upright then and removes the tag."""
    picture.load()
    return picture.getexif()


def upright(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    """Turn a picture upright by its EXIF orientation."""
    turn = UPRIGHT.get(exif.get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def explain_picture_errors(name: str) -> Iterator[None]:
    """Turn any exception while a picture is read into an HqmdError that names it and the remedy."""
    try:
        yield
    except HqmdError:
        raise
    except Image.DecompressionBombError as error:
        limit = LARGEST_PIXELS // 10**6
        raise HqmdError(f"{name}: too many pixels; scale it to {limit} megapixels") from error
    except PermissionError as error:
        raise HqmdError(f"{name}: cannot be read: {error.strerror}; make it readable, or leave it out") from error
    except Exception as error:  # damaged files make Pillow raise all sorts
        why = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise HqmdError(f"{name}: cannot be read: {why}{'' if isinstance(error, ValueError) else REPAIR}") from error


def require_file(path: Path, name: str) -> None:
    """Raise HqmdError unless `path` is a regular file; opening a named pipe would wait for ever."""
    try:
        kind = path.stat().st_mode
    except FileNotFoundError as error:
        what = "a link to a file that is gone; remove the link" if path.is_symlink() else "no such file"
        raise HqmdError(f"{name}: {what}") from error
    if stat.S_ISDIR(kind):
        raise HqmdError(f"{name}: a folder, not a photo")
    if not stat.S_ISREG(kind):
        raise HqmdError(f"{name}: a pipe or device, not a file; send it to stdin, and give - as the source")


def open_picture(file: Path | BytesIO) -> Image.Image:
    """Open a picture; import pillow-heif only for HEIC, because the import takes time."""
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        if brand_of(file) not in HEIC_BRANDS or find_spec("pillow_heif") is None:
            raise
    import_module("pillow_heif").register_heif_opener()
    return Image.open(file)


def first_bytes(file: Path | BytesIO) -> bytes:
    """Read the 12 bytes that identify the format of a file."""
    if isinstance(file, BytesIO):
        return file.getvalue()[:12]
    with file.open("rb") as opened:
        return opened.read(12)


def brand_of(file: Path | BytesIO) -> bytes:
    """Read the main brand of an ISO media file, whatever its suffix: phones send HEIC as .jpg. Empty for others."""
    header = first_bytes(file)
    return header[8:] if header[4:8] == b"ftyp" else b""


def explain_unidentified(file: Path | BytesIO) -> str:
    """Explain why Pillow cannot identify a file, with the remedy."""
    if not first_bytes(file):
        return "an empty file; copy or download it again"
    brand = brand_of(file)
    if brand in HEIC_BRANDS and find_spec("pillow_heif") is None:
        return f"a photo in HEIC; to read it, {HEIC_REMEDY}"
    if brand == b"avif" and AVIF_SUFFIXES - photo_suffixes():
        return "a photo in AVIF; to read it, pip install 'pillow>=11.3'"
    return "not a picture that can be read; leave it out, or save it as JPEG or PNG"


def require_size(picture: Image.Image) -> None:
    """Raise ValueError for more than LARGEST_PIXELS."""
    if picture.width * picture.height > LARGEST_PIXELS:
        limit = LARGEST_PIXELS // 10**6
        raise ValueError(f"{picture.width} x {picture.height} pixels; scale it to at most {limit} megapixels")


def refuse_misread_tiff(picture: Image.Image) -> None:
    """Raise ValueError for 16-bit TIFFs that Pillow (13.0, for one) silently misreads."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return
    tags = picture.tag_v2
    if max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) <= 8:
        return
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and picture.info.get("compression") == "raw":
        raise ValueError("16-bit colours in separate planes; save it with its planes interleaved")
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
        raise ValueError("16-bit grey that counts from white; save it counting from black")


def focal_35mm_of(exif: Image.Exif) -> float | None:
    """Read the focal length on 35 mm film, millimetres; None if it is missing or implausible."""
    try:
        focal = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # damaged EXIF; the picture may be fine
        return None
    shortest, longest = PLAUSIBLE_FOCAL_35MM
    return focal if shortest <= focal <= longest else None


def to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """Convert any PIL picture to (H, W, 3) uint8 RGB. Raises ValueError if values would be clipped.

    Works in strips, because every step from Pillow to numpy copies its input.
    """
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // max(1, picture.width))
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        rgb[top : top + rows] = strip_to_rgb(strip)
    return rgb


def strip_to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """Convert a small PIL picture to uint8 RGB (H, W, 3), or to (H, W, 1) if it has 16-bit grey values."""
    if picture.mode.startswith("I"):  # "I;16", "I;16B" and "I": 16-bit grey, as files have it
        grey = np.asarray(picture)
        if grey.min(initial=0) < 0 or grey.max(initial=0) > LARGEST_16_BIT:
            raise ValueError(f"values beyond 0..{LARGEST_16_BIT} do not fit into an 8- or 16-bit photo")
        return np.round(grey / 257).astype(np.uint8)[..., None]
    if picture.mode == "F":
        raise ValueError("fractional numbers are not an 8- or 16-bit photo")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(picture.convert("RGB"))
