"""Photos: read from files or memory, turned upright, as RGB."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.limits import require_pixels
from hqmd_cli.files.open_picture import explained, open_picture
from hqmd_cli.files.photo_facts import facts_of, focal_35mm_of
from hqmd_cli.files.several_pictures import ONE_PICTURE, choose

LARGEST_16_BIT = 65535
RGB_MODES = ("RGB", "RGBA", "RGBX")
OPAQUE = 255
FEWER_BITS = (8, 10, 12)  # that cameras keep in 16
DARK = 2 ** (12 - 8)  # the high byte of 12 bits
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
STRIP_PIXELS = 2**16  # a quarter of a megabyte in Pillow: fits into the cache, and is not allocated anew


@dataclass(frozen=True, eq=False)
class Photo:
    """An upright photo, and what its file says about it."""

    rgb: NDArray[np.uint8]  # (H, W, 3), upright
    focal_35mm: float | None  # millimetres on 35 mm film; None if the file does not say it for this picture
    remarks: tuple[str, ...] = ()  # what was chosen or guessed, for the user
    focal_fault: str = ""  # why the focal length in the file does not count; empty if it does, or if there is none
    projection: str = ""  # of a panorama, such as "equirectangular"; empty for a photo of a straight lens


def read_image(path: Path) -> NDArray[np.uint8]:
    """Read a photo as upright (H, W, 3) uint8 RGB; see read_photo."""
    return read_photo(path).rgb


def read_photo(file: Path | BytesIO, name: str | None = None, number: int | None = None) -> Photo:
    """Read a photo from a file or its bytes, and turn it upright by its EXIF orientation; errors call it `name`.

    `number` chooses one of several pictures in the file (several_pictures.py); a remark says which one was read. Grey,
    palette and CMYK pictures become RGB. Transparent pixels are laid on white. 16 bits become 8: grey values are
    rounded, and Pillow keeps the high byte of colours. Takes about 10 bytes a pixel while reading, 3 for the result.

    Raises HqmdError naming the file if it cannot be read, is a format that would run other programs, or is larger than
    files/limits.py allows, which the header tells.
    """
    name = name or (str(file) if isinstance(file, Path) else "photo")
    try:
        with open_picture(file, name) as picture:
            is_tiff = picture.format == "TIFF"
            if is_tiff:
                from hqmd_cli.files.tiff import refuse_thumbnail  # here, because few photos are TIFFs

                refuse_thumbnail(picture, chosen=number is not None)
            alone = number is None and picture.format in ONE_PICTURE
            several = "" if alone else choose(picture, file, number)
            # 16 bits for each colour, of which Pillow keeps 8. The header says so until the picture is decoded.
            deep = picture.mode in RGB_MODES and any(";16" in str(tile) for tile in getattr(picture, "tile", ()))
            said = decoded_tiff(picture) if is_tiff else []
            picture.load()
            exif = picture.getexif()  # after decoding: Pillow turns a TIFF upright then, and removes the tag
        facts = facts_of(picture, exif)
        white, guess = white_of(picture)
        clear = of_transparency(picture)
        picture = upright(picture, exif)  # after the `with`, which would hold on to the picture as it was stored
        rgb = to_rgb(picture, white)
        if deep:
            refuse_dark_colours(rgb)
    except HqmdError:
        raise
    except Exception as error:  # damaged files make Pillow raise all sorts
        raise explained(error, file, name) from error
    remarks = (several, facts.unequal_pixels, guess, clear, f"libtiff says: {said[0]}" if said else "")
    return Photo(rgb, facts.focal_35mm, tuple(filter(None, remarks)), facts.focal_fault, facts.projection)


def require_picture(path: Path, number: int) -> None:
    """Raise HqmdError naming the file if it has no picture of this number. Other faults are left to read_photo."""
    try:
        with open_picture(path) as picture:
            choose(picture, path, number)
    except (HqmdError, OSError):
        return
    except Exception as error:  # as read_photo
        raise explained(error, path, printable(str(path))) from error


def count_pixels(file: Path | BytesIO, number: int | None = None) -> int:
    """Count the pixels of a photo by its header; 0 if it cannot be read, which read_photo explains."""
    try:
        with open_picture(file) as picture:
            if number is not None:
                choose(picture, file, number)
            return picture.width * picture.height
    except Exception:  # damaged files make Pillow raise all sorts
        return 0


def photo_size(path: Path) -> tuple[int, int]:
    """Read (H, W) of the upright photo from its header. Raises HqmdError naming the file if it cannot be read."""
    try:
        with open_picture(path) as picture:
            sideways = picture.getexif().get(ExifTags.Base.Orientation, 1) in SIDEWAYS
            return picture.size if sideways else picture.size[::-1]
    except HqmdError:
        raise
    except Exception as error:  # as read_photo
        raise explained(error, path, str(path)) from error


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
    try:
        require_pixels(picture.height, picture.width)
        picture.load()
        exif = picture.getexif()
        white, guess = white_of(picture)
        focal_35mm, focal_fault = focal_35mm_of(exif, picture.size)
        return Photo(to_rgb(upright(picture, exif), white), focal_35mm, (guess,) if guess else (), focal_fault)
    except Exception as error:  # as read_photo
        name = getattr(picture, "filename", "") or "photo"
        raise explained(error, Path(name), str(name)) from error


def upright(picture: Image.Image, exif: Image.Exif) -> Image.Image:
    """Turn a picture upright by its EXIF orientation."""
    turn = UPRIGHT.get(exif.get(ExifTags.Base.Orientation, 1))
    return picture if turn is None else picture.transpose(turn)


def decoded_tiff(picture: Image.Image) -> list[str]:
    """Decode a TIFF in place, unless it is one that Pillow misreads; return what libtiff said. Raises as tiff.py."""
    from hqmd_cli.files.tiff import decode, refuse_misread  # as above

    refuse_misread(picture)
    return decode(picture)


def white_of(picture: Image.Image) -> tuple[int, str]:
    """Return the value of white in grey of more than 8 bits, and what was guessed, in words.

    Cameras and microscopes keep 10 or 12 bits in 16, and few files say so. Taken for 16 bits, such a photo is black.
    """
    if not picture.mode.startswith("I"):
        return LARGEST_16_BIT, ""
    if picture.format == "TIFF":
        from hqmd_cli.files.tiff import whitest_of  # as in decoded_tiff

        if said := whitest_of(picture):
            return said, ""
    greatest = max((int(np.asarray(strip).max()) for strip in strips_of(picture)), default=0)
    bits = next((bits for bits in FEWER_BITS if 0 < greatest < 2**bits), 16)
    if bits == 16:
        return LARGEST_16_BIT, ""
    return 2**bits - 1, f"its values end at {greatest} of {LARGEST_16_BIT}, so they are taken for {bits} bits"


def refuse_dark_colours(rgb: NDArray[np.uint8]) -> None:
    """Raise ValueError for 16-bit colours that leave next to nothing in the high byte, which is what Pillow keeps."""
    if 0 < (greatest := int(rgb.max(initial=0))) < DARK:
        raise ValueError(
            f"16-bit colours of which none is above {256 * greatest + 255}, as 12 bits kept in 16 have them; "
            "stretch them to the whole range"
        )


def of_transparency(picture: Image.Image) -> str:
    """Say that a picture is transparent, or parts of it; empty if none is."""
    if not picture.has_transparency_data:
        return ""
    alphas = [np.asarray(strip.convert("RGBA").getchannel("A")) for strip in strips_of(picture)]
    if min(int(alpha.min()) for alpha in alphas) == OPAQUE:
        return ""
    visible = any(alpha.any() for alpha in alphas)
    return f"{'parts of it are' if visible else 'it is'} transparent, and taken for white"


def strips_of(picture: Image.Image) -> Iterator[Image.Image]:
    """Cut a picture into strips, because every step from Pillow to numpy copies its input."""
    rows = max(1, STRIP_PIXELS // max(1, picture.width))
    for top in range(0, picture.height, rows):
        yield picture.crop((0, top, picture.width, min(top + rows, picture.height)))


def to_rgb(picture: Image.Image, white: int = LARGEST_16_BIT) -> NDArray[np.uint8]:
    """Convert any PIL picture to (H, W, 3) uint8 RGB; `white` is that of grey with more than 8 bits.

    Raises ValueError if values would be clipped.
    """
    rgb = np.empty((picture.height, picture.width, 3), np.uint8)
    top = 0
    for strip in strips_of(picture):
        rgb[top : top + strip.height] = strip_to_rgb(strip, white)
        top += strip.height
    return rgb


def strip_to_rgb(picture: Image.Image, white: int) -> NDArray[np.uint8]:
    """Convert a small PIL picture to uint8 RGB (H, W, 3), or to (H, W, 1) if it has 16-bit grey values."""
    if picture.mode.startswith("I"):  # "I;16", "I;16B" and "I": 16-bit grey, as files have it
        grey = np.asarray(picture)
        if grey.min(initial=0) < 0 or grey.max(initial=0) > LARGEST_16_BIT:
            raise ValueError(f"values beyond 0..{LARGEST_16_BIT} do not fit into an 8- or 16-bit photo")
        return np.minimum(np.round(grey / (white / 255)), 255).astype(np.uint8)[..., None]
    if picture.mode == "F":
        raise ValueError("fractional numbers are not an 8- or 16-bit photo")
    if picture.has_transparency_data:
        rgba = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return np.asarray(picture.convert("RGB"))
