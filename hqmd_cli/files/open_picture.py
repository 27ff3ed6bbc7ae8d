"""Pillow opens pictures here and nowhere else: only in formats that it decodes by itself, within limits, in silence.

Pillow hands PostScript to Ghostscript, a program that runs what the file says, whatever the file is called; and IPTC
files hold a picture of any format, PostScript too. So the formats that may be opened are listed.
"""

import logging
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from io import BytesIO
from pathlib import Path

from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.kinds import BY_NAME, SNIFFED, VIDEO, Format, by_start, why_unreadable
from hqmd_cli.files.limits import LARGEST_PHOTO_BYTES, LARGEST_PIXELS, require_bytes, require_pixels
from hqmd_cli.files.native_lines import native_lines

# Every raster format that Pillow decodes by itself, by its name for it.
ALLOWED = frozenset(
    (
        "AVIF",
        "BLP",
        "BMP",
        "CUR",
        "DCX",
        "DDS",
        "DIB",
        "FITS",
        "FLI",
        "FTEX",
        "GBR",
        "GIF",
        "HEIF",
        "ICNS",
        "ICO",
        "IM",
        "IMT",
        "JPEG",
        "JPEG2000",
        "MCIDAS",
        "MPO",
        "MSP",
        "PCD",
        "PCX",
        "PIXAR",
        "PNG",
        "PPM",
        "PSD",
        "QOI",
        "SGI",
        "SPIDER",
        "SUN",
        "TGA",
        "TIFF",
        "WEBP",
        "XBM",
        "XPM",
        "XVTHUMB",
    )
)
AS_PLAIN = "leave it out, or save it as JPEG or PNG"
REPAIR = "; copy or download it again, or leave it out"  # the remedy for a damaged file

# Permanently, since all threads share one list of filters. Pillow warns of large photos, which LARGEST_PIXELS limits,
# and of damaged EXIF entries, which are not needed.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs ends in an error, which ours names with the file


def open_picture(file: Path | BytesIO) -> Image.Image:
    """Open a picture without decoding it.

    Raises PIL.UnidentifiedImageError for a format that is not in ALLOWED, and ValueError beyond the limits.
    """
    if isinstance(file, Path):
        require_bytes(file.stat().st_size, LARGEST_PHOTO_BYTES)
    form = format_of(file)
    if form is not None and not form.readable:
        raise UnidentifiedImageError(form.name)
    if form is BY_NAME["HEIC"]:
        import_module("pillow_heif").register_heif_opener()  # only now, because the import takes time
    if form is not None and form.pillow:
        try:
            return checked(Image.open(file, formats=[form.pillow]))
        except UnidentifiedImageError:  # another format with the same signature
            pass
    return checked(open_in_any_format(file))


def open_in_any_format(file: Path | BytesIO) -> Image.Image:
    """Open a picture in the first of the ALLOWED formats that takes it; the common ones first, as all take time."""
    for load in (Image.preinit, Image.init):
        load()
        try:
            return Image.open(file, formats=[name for name in Image.ID if name in ALLOWED])
        except UnidentifiedImageError:
            if load is Image.init:
                raise
    raise AssertionError("unreachable")


def checked(picture: Image.Image) -> Image.Image:
    """Return a picture that may be decoded. Raises ValueError for too many pixels."""
    require_pixels(picture.height, picture.width)
    return picture


def decoded(picture: Image.Image) -> list[str]:
    """Decode a picture in place, and return what the library below Pillow said. If it fails, that is the reason."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        picture.load()
        return []
    said: list[str] = []
    try:
        with native_lines(said):
            picture.load()
    except Exception as error:
        raise OSError(f"{first_line(error)}{f' ({said[-1]})' if said else ''}") from error
    return said


def first_bytes(file: Path | BytesIO) -> bytes:
    """Read the bytes that tell the format of a file."""
    if isinstance(file, BytesIO):
        return file.getvalue()[:SNIFFED]
    with file.open("rb") as opened:
        return opened.read(SNIFFED)


def format_of(file: Path | BytesIO) -> Format | None:
    """Return the format that the content of a file tells; None if it tells none."""
    return by_start(first_bytes(file), file.suffix.lower() if isinstance(file, Path) else "")


def explain_unidentified(file: Path | BytesIO) -> str:
    """Explain why a file is not opened as a picture, with the remedy."""
    if not first_bytes(file):
        return "an empty file; copy or download it again"
    form = format_of(file)
    if form is not None and form.medium == VIDEO:
        return f"a video ({form.name}); give it a name that ends in {form.suffixes[0]}"
    if form is not None and (why := why_unreadable(form)):
        return why
    if form is BY_NAME["TIFF"]:
        return f"a damaged TIFF, or one whose colours are fractions or have 32 bits; {AS_PLAIN}"
    if form is not None:
        return f"a damaged or cut-off {form.name}{REPAIR}"
    return f"not a picture that can be read; {AS_PLAIN}"


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
