"""TIFF, of which Pillow reads more than it understands: what must be refused, and what its tags and libtiff say.

All functions take a picture that open_picture has opened, and whose format is TIFF.
"""

import re

from PIL import Image, TiffImagePlugin

from hqmd_cli.errors import first_line
from hqmd_cli.files.kinds import DEVELOP
from hqmd_cli.files.native_lines import native_lines

DNG_VERSION, SUB_IFDS, NEW_SUBFILE_TYPE, MAX_SAMPLE, MAKE = 50706, 330, 254, 281, 271  # tags
REDUCED = 1  # bit of NEW_SUBFILE_TYPE: a smaller version of another picture in the file
MAKER_RAW = "nikon|sony|pentax|leaf|phase one|hasselblad|epson|kodak|samsung"


def decode(picture: Image.Image) -> list[str]:
    """Decode a picture in place, and return what libtiff said. Raises OSError with that as the reason if it fails."""
    said: list[str] = []
    try:
        with native_lines(said):
            picture.load()
    except Exception as error:
        raise OSError(f"{first_line(error)}{f' ({said[-1]})' if said else ''}") from error
    return said


def refuse_thumbnail(picture: Image.Image, chosen: bool = False) -> None:
    """Raise ValueError for a camera's raw photo in TIFF, of which Pillow opens the preview.

    Also for a thumbnail of another picture in the file, unless the user has chosen it. `picture` stands at the first.
    """
    assert isinstance(picture, TiffImagePlugin.TiffImageFile)
    tags = picture.tag_v2
    made_by = re.search(MAKER_RAW, f"{tags.get(TiffImagePlugin.SOFTWARE)} {tags.get(MAKE)}", re.IGNORECASE)
    reduced = int(tags.get(NEW_SUBFILE_TYPE, 0) or 0) & REDUCED
    if DNG_VERSION in tags or (SUB_IFDS in tags and (reduced or made_by)):
        raise ValueError(
            f"a camera's raw photo, of which only a preview of {picture.width} x {picture.height} pixels can be read; "
            f"{DEVELOP}"
        )
    if reduced and getattr(tags, "next", 0) and not chosen:
        raise ValueError(
            f"its first picture, {picture.width} x {picture.height}, is a thumbnail of another one in the file; choose "
            "that one by --picture N"
        )


def refuse_misread(picture: Image.Image) -> None:
    """Raise ValueError for 16-bit TIFFs that Pillow (13.0, for one) silently misreads."""
    assert isinstance(picture, TiffImagePlugin.TiffImageFile)
    tags = picture.tag_v2
    if max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))) <= 8:
        return
    if tags.get(TiffImagePlugin.PLANAR_CONFIGURATION) == 2 and picture.info.get("compression") == "raw":
        raise ValueError("16-bit colours in separate planes; save it with its planes interleaved")
    if tags.get(TiffImagePlugin.PHOTOMETRIC_INTERPRETATION) == 0:
        raise ValueError("16-bit grey that counts from white; save it counting from black")


def whitest_of(picture: Image.Image) -> int | None:
    """Return the value of white in 16-bit grey, where the file says that fewer bits are used; else None."""
    assert isinstance(picture, TiffImagePlugin.TiffImageFile)
    tags = picture.tag_v2
    try:
        bits = int(max(tags.get(TiffImagePlugin.BITSPERSAMPLE, (1,))))
        said = tags.get(MAX_SAMPLE)
        most = int(max(said) if isinstance(said, tuple) else said or 0)
    except (TypeError, ValueError):
        return None
    if 8 < bits < 16:
        return 2**bits - 1
    return most if bits == 16 and 255 < most < 65535 else None
