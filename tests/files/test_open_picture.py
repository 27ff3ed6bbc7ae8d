"""Pillow opens what it decodes by itself, whatever the name says, and nothing that runs another program."""

import io
import os
import struct
from pathlib import Path

import pytest
from PIL import Image

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_bits, depth_size, depth_unit_tag, read_depth_values
from hqmd_cli.files.limits import LARGEST_PHOTO_BYTES
from hqmd_cli.files.photos import count_pixels, photo_size, read_photo
from pictures import corners

POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 24\n%%EndComments\nshowpage\n"


@pytest.fixture
def ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A program called gs, first on the path, that writes a file when it runs."""
    program, ran = tmp_path / "bin" / "gs", tmp_path / "ran"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\ntouch {ran}\n[ "$1" = --version ] && echo 10.0\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr("PIL.EpsImagePlugin.gs_binary", None)
    return ran


def iptc(content: bytes) -> bytes:
    """A picture in an IPTC file, which Pillow would open in any format."""

    def field(record: int, number: int, data: bytes) -> bytes:
        return struct.pack(">BBBH", 0x1C, record, number, len(data)) + data

    facts = [(60, b"\x01\x00"), (20, b"\x28"), (30, b"\x18"), (120, b"\x05")]
    return b"".join(field(3, number, data) for number, data in facts) + field(8, 10, content)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".eps", ".iim", ".bmp", ""])
@pytest.mark.parametrize("content", [POSTSCRIPT, iptc(POSTSCRIPT), b"\xc5\xd0\xd3\xc6" + bytes(30) + POSTSCRIPT])
def test_no_other_program_runs(tmp_path: Path, ghostscript: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"x{suffix}"
    path.write_bytes(content)
    for read in (read_photo, read_depth_values, photo_size, depth_size, depth_unit_tag):
        if read is depth_unit_tag and suffix != ".png":  # which has no tag to read
            continue
        with pytest.raises(HqmdError, match=rf"x{suffix}: "):
            read(path)
    assert count_pixels(path) == 0 and depth_bits(path) is None
    with pytest.raises(HqmdError, match=r"^stdin: "):
        read_photo(io.BytesIO(content), "stdin")
    assert not ghostscript.exists()


FORMATS = {
    "AVIF": {"quality": 95},
    "BMP": {},
    "DDS": {},
    "DIB": {},
    "GIF": {},
    "IM": {},
    "JPEG": {"quality": 95},
    "JPEG2000": {},
    "MPO": {"quality": 95},
    "PCX": {},
    "PNG": {},
    "PPM": {},
    "QOI": {},
    "SGI": {},
    "TGA": {},
    "TIFF": {"compression": "tiff_lzw"},
    "WEBP": {"lossless": True},
}


@pytest.mark.parametrize("suffix", [".jpg", ".own"])
@pytest.mark.parametrize("picture_format", FORMATS)
@pytest.mark.filterwarnings("ignore:IM image format")
def test_every_raster_format_stays(tmp_path: Path, picture_format: str, suffix: str) -> None:
    """Under a name of another format, too."""
    Image.init()
    if picture_format not in Image.SAVE:
        pytest.skip("this Pillow does not write it")
    own = next((end for end, form in Image.registered_extensions().items() if form == picture_format), ".own")
    path = tmp_path / f"x{own if suffix == '.own' else suffix}"
    Image.fromarray(corners()).save(path, picture_format, **FORMATS[picture_format])
    read = read_photo(path)
    assert read.rgb.shape == (24, 40, 3) and read.remarks == ()
    assert abs(read.rgb.astype(int) - corners()).mean() < 12


def test_an_icon_s_largest_picture(tmp_path: Path) -> None:
    for suffix, size in ((".ico", 64), (".icns", 1024)):
        Image.new("RGB", (64, 64), "red").save(tmp_path / f"x{suffix}")
        read = read_photo(tmp_path / f"x{suffix}")
        assert read.rgb.shape == (size, size, 3)
        assert read.remarks[0].endswith("pictures in the file; the largest is used")


def test_a_file_of_gigabytes_is_not_read(tmp_path: Path) -> None:
    """Pillow reads the whole file of some formats. This one takes no room on the disk."""
    Image.new("RGB", (9, 9)).save(tmp_path / "x.webp")
    os.truncate(tmp_path / "x.webp", LARGEST_PHOTO_BYTES + 1)
    with pytest.raises(HqmdError, match=r"x\.webp: .* MB, more than the 1,000 MB that are read"):
        read_photo(tmp_path / "x.webp")


def test_what_it_is_instead(tmp_path: Path) -> None:
    for name, content, why in (
        ("a.jpg", b"\0\0\0\x18ftypisom" + bytes(40), "a video"),
        ("b.jpg", b"%PDF-1.7\n", "PDF, which hqmd does not read; save it as PNG or JPEG"),
        ("c.dng", b"II*\0\x08\0\0\0" + bytes(40), "a camera's raw photo, .* develop"),
        ("d.png", b"\x89PNG\r\n\x1a\n", "a damaged or cut-off PNG"),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(HqmdError, match=rf"{name}: {why}"):
            read_photo(tmp_path / name)
