"""What the metadata of a picture says about its pixels: whether they are a thumbnail's, its projection, its bits."""

import re
from collections.abc import Mapping
from typing import Any

from PIL import ExifTags, Image, TiffImagePlugin

from hqmd_cli.files.kinds import DEVELOP

DNG_VERSION, SUB_IFDS, NEW_SUBFILE_TYPE, MAX_SAMPLE, MAKE = 50706, 330, 254, 281, 271  # TIFF tags
REDUCED = 1  # bit of NEW_SUBFILE_TYPE: a smaller version of another picture in the file
# Patterns are compiled where they are used, which few photos need.
MAKER_RAW = "nikon|sony|pentax|leaf|phase one|hasselblad|epson|kodak|samsung"
PROJECTION = rb"ProjectionType[^>]{0,40}?[>\"'=\s]+([A-Za-z_-]{3,40})"
PANORAMA_NAMES = b"ns.google.com/photos/1.0/panorama"
STRAIGHT = frozenset({b"rectilinear", b"perspective", b"planar", b"flat"})
PANORAMA_OF = rb"FullPanoWidthPixels|UsePanoramaViewer"
NOTED_ASPECT = 0.02  # relative difference of a pixel's sides that is worth a word
PLAUSIBLE_FOCAL_35MM = (4, 12_000)  # millimetres; from the widest straight lenses to the longest with digital zoom
MOST_XMP = 2**20  # bytes


def of_unequal_pixels(picture: Image.Image) -> str:
    """Say that pixels are not square; empty if they are, or the file does not say."""
    across, down = pixel_density(picture)
    if across <= 0 or down <= 0 or abs(across / down - 1) <= NOTED_ASPECT:
        return ""
    ratio = down / across
    return (
        f"its pixels are {ratio:.3g} times as wide as high, by its metadata; depth and points take them for squares, "
        "so scale the photo to square pixels first"
    )


def pixel_density(picture: Image.Image) -> tuple[float, float]:
    """Return pixels per unit of length across and down; zeros if the file does not say."""
    for key in ("aspect", "jfif_density", "dpi"):
        try:
            across, down = (float(value) for value in picture.info.get(key, (0, 0)))
        except (TypeError, ValueError, ZeroDivisionError):
            continue
        if across > 0 and down > 0:
            return across, down
    return 0.0, 0.0


def projection_of(picture: Image.Image) -> str:
    """Return the projection of a panorama by its XMP, such as "equirectangular"; empty for a photo of a straight lens.

    Google's Photo Sphere metadata, https://developers.google.com/streetview/spherical-metadata, which cameras for 360
    degrees and phones' panorama modes write.
    """
    xmp = xmp_of(picture.info)
    if b"GPano" not in xmp and PANORAMA_NAMES not in xmp:
        return ""
    match = re.search(PROJECTION, xmp, re.IGNORECASE)
    if match is None:
        return "equirectangular" if re.search(PANORAMA_OF, xmp, re.IGNORECASE) else ""
    return "" if match[1].lower() in STRAIGHT else match[1].decode("ascii").lower()


def xmp_of(info: Mapping[Any, Any]) -> bytes:
    """Return the XMP of a picture, from wherever its format keeps it."""
    for key in ("xmp", "XML:com.adobe.xmp"):
        if value := info.get(key):
            return (value.encode("utf-8", "replace") if isinstance(value, str) else bytes(value))[:MOST_XMP]
    return b""


def focal_35mm_of(exif: Image.Exif, size: tuple[int, int]) -> tuple[float | None, str]:
    """Read the focal length on 35 mm film, in millimetres, of a picture of (width, height) as it is stored.

    It describes the whole frame, so it counts only if EXIF also records this size, and no digital zoom (tags 0xA405,
    0xA002, 0xA003 and 0xA404 of Exif 2.3). Returns None and the reason if it does not count; None and an empty string
    if EXIF has no focal length.
    """
    try:
        tags = exif.get_ifd(ExifTags.IFD.Exif)
        focal = float(tags.get(ExifTags.Base.FocalLengthIn35mmFilm, 0))
        recorded = [int(tags.get(tag, 0)) for tag in (ExifTags.Base.ExifImageWidth, ExifTags.Base.ExifImageHeight)]
        zoom = float(tags.get(ExifTags.Base.DigitalZoomRatio, 0) or 0)
    except Exception:  # damaged EXIF; the picture may be fine
        return None, ""
    shortest, longest = PLAUSIBLE_FOCAL_35MM
    if not shortest <= focal <= longest:
        return None, ""
    if not all(recorded):
        return None, "the EXIF has a focal length, but not the size of the picture it is of"
    if sorted(recorded) != sorted(size):
        return None, f"the EXIF has the focal length of a picture of {recorded[0]} x {recorded[1]} pixels"
    if not (zoom == 0 or abs(zoom - 1) < 0.005):
        return None, f"the EXIF states a digital zoom of {zoom:g}"
    return focal, ""


def refuse_thumbnail(picture: Image.Image, chosen: bool = False) -> None:
    """Raise ValueError for a camera's raw photo in TIFF, of which Pillow opens the preview.

    Also for a thumbnail of another picture in the file, unless the user has chosen it. `picture` stands at the first.
    """
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return
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


def has_16_bit_colours(picture: Image.Image) -> bool:
    """True if an opened picture has 16 bits for each colour, of which Pillow keeps 8; before it is decoded."""
    return picture.mode in ("RGB", "RGBA", "RGBX") and any(";16" in str(tile) for tile in getattr(picture, "tile", ()))


def whitest_of(picture: Image.Image) -> int | None:
    """Return the value of white in 16-bit grey, where the file says that fewer bits are used; else None."""
    if not isinstance(picture, TiffImagePlugin.TiffImageFile):
        return None
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
