"""Pillow opens pictures here and nowhere else: only in formats that it decodes by itself, within limits, in silence.

Pillow hands PostScript to Ghostscript, a program that runs what the file says, whatever the file is called; and IPTC
files hold a picture of any format, PostScript too. So the formats that may be opened are listed.
"""

import logging
import stat
import warnings
from contextlib import suppress
from importlib import import_module
from io import BytesIO
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.kinds import BY_NAME, SNIFFED, VIDEO, Format, by_start, why_unreadable
from hqmd_cli.files.limits import LARGEST_PHOTO_BYTES, LARGEST_PIXELS, require_bytes, require_pixels

# Every raster format that Pillow decodes by itself, by its name for it.
ALLOWED = frozenset(
    (
        "AVIF", "BLP", "BMP", "CUR", "DCX", "DDS", "DIB", "FITS", "FLI", "FTEX", "GBR", "GIF", "HEIF", "ICNS", "ICO",
        "IM", "IMT", "JPEG", "JPEG2000", "MCIDAS", "MPO", "MSP", "PCD", "PCX", "PIXAR", "PNG", "PPM", "PSD", "QOI",
        "SGI", "SPIDER", "SUN", "TGA", "TIFF", "WEBP", "XBM", "XPM", "XVTHUMB",
    )
)  # fmt: skip
AS_PLAIN = "leave it out, or save it as JPEG or PNG"
REPAIR = "; copy or download it again, or leave it out"  # the remedy for a damaged file

# Permanently, since all threads share one list of filters. Pillow warns of large photos, which LARGEST_PIXELS limits,
# and of damaged EXIF entries, which are not needed.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")
logging.getLogger("PIL").setLevel(logging.CRITICAL)  # what it logs ends in an error, which ours names with the file


def open_picture(file: Path | BytesIO, name: str = "") -> Image.Image:
    """Open a picture without decoding it; errors about the file call it `name`.

    Raises HqmdError for what is no file, ValueError beyond the limits, and PIL.UnidentifiedImageError for a format that
    is not in ALLOWED.
    """
    if isinstance(file, Path):
        if not file.is_file():  # opening a named pipe would wait for ever
            raise no_file(file, name or str(file))
        if (size := file.stat().st_size) > LARGEST_PHOTO_BYTES:
            require_bytes(size, LARGEST_PHOTO_BYTES)
    form = format_of(file)
    if form is not None and not form.readable:
        raise UnidentifiedImageError(form.name)
    if form is BY_NAME["HEIC"]:
        import_module("pillow_heif").register_heif_opener()  # only now, because the import takes time
    picture: Image.Image | None = None
    if form is not None and form.pillow:
        with suppress(UnidentifiedImageError):  # another format with the same signature
            picture = Image.open(file, formats=[form.pillow])
    if picture is None:
        picture = open_in_any_format(file)
    if not 0 < picture.height * picture.width <= LARGEST_PIXELS:
        require_pixels(picture.height, picture.width)
    return picture


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


def explained(error: Exception, file: Path | BytesIO, name: str) -> HqmdError:
    """Turn what was raised while a picture was read into an HqmdError that names it and the remedy."""
    if isinstance(error, UnidentifiedImageError):
        return HqmdError(f"{name}: {explain_unidentified(file)}")
    if isinstance(error, Image.DecompressionBombError):
        return HqmdError(f"{name}: too many pixels; scale it to {LARGEST_PIXELS // 10**6} megapixels")
    if isinstance(error, PermissionError):
        return HqmdError(f"{name}: cannot be read: {error.strerror}; make it readable, or leave it out")
    why = (isinstance(error, OSError) and error.strerror) or first_line(error)
    return HqmdError(f"{name}: cannot be read: {why}{'' if isinstance(error, ValueError) else REPAIR}")


def no_file(path: Path, name: str) -> HqmdError:
    """Say what lies at a path that is no regular file. Raises OSError if the system does not tell."""
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except FileNotFoundError:
        gone = path.is_symlink()
        return HqmdError(f"{name}: {'a link to a file that is gone; remove the link' if gone else 'no such file'}")
    if is_folder:
        return HqmdError(f"{name}: a folder, not a photo")
    return HqmdError(f"{name}: a pipe or device, not a file; send it to stdin, and give - as the source")
