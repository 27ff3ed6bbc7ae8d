"""Photos and depth maps on disk: the only room that reads and writes picture files."""

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
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError, features

from hqmd_cli.errors import HqmdError, first_line

if TYPE_CHECKING:
    pass

PHOTO_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff"})
AVIF_SUFFIXES = frozenset({".avif"})
HEIC_SUFFIXES = frozenset({".heic", ".heif"})
HEIC_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"})
HEIC_REMEDY = "pip install pillow-heif"

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
LYING = frozenset({5, 6, 7, 8})  # of these, the ones that exchange height and width
LAST_BYTES = {".jpg": b"\xff\xd9", ".jpeg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}
PLAUSIBLE_FOCAL_35MM = (4, 12_000)  # millimetres; from the widest straight lenses to the longest with digital zoom
LARGEST_PIXELS = 100_000_000
REPAIR = "; copy or download it again, or leave it out"  # what helps with a damaged file
STRIP_PIXELS = 2**16  # a quarter of a megabyte as Pillow holds them: what the cache keeps, and is not asked for anew

# For good and not for a moment: the filters are one list for all threads, and photos are read in several. Larger
# photos than Pillow warns of are read (see LARGEST_PIXELS), and what it misses in damaged EXIF is not needed.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


@dataclass(frozen=True, eq=False)
class Photo:
    """A photo as it is meant to be seen, and what its camera said about itself."""

    rgb: NDArray[np.uint8]  # (H, W, 3), upright
    focal_35mm: float | None  # millimetres on 35 mm film; None where the file does not say


def photo_suffixes() -> frozenset[str]:
    """Suffixes of the photos that can be read here: some need a library, or a version of one, that may be absent."""
    avif = "avif" in features.modules and features.check_module("avif")  # Pillow 11.3 and later, not every build
    heic = find_spec("pillow_heif") is not None
    return PHOTO_SUFFIXES | (AVIF_SUFFIXES if avif else set()) | (HEIC_SUFFIXES if heic else set())


def read_image(path: Path) -> NDArray[np.uint8]:
    """A photo as (H, W, 3) uint8 RGB, upright; see read_photo."""
    return read_photo(path).rgb


def read_photo(file: Path | BytesIO, name: str | None = None) -> Photo:
    """A photo from a file or its bytes, turned upright by its EXIF orientation; `name` is what errors call it.

    Grey, palette and CMYK pictures become RGB, transparency is laid on white, of an animation the first picture is
    taken. 16 bits become 8: grey is rounded, of colours Pillow keeps the high byte. Needs about 10 bytes a pixel while
    it reads, of which the 3 of the result stay.

    Raises HqmdError naming the file when it cannot be read, or has more than 100 megapixels (told before decoding it).
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
    """How many a photo has, by its header; 0 where that cannot be read, which read_photo will explain."""
    try:
        if isinstance(file, Path) and not file.is_file():  # a pipe would wait for ever
            return 0
        with open_picture(file) as picture:
            return picture.width * picture.height
    except Exception:  # damaged files make Pillow raise all sorts
        return 0


def photo_size(path: Path) -> tuple[int, int]:
    """(H, W) of a photo as it is meant to be seen, by its header. Raises HqmdError as read_photo does."""
    with explain_picture_errors(str(path)):
        require_file(path, str(path))
        try:
            with open_picture(path) as picture:
                lies = picture.getexif().get(ExifTags.Base.Orientation, 1) in LYING
                return picture.size if lies else picture.size[::-1]
        except UnidentifiedImageError as error:
            raise HqmdError(f"{path}: {explain_unidentified(path)}") from error


def ends_well(path: Path) -> bool:
    """Whether a JPEG or PNG ends as its format does; true of others. False of files cut off, and of some whole ones."""
    last = LAST_BYTES.get(path.suffix.lower(), b"")
    try:
        with path.open("rb") as file:
            file.seek(-len(last), os.SEEK_END)
            return file.read() == last
    except OSError:
        return False


def photo_of(picture: Image.Image) -> Photo:
    """A picture that Pillow has opened already, as read_photo would give it. Raises HqmdError as that does."""
    with explain_picture_errors(getattr(picture, "filename", "") or "photo"):
        require_size(picture)
        exif = loaded_exif(picture)
        return Photo(to_rgb(upright(picture, exif)), focal_35mm_of(exif))


def loaded_exif(picture: Image.Image) -> Image.Exif:
    """The picture's EXIF, asked after it was decoded: a TIFF is turned by that, and its tag taken away."""
    picture.load()
    return picture.getexif()


def upright(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    """The picture as its EXIF orientation says it is meant to be seen."""
    turn = UPRIGHT.get(exif.get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


@contextmanager
def explain_picture_errors(name: str) -> Iterator[None]:
    """Whatever reading a picture raises, as a line that names it and the remedy."""
    try:
        yield
    except HqmdError:
        raise
    except Image.DecompressionBombError as error:
        limit = LARGEST_PIXELS // 10**6
        raise HqmdError(f"{name}: more pixels than memory is meant for; scale it to {limit} megapixels") from error
    except PermissionError as error:
        raise HqmdError(f"{name}: cannot be read: {error.strerror}; make it readable, or leave it out") from error
    except Exception as error:  # damaged files make Pillow raise all sorts
        why = (isinstance(error, OSError) and error.strerror) or first_line(error)
        raise HqmdError(f"{name}: cannot be read: {why}{'' if isinstance(error, ValueError) else REPAIR}") from error


def require_file(path: Path, name: str) -> None:
    """Raise HqmdError for what is no file: opening a named pipe would wait for ever."""
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
    """Image.open, with pillow-heif only where it takes that: importing it for every photo would cost time."""
    try:
        return Image.open(file)
    except UnidentifiedImageError:
        if brand_of(file) not in HEIC_BRANDS or find_spec("pillow_heif") is None:
            raise
    import_module("pillow_heif").register_heif_opener()
    return Image.open(file)


def first_bytes(file: Path | BytesIO) -> bytes:
    """The 12 in which a file says what it is."""
    if isinstance(file, BytesIO):
        return file.getvalue()[:12]
    with file.open("rb") as opened:
        return opened.read(12)


def brand_of(file: Path | BytesIO) -> bytes:
    """The main brand of an ISO media file, whatever its suffix: phones send HEIC photos as .jpg. Empty for others."""
    header = first_bytes(file)
    return header[8:] if header[4:8] == b"ftyp" else b""


def explain_unidentified(file: Path | BytesIO) -> str:
    """Why Pillow does not know what a file is, and the remedy where there is one."""
    if not first_bytes(file):
        return "an empty file; copy or download it again"
    brand = brand_of(file)
    if brand in HEIC_BRANDS and find_spec("pillow_heif") is None:
        return f"a photo in HEIC; to read it, {HEIC_REMEDY}"
    if brand == b"avif" and AVIF_SUFFIXES - photo_suffixes():
        return "a photo in AVIF; to read it, pip install 'pillow>=11.3'"
    return "not a picture that can be read; leave it out, or save it as JPEG or PNG"


def require_size(picture: Image.Image) -> None:
    """Raise ValueError for more pixels than the memory is meant for."""
    if picture.width * picture.height > LARGEST_PIXELS:
        limit = LARGEST_PIXELS // 10**6
        raise ValueError(f"{picture.width} x {picture.height} pixels; scale it to at most {limit} megapixels")


def refuse_misread_tiff(picture: Image.Image) -> None:
    """Raise ValueError for 16-bit TIFFs that Pillow (seen with 13.0) turns into another picture without complaint."""
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
    """The focal length as on 35 mm film, millimetres; None where it is not given, or cannot be one."""
    try:
        focal = float(exif.get_ifd(ExifTags.IFD.Exif).get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
    except Exception:  # EXIF that is damaged here says nothing; the picture beside it may be whole
        return None
    shortest, longest = PLAUSIBLE_FOCAL_35MM
    return focal if shortest <= focal <= longest else None


def to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """Any PIL picture as (H, W, 3) uint8 RGB. Raises ValueError where that would mean clipping.

    Strip by strip, since every step of the way from Pillow to numpy makes another copy of what it is given.
    """
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    rows = max(1, STRIP_PIXELS // max(1, picture.width))
    for top in range(0, picture.height, rows):
        strip = picture.crop((0, top, picture.width, min(top + rows, picture.height)))
        rgb[top : top + rows] = strip_to_rgb(strip)
    return rgb


def strip_to_rgb(picture: Image.Image) -> NDArray[np.uint8]:
    """The same of a small picture, as (H, W, 3), or (H, W, 1) where it is grey."""
    if picture.mode.startswith("I"):  # "I;16", "I;16B" and "I": 16-bit grey, as files have it
        grey = np.asarray(picture)
        if grey.min(initial=0) < 0 or grey.max(initial=0) > LARGEST_16_BIT:
            raise ValueError(f"values beyond 0..{LARGEST_16_BIT} are no 8- or 16-bit photo")
        return np.round(grey / 257).astype(np.uint8)[..., None]
    if picture.mode == "F":
        raise ValueError("a picture of fractional numbers is no 8- or 16-bit photo")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(picture.convert("RGB"))
