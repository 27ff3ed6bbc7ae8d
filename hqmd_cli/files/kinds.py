"""What hqmd can read: the one registry of photos and videos, and of files that look like one but cannot be read.

A file is known by its content, not its name; the name decides where the content has no signature, and in
folders of thousands of files, where opening each would take too long. A new format is an entry of FORMATS.
"""

import os
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Literal, NamedTuple

from hqmd_cli.installed import how_to_install

PHOTO, VIDEO = "photo", "video"
Medium = Literal["photo", "video", "other"]

DEVELOP = "develop it to JPEG or TIFF first"  # all that Pillow would read of it is a small preview
SNIFFED = 1024  # bytes at the start of a file that tell its format
BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 40, 52, 56, 64, 108, 124))  # their sizes
TS_PACKET, M2TS_PACKET, TS_SYNC = 188, 192, 0x47


class Format(NamedTuple):  # which takes a third of a dataclass's time to define, in every cold start
    """One format of files."""

    name: str  # in words
    medium: Medium
    suffixes: tuple[str, ...]  # the usual one first
    starts: tuple[bytes, ...] = ()  # signatures at the start of the file
    brands: tuple[bytes, ...] = ()  # of an ISO media file, at byte 8
    pillow: str = ""  # Pillow's name
    library: str = ""  # that must be there to read it
    remedy: str = ""  # what to do if it is not readable here; with a library, the package to install
    moves: bool = False  # True if FFmpeg, too, reads it, as an animation

    @property
    def readable(self) -> bool:
        """True if it can be read here."""
        if self.library == "avif":
            return has_avif()
        return self.medium != "other" and (not self.library or find_spec(self.library) is not None)


@cache
def has_avif() -> bool:
    """True if Pillow reads AVIF: since 11.3, and not in every build."""
    from PIL import features

    return "avif" in features.modules and features.check_module("avif")


def photo(name: str, *suffixes: str, starts: tuple[bytes, ...] = (), pillow: str = "", moves: bool = False) -> Format:
    """Describe a photo that Pillow reads."""
    return Format(name, "photo", suffixes, starts, pillow=pillow or name.upper(), moves=moves)


def video(name: str, *suffixes: str, starts: tuple[bytes, ...] = (), brands: tuple[bytes, ...] = ()) -> Format:
    """Describe a video that FFmpeg reads."""
    return Format(name, "video", suffixes, starts, brands)


def other(name: str, *suffixes: str, remedy: str, starts: tuple[bytes, ...] = (), brands: tuple = ()) -> Format:
    """Describe a file that hqmd does not read, and what to do about it."""
    return Format(name, "other", suffixes, starts, brands, remedy=remedy)


HEIC_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
MOVIE_BOXES = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")  # that an old .mov without a brand begins with
RAW_SUFFIXES = (
    ".dng", ".nef", ".nrw", ".cr2", ".cr3", ".crw", ".arw", ".srf", ".sr2", ".pef", ".orf",
    ".rw2", ".raf", ".3fr", ".iiq", ".erf", ".mrw", ".x3f", ".srw", ".kdc", ".dcr",
)  # fmt: skip
JPEG_2000 = (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc")
SAVE_AS_PNG = "save it as PNG or JPEG"
READABLE = "JPEG, PNG, WebP, TIFF, BMP, GIF, JPEG 2000, AVIF and more; HEIC with pillow-heif"  # for messages

FORMATS = (
    photo("JPEG", ".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", starts=(b"\xff\xd8\xff",)),
    photo("PNG", ".png", ".apng", starts=(b"\x89PNG\r\n\x1a\n",), moves=True),
    photo("WebP", ".webp"),
    photo("TIFF", ".tif", ".tiff", starts=(b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")),
    photo("BMP", ".bmp", ".dib"),
    photo("GIF", ".gif", starts=(b"GIF87a", b"GIF89a"), moves=True),
    photo("PPM", ".ppm", ".pgm", ".pnm", ".pbm"),
    photo("JPEG 2000", *JPEG_2000, starts=(b"\0\0\0\x0cjP  \r\n\x87\n", b"\xff\x4f\xff\x51"), pillow="JPEG2000"),
    photo("TGA", ".tga", ".icb", ".vda", ".vst"),
    photo("PCX", ".pcx"),
    photo("DCX", ".dcx", starts=(b"\xb1\x68\xde\x3a",)),
    photo("ICO", ".ico", starts=(b"\0\0\1\0",)),
    photo("CUR", ".cur"),  # begins as a TGA does
    photo("ICNS", ".icns", starts=(b"icns",)),
    photo("SGI", ".sgi", ".rgb", ".rgba", ".bw"),
    photo("Photoshop", ".psd", starts=(b"8BPS",), pillow="PSD"),
    photo("QOI", ".qoi", starts=(b"qoif",)),
    photo("DDS", ".dds", starts=(b"DDS ",)),
    photo("BLP", ".blp", starts=(b"BLP1", b"BLP2")),
    photo("Sun raster", ".ras", starts=(b"\x59\xa6\x6a\x95",), pillow="SUN"),
    photo("XBM", ".xbm"),
    photo("XPM", ".xpm", starts=(b"/* XPM */",)),
    photo("FITS", ".fits", ".fit", starts=(b"SIMPLE  =",)),
    photo("FLI", ".fli", ".flc"),
    photo("FTEX", ".ftc", ".ftu", starts=(b"FTEX",)),
    photo("GIMP brush", ".gbr", pillow="GBR"),
    photo("IM", ".im"),
    photo("MSP", ".msp", starts=(b"DanM", b"LinS")),
    photo("Photo CD", ".pcd", pillow="PCD"),
    photo("PIXAR", ".pxr"),
    photo("SPIDER", ".spider", ".spi"),
    Format("AVIF", "photo", (".avif", ".avifs"), (), (b"avif", b"avis"), "AVIF", "avif", "pillow>=11.3"),
    Format("HEIC", "photo", (".heic", ".heif", ".hif"), (), HEIC_BRANDS, "HEIF", "pillow_heif", "pillow-heif"),
    video("MP4", ".mp4", ".m4v", ".mov", ".qt", ".3gp", ".3g2"),  # ISO media files, see by_brand
    video("AVI", ".avi", ".divx"),
    video("Matroska or WebM", ".mkv", ".webm", starts=(b"\x1a\x45\xdf\xa3",)),
    video("MPEG transport stream", ".m2ts", ".mts", ".ts"),
    video("MPEG", ".mpg", ".mpeg", ".vob", ".m2v", ".mpv", starts=(b"\0\0\1\xba", b"\0\0\1\xb3")),
    video("Windows Media", ".wmv", ".asf", starts=(b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",)),
    video("Flash video", ".flv", ".f4v", starts=(b"FLV\1",)),
    video("Ogg", ".ogv", ".ogg", starts=(b"OggS",)),
    video("MXF", ".mxf", starts=(b"\x06\x0e\x2b\x34\x02\x05\x01\x01",)),
    video("raw video", ".y4m", starts=(b"YUV4MPEG2 ",)),
    video("RealMedia", ".rm", ".rmvb", starts=(b".RMF",)),
    other(
        "a camera's raw photo",
        *RAW_SUFFIXES,
        remedy=DEVELOP,
        starts=(b"IIRO", b"IIU\0", b"FUJIFILMCCD-RAW", b"\0MRM", b"FOVb", b"II\x1a\0\0\0HEAPCCDR"),
        brands=(b"crx ",),
    ),
    other("PostScript", ".eps", ".ps", remedy=SAVE_AS_PNG, starts=(b"%!PS", b"\xc5\xd0\xd3\xc6", b"%!")),
    other("PDF", ".pdf", remedy=SAVE_AS_PNG, starts=(b"%PDF-",)),
    other("SVG", ".svg", remedy=SAVE_AS_PNG),
    other("a Windows metafile", ".wmf", ".emf", remedy=SAVE_AS_PNG, starts=(b"\xd7\xcd\xc6\x9a",)),
    other("JPEG XL", ".jxl", remedy=SAVE_AS_PNG, starts=(b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n")),
    other("JPEG XR", ".jxr", ".wdp", ".hdp", remedy=SAVE_AS_PNG, starts=(b"II\xbc\1",)),
    other("OpenEXR", ".exr", remedy=SAVE_AS_PNG, starts=(b"\x76\x2f\x31\x01",)),
    other("Radiance HDR", ".hdr", remedy=SAVE_AS_PNG, starts=(b"#?RADIANCE", b"#?RGBE")),
    other("a GIMP picture", ".xcf", remedy=SAVE_AS_PNG, starts=(b"gimp xcf",)),
    other("a playlist", ".m3u8", ".m3u", remedy="give the video itself", starts=(b"#EXTM3U", b"ffconcat")),
)
BY_SUFFIX = {suffix: form for form in reversed(FORMATS) for suffix in form.suffixes}
BY_NAME = {form.name: form for form in FORMATS}
RAW = BY_NAME["a camera's raw photo"]
XML_FORMATS = {b"<svg": BY_NAME["SVG"], b"<MPD": BY_NAME["a playlist"]}
# Suffixes that mostly mean something else; such files count if their content says so.
SHARED_SUFFIXES = frozenset({".ts", ".mts", ".rgb", ".bw", ".im", ".fit", ".ras", ".rm", ".gbr", ".msp", ".ps", ".ogg"})


def photo_suffixes() -> frozenset[str]:
    """Return the suffixes of photos that can be read here, without those that mostly mean something else."""
    readable = (suffix for suffix, form in BY_SUFFIX.items() if form.medium == PHOTO and form.readable)
    return frozenset(readable) - SHARED_SUFFIXES


def by_name(path: Path) -> Format | None:
    """Return the format that a suffix stands for; None if it stands for none, or for something else as well."""
    suffix = path.suffix.lower()
    return None if suffix in SHARED_SUFFIXES else BY_SUFFIX.get(suffix)


def by_content(path: Path) -> Format | None:
    """Return the format of a file by its first bytes; None if they tell none, or it is no file that can be opened."""
    if not os.path.isfile(path):  # opening a pipe would wait for ever
        return None
    try:
        with open(path, "rb") as file:
            return by_start(file.read(SNIFFED), path.suffix.lower())
    except OSError:
        return None


def kind_of(path: Path) -> Format | None:
    """Return the format of a file: by its content, or else by its name. For files that the user named."""
    return by_content(path) or by_name(path)


def kind_in_folder(path: Path) -> Format | None:
    """Return the format of a file in a folder: by its name if that is readable, or else by its content."""
    named = by_name(path)
    return named if named and named.readable else by_content(path) or named


def is_video(path: Path) -> bool:
    """True for a video that the user named, and for what is only called so, which opening it explains.

    An animated picture is a photo, see `can_move`.
    """
    if os.path.isdir(path):
        return False
    found, named = by_content(path), by_name(path)
    form = named if found is None or found.medium == "other" else found
    return form is not None and form.medium == VIDEO


def can_move(path: Path) -> bool:
    """True for a picture whose format holds animations that can be read as a video: GIF and PNG."""
    form = None if os.path.isdir(path) else kind_of(path)
    return form is not None and form.moves


def why_unreadable(form: Format) -> str:
    """Say in a few words what a format is, and what to do so that it can be read; empty if it can be read here."""
    if form.readable:
        return ""
    if form.library:
        return f"a photo in {form.name}; to read it, {how_to_install(form.remedy)}"
    return f"{form.name}, which hqmd does not read; {form.remedy}"


def by_start(start: bytes, suffix: str = "") -> Format | None:
    """Return the format that a file's first bytes tell; None if they tell none."""
    found = by_brand(start) or by_riff(start) or next((form for form in FORMATS if start.startswith(form.starts)), None)
    if found is None and is_transport_stream(start):
        return BY_NAME["MPEG transport stream"]
    if found is None and start[:2] == b"BM" and start[14:18] in BMP_HEADERS:
        return BY_NAME["BMP"]
    if found is None and start[:1] == b"P" and start[1:2] in b"123456" and start[2:3].isspace():
        return BY_NAME["PPM"]
    if found is None and start.lstrip()[:1] == b"<":
        return next((form for tag, form in XML_FORMATS.items() if tag in start), None)
    # Cameras write their raw photos as TIFF; one called .tif is known by its tags, see photo_facts.
    return RAW if found is BY_NAME["TIFF"] and suffix in RAW_SUFFIXES else found


def by_brand(start: bytes) -> Format | None:
    """Return the format of an ISO media file, by its main brand: phones send HEIC as .jpg."""
    if start[4:8] in MOVIE_BOXES:
        return BY_NAME["MP4"]
    if start[4:8] != b"ftyp":
        return None
    brand = start[8:12]
    return next((form for form in FORMATS if brand in form.brands), BY_NAME["MP4"])


def by_riff(start: bytes) -> Format | None:
    """Return the format of a RIFF file."""
    inside = {b"WEBP": "WebP", b"AVI ": "AVI"}.get(start[8:12])
    return BY_NAME[inside] if inside and start[:4] == b"RIFF" else None


def is_transport_stream(start: bytes) -> bool:
    """True if packets of an MPEG transport stream begin where they must."""
    for packet, offset in ((TS_PACKET, 0), (M2TS_PACKET, 4)):
        places = range(offset, len(start), packet)
        if len(places) >= 3 and all(start[place] == TS_SYNC for place in places):
            return True
    return False
