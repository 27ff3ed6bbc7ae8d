"""Photos of every kind come in upright, as RGB, or with a message that says why not."""

import io
import os
import socket
import struct
import subprocess
import sys
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps, features

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import photos
from hqmd_cli.files.depth_files import depth_unit_tag, read_depth_values
from hqmd_cli.files.limits import LARGEST_PIXELS
from hqmd_cli.files.photos import read_image, read_photo, to_rgb
from pictures import corners

ORIENTATION = 0x0112  # the EXIF tag


def camera_exif(
    orientation: int, focal_35mm: int, size: tuple[int, int] | None = (40, 24), zoom: float | None = None
) -> Image.Exif:
    """As a camera writes it: focal length, (width, height) of the picture as it is stored, digital zoom."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    camera = exif.get_ifd(0x8769)
    camera[0xA405] = focal_35mm
    if size:
        camera[0xA002], camera[0xA003] = size
    if zoom is not None:
        camera[0xA404] = zoom
    exif[0x8769] = camera  # without this, TIFF and AVIF are written without it
    return exif


def jpeg(orientation_and_more: bytes) -> bytes:
    """A JPEG with this EXIF block."""
    buffer = io.BytesIO()
    Image.fromarray(corners()).save(buffer, "JPEG", quality=95, exif=orientation_and_more)
    return buffer.getvalue()


def exif_block(*entries: tuple[int, int, int, bytes]) -> bytes:
    """EXIF by hand, since Pillow writes none that is wrong: (tag, type, count, four bytes of value) each."""
    table = b"".join(struct.pack("<HHI4s", *entry) for entry in entries)
    return b"Exif\0\0II*\0" + struct.pack("<IH", 8, len(entries)) + table + bytes(4)


# How a camera stores an upright picture under each orientation (the standard's own eight).
STORED_AS = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}


# How to save without much loss, where that is not the rule.
FINE = {
    ".webp": {"lossless": True},
    ".jpg": {"quality": 95, "subsampling": 0},
    ".avif": {"quality": 95, "subsampling": "4:4:4"},
}
NEEDS_AVIF = pytest.param(".avif", marks=pytest.mark.skipif(not features.check("avif"), reason="Pillow has no AVIF"))


@pytest.mark.parametrize("orientation", STORED_AS)
@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", NEEDS_AVIF])
def test_exif_orientation(tmp_path: Path, orientation: int, suffix: str) -> None:
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    stored = np.ascontiguousarray(STORED_AS[orientation](corners()))
    Image.fromarray(stored).save(tmp_path / f"x{suffix}", exif=exif, **FINE.get(suffix, {}))
    read = read_image(tmp_path / f"x{suffix}")
    assert read.shape == (24, 40, 3) and read.dtype == np.uint8 and read.flags.writeable
    assert np.abs(read.astype(int) - corners()).mean() < 6


@pytest.mark.parametrize("orientation", STORED_AS)
def test_orientation_of_a_picture_with_strips_of_its_own(tmp_path: Path, monkeypatch, orientation: int) -> None:
    """Each strip comes where it belongs, the last one too; Pillow's own way of turning is the second witness."""
    monkeypatch.setattr(photos, "STRIP_PIXELS", 40 * 7)
    noise = np.random.default_rng(0).integers(0, 256, (24, 40, 3)).astype(np.uint8)
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    Image.fromarray(noise).save(tmp_path / "x.png", exif=exif)
    with Image.open(tmp_path / "x.png") as picture:
        upright = np.asarray(ImageOps.exif_transpose(picture))
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), upright)


@pytest.mark.parametrize("size", [(1, 1), (1, 70_001), (70_001, 1)])
def test_narrow_pictures(tmp_path: Path, monkeypatch, size: tuple[int, int]) -> None:
    monkeypatch.setattr(photos, "STRIP_PIXELS", 1000)
    values = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    Image.fromarray(values).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), values)


@pytest.mark.parametrize(
    "entry",
    [
        (0x0100, 2, 3, b"ab\0\0"),  # the width as text
        (0x011A, 2, 2, b"7\0\0\0"),  # the resolution as text
        (0x8769, 4, 1, struct.pack("<I", 99999)),  # the camera's part beyond the end
    ],
    ids=["width", "resolution", "camera"],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_nonsense_beside_the_orientation(tmp_path: Path, entry) -> None:
    """Viewers show such photos upright; none of it is needed to see the picture."""
    (tmp_path / "x.jpg").write_bytes(jpeg(exif_block(entry, (ORIENTATION, 3, 1, struct.pack("<HH", 6, 0)))))
    assert read_image(tmp_path / "x.jpg").shape == (40, 24, 3)


@pytest.mark.parametrize("block", [b"Exif\0\0rubbish", b"Exif\0\0II", exif_block((ORIENTATION, 3, 1, b"\x63\0\0\0"))])
def test_exif_that_is_none(tmp_path: Path, block: bytes) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg(block))
    assert read_image(tmp_path / "x.jpg").shape == (24, 40, 3)


def camera_block(kind: int, value: bytes) -> bytes:
    """EXIF whose camera part holds a focal length of this kind (3: SHORT, 2: text, 5: RATIONAL, 11: FLOAT)."""
    long_value = value if len(value) > 4 else b""
    entry = struct.pack("<HHI4s", 0xA405, kind, 1, struct.pack("<I", 44) if long_value else value.ljust(4, b"\0"))
    return exif_block((0x8769, 4, 1, struct.pack("<I", 26))) + struct.pack("<H", 1) + entry + bytes(4) + long_value


@pytest.mark.parametrize(
    ("block", "focal_35mm"),
    [
        (camera_block(3, struct.pack("<H", 28)), 28),
        (camera_block(3, struct.pack("<H", 3000)), 3000),
        (camera_block(5, struct.pack("<II", 51, 2)), 25.5),  # not the standard's kind, yet clear
        (camera_block(3, struct.pack("<H", 0)), None),  # the standard's "unknown"
        (camera_block(3, struct.pack("<H", 1)), None),
        (camera_block(3, struct.pack("<H", 65535)), None),
        (camera_block(5, struct.pack("<II", 0, 0)), None),
        (camera_block(8, struct.pack("<h", -28)), None),
        (camera_block(11, struct.pack("<f", float("nan"))), None),
        (camera_block(2, b"x\0"), None),
        (exif_block((ORIENTATION, 3, 1, b"\1\0\0\0")), None),  # no camera part
        (exif_block((0x8769, 4, 1, struct.pack("<I", 99999))), None),  # one beyond the end
        (exif_block((0x8769, 2, 3, b"ab\0\0")), None),  # one that is text
        (b"Exif\0\0rubbish", None),
    ],
)
@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_focal_length(tmp_path: Path, block: bytes, focal_35mm: float | None) -> None:
    (tmp_path / "x.jpg").write_bytes(jpeg(block))
    photo = read_photo(tmp_path / "x.jpg")
    assert photo.focal_35mm is None and ("not the size" in photo.focal_fault) == (focal_35mm is not None)
    assert photo.rgb.shape == (24, 40, 3)


@pytest.mark.parametrize(
    ("size", "zoom", "counts", "fault"),
    [
        ((40, 24), None, True, ""),
        ((24, 40), None, True, ""),  # some programs record the upright size
        ((40, 24), 0, True, ""),  # Exif: 0 means that no digital zoom was used
        ((40, 24), 1, True, ""),
        ((40, 24), 1.5, False, "digital zoom of 1.5"),
        ((4000, 2400), None, False, "of a picture of 4000 x 2400 pixels"),  # reduced or cut: the file does not say
        (None, None, False, "not the size"),
    ],
)
def test_a_focal_length_counts_only_for_its_own_picture(
    tmp_path: Path, size: tuple[int, int] | None, zoom: float | None, counts: bool, fault: str
) -> None:
    Image.fromarray(corners()).save(tmp_path / "x.jpg", exif=camera_exif(1, 35, size, zoom))
    photo = read_photo(tmp_path / "x.jpg")
    assert (photo.focal_35mm == 35) is counts and fault in photo.focal_fault and bool(photo.focal_fault) is not counts


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", NEEDS_AVIF])
def test_focal_length_in_every_format(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(corners()).save(tmp_path / f"x{suffix}", exif=camera_exif(orientation=6, focal_35mm=35))
    photo = read_photo(tmp_path / f"x{suffix}")
    assert photo.focal_35mm == 35 and photo.rgb.shape == (40, 24, 3)


def test_photo_from_memory() -> None:
    photo = read_photo(io.BytesIO(jpeg(exif_block((ORIENTATION, 3, 1, b"\6\0\0\0")))), "stdin")
    assert photo.rgb.shape == (40, 24, 3) and photo.focal_35mm is None
    for content, why in ((b"", "an empty file"), (b"text", "not a picture"), (jpeg(b"")[:400], "cannot be read")):
        with pytest.raises(HqmdError, match=f"^stdin: {why}"):
            read_photo(io.BytesIO(content), "stdin")


def grey_ramp() -> np.ndarray:
    return np.linspace(0, 255, 24 * 40).reshape(24, 40).round().astype(np.uint8)


@pytest.mark.parametrize("suffix", [".png", ".tif", ".jpg", ".bmp"])
def test_grey(tmp_path: Path, suffix: str) -> None:
    Image.fromarray(grey_ramp()).save(tmp_path / f"x{suffix}")
    read = read_image(tmp_path / f"x{suffix}")
    assert read.shape == (24, 40, 3)
    assert np.abs(read.astype(int) - grey_ramp()[..., None]).max() <= 3


@pytest.mark.parametrize(("suffix", "kind"), [(".png", "<u2"), (".tif", "<u2"), (".tif", ">u2"), (".tif", "<i4")])
def test_16_bit_grey(tmp_path: Path, suffix: str, kind: str) -> None:
    """The whole range of 16 bits becomes that of 8; cut off, all but the darkest would be white."""
    values = grey_ramp().astype(np.uint16) * 257
    Image.fromarray(values.astype(kind)).save(tmp_path / f"x{suffix}")
    read = read_image(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(read, np.repeat(grey_ramp()[..., None], 3, axis=2))


@pytest.mark.parametrize(("name", "channels"), [("x.png", 3), ("x.tif", 3), ("x.png", 4)])
def test_16_bit_colours(tmp_path: Path, name: str, channels: int) -> None:
    """Of these Pillow itself keeps the high byte, at most one step from the rounded value."""
    values = np.random.default_rng(0).integers(0, 65536, (24, 40, channels)).astype(np.uint16)
    values[..., 3:] = 65535
    order = [2, 1, 0, 3][:channels]  # OpenCV's, which writes them
    assert cv2.imwrite(str(tmp_path / name), values[..., order])
    np.testing.assert_array_equal(read_image(tmp_path / name), (values >> 8)[..., :3])


def tiff(bits: int, samples: int, photometric: int, planes: int = 1) -> bytes:
    """An uncompressed TIFF of one black or white pixel, all zeros, by hand: Pillow writes no 16-bit colours."""
    behind = 8 + 2 + 12 * 9 + 4  # the header and a table of nine: here stand the lists that do not fit into it
    bytes_a_plane = samples * bits // 8 // planes
    pixels = behind + 2 * samples + 8 * planes
    offsets = [pixels + bytes_a_plane * plane for plane in range(planes)]
    lists = struct.pack(f"<{samples}H{2 * planes}I", *[bits] * samples, *offsets, *[bytes_a_plane] * planes)
    table = [
        (256, 3, 1, 1),  # width
        (257, 3, 1, 1),  # height
        (258, 3, samples, bits if samples == 1 else behind),
        (259, 3, 1, 1),  # uncompressed
        (262, 3, 1, photometric),
        (273, 4, planes, offsets[0] if planes == 1 else behind + 2 * samples),
        (277, 3, 1, samples),
        (279, 4, planes, bytes_a_plane if planes == 1 else behind + 2 * samples + 4 * planes),
        (284, 3, 1, 1 if planes == 1 else 2),
    ]
    entries = b"".join(struct.pack("<HHII", *entry) for entry in table)
    return b"II*\0" + struct.pack("<IH", 8, len(table)) + entries + bytes(4) + lists + bytes(samples * bits // 8)


def test_16_bit_tiffs_that_pillow_misreads(tmp_path: Path) -> None:
    """It takes each byte of separate planes for a pixel, and white for black; both without a word."""
    from_white, from_black, rgb = 0, 1, 2
    (tmp_path / "planes.tif").write_bytes(tiff(16, 3, rgb, planes=3))
    (tmp_path / "white.tif").write_bytes(tiff(16, 1, from_white))
    for name, why in {"planes": "separate planes", "white": "counts from white"}.items():
        with Image.open(tmp_path / f"{name}.tif") as picture:
            assert picture.getpixel((0, 0)) in ((0, 0, 0), 0)  # Pillow reads it, or this tests something else
        with pytest.raises(HqmdError, match=rf"{name}\.tif: cannot be read: 16-bit .*{why}"):
            read_image(tmp_path / f"{name}.tif")
    for content, value in (
        (tiff(16, 3, rgb), 0),
        (tiff(16, 1, from_black), 0),
        (tiff(8, 1, from_white), 255),
        (tiff(8, 3, rgb, planes=3), 0),
    ):
        (tmp_path / "fine.tif").write_bytes(content)
        assert read_image(tmp_path / "fine.tif").tolist() == [[[value] * 3]]


def test_black_and_white(tmp_path: Path) -> None:
    Image.fromarray(corners()[..., 0] > 100).save(tmp_path / "x.png")
    assert sorted(np.unique(read_image(tmp_path / "x.png"))) == [0, 255]


def test_palette(tmp_path: Path) -> None:
    Image.fromarray(corners()).quantize(8).save(tmp_path / "x.png")
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), corners())


def test_cmyk(tmp_path: Path) -> None:
    Image.fromarray(corners()).convert("CMYK").save(tmp_path / "x.jpg", quality=95, subsampling=0)
    assert np.abs(read_image(tmp_path / "x.jpg").astype(int) - corners()).mean() < 6


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparency_is_laid_on_white(tmp_path: Path, mode: str) -> None:
    """What lies under it is often black or rubbish that no viewer shows."""
    rgba = np.zeros((24, 40, 4), np.uint8)
    rgba[:, 20:, 3] = 255
    picture = Image.fromarray(rgba)
    picture = picture.quantize(4) if mode == "P" else picture.convert(mode)
    picture.save(tmp_path / "x.png")
    with Image.open(tmp_path / "x.png") as stored:
        assert stored.mode == mode  # or this tests something else
    read = read_image(tmp_path / "x.png")
    assert (read[:, :20] == 255).all() and (read[:, 20:] == 0).all()


def test_transparency_is_said(tmp_path: Path) -> None:
    for alpha, said in ((255, ()), (100, ("parts of it are transparent, and taken for white",)),
                        (0, ("it is transparent, and taken for white",))):  # fmt: skip
        Image.new("RGBA", (6, 4), (200, 10, 10, alpha)).save(tmp_path / "a.png")
        assert read_photo(tmp_path / "a.png").remarks == said


def test_half_transparent(tmp_path: Path) -> None:
    Image.new("RGBA", (40, 24), (255, 0, 0, 128)).save(tmp_path / "x.png")
    np.testing.assert_allclose(read_image(tmp_path / "x.png")[0, 0], (255, 127, 127), atol=1)


@pytest.mark.parametrize("suffix", [".webp", ".tif", ".png", ".gif", NEEDS_AVIF])
def test_of_several_pictures_the_first(tmp_path: Path, suffix: str) -> None:
    first, second = Image.new("RGB", (40, 24), "red"), Image.new("RGB", (40, 24), "blue")
    options = {"lossless": True} if suffix == ".webp" else {}
    first.save(tmp_path / f"x{suffix}", save_all=True, append_images=[second], **options)
    with Image.open(tmp_path / f"x{suffix}") as stored:
        assert stored.n_frames == 2  # or this tests something else
    np.testing.assert_allclose(read_image(tmp_path / f"x{suffix}")[5, 5], (255, 0, 0), atol=3)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("empty.jpg", b""),
        ("text.jpg", b"not a picture at all\n" * 20),
        ("page.png", b"<!DOCTYPE html><html></html>"),
        ("begins.png", b"\x89PNG\r\n\x1a\n"),
    ],
)
def test_no_picture(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HqmdError, match=rf"{tmp_path}/{name}: "):
        read_image(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tif", ".webp", ".bmp"])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_truncated(tmp_path: Path, suffix: str, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (60, 80, 3)).astype(np.uint8)
    path = tmp_path / f"cut{suffix}"
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(HqmdError, match=rf"cut\{suffix}: "):
        read_image(path)


def png_of(width: int, height: int) -> bytes:
    """A PNG that says it is this large, and ends before its pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)  # 8-bit grey
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(9)))


@pytest.mark.filterwarnings("ignore:Image size")  # pytest undoes the filter that py sets
@pytest.mark.parametrize(("width", "height"), [(10_000, 10_001), (30_000, 30_000), (LARGEST_PIXELS + 1, 1)])
def test_more_than_100_megapixels(tmp_path: Path, monkeypatch, width: int, height: int) -> None:
    """Told from the header: not even begun to be decoded."""
    monkeypatch.setattr(Image.Image, "load", lambda picture: pytest.fail("decoded"))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda picture: pytest.fail("decoded"))
    (tmp_path / "huge.png").write_bytes(png_of(width, height))
    with pytest.raises(HqmdError, match=r"huge\.png: .*pixels"):
        read_image(tmp_path / "huge.png")


READ_IN_A_NEW_PROCESS = """
import re, sys
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import read_photo
from pathlib import Path
def peak_kilobytes():  # not getrusage: that begins with the peak of the process that started this one
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
read_photo(Path(sys.argv[1]))  # a small one: what reading loads is no part of a photo's memory
before = peak_kilobytes()
try:
    print(*read_photo(Path(sys.argv[2])).rgb.shape)
except HqmdError as error:
    print(error)
print(peak_kilobytes() - before)
"""


def read_in_a_new_process(small: Path, path: Path, *flags: str) -> tuple[str, int]:
    """What reading says, and by how many bytes the process grew at most. Nothing must appear on stderr."""
    if not Path("/proc/self/status").exists():
        pytest.skip("only Linux says there what the peak was")
    call = [sys.executable, *flags, "-c", READ_IN_A_NEW_PROCESS, str(small), str(path)]
    run = subprocess.run(call, capture_output=True, text=True, check=True)
    assert run.stderr == ""
    said, grown = run.stdout.splitlines()
    return said, int(grown) * 1024


def test_pillow_has_no_say_below_100_megapixels(tmp_path: Path) -> None:
    """It warns from 89 on, an error here. This one ends before its pixels, so that nothing is to be decoded."""
    (tmp_path / "x.png").write_bytes(png_of(10_000, 10_000))
    Image.new("RGB", (9, 9)).save(tmp_path / "small.png")
    said, _ = read_in_a_new_process(tmp_path / "small.png", tmp_path / "x.png", "-W", "error")
    assert said.startswith(f"{tmp_path}/x.png: cannot be read: ") and "truncated" in said


def test_pillow_says_nothing_about_damaged_exif(tmp_path: Path) -> None:
    """Nothing that it misses is needed, and the user cannot mend it."""
    far = struct.pack("<I", 99999)
    (tmp_path / "small.jpg").write_bytes(jpeg(b""))
    (tmp_path / "x.jpg").write_bytes(jpeg(exif_block((0x010F, 2, 99, far), (0x8769, 4, 1, far))))
    assert read_in_a_new_process(tmp_path / "small.jpg", tmp_path / "x.jpg")[0] == "24 40 3"


@pytest.mark.slow
@pytest.mark.parametrize("orientation", [1, 6])
def test_memory_of_12_megapixels(tmp_path: Path, orientation: int) -> None:
    """At most three copies of the photo while it is read, its own one among them."""
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    picture = Image.fromarray(corners(3000, 4000))
    picture.save(tmp_path / "large.jpg", exif=exif)
    picture.resize((40, 30)).save(tmp_path / "small.jpg", exif=exif)
    said, grown = read_in_a_new_process(tmp_path / "small.jpg", tmp_path / "large.jpg")
    assert said == ("3000 4000 3" if orientation == 1 else "4000 3000 3")
    assert grown < 3 * 4000 * 3000 * 3


@pytest.mark.slow
def test_100_megapixels(tmp_path: Path) -> None:
    Image.new("RGB", (10_000, 10_000), "red").save(tmp_path / "x.jpg")
    Image.new("RGB", (9, 9)).save(tmp_path / "small.jpg")
    said, grown = read_in_a_new_process(tmp_path / "small.jpg", tmp_path / "x.jpg")
    assert said == "10000 10000 3" and grown < 3 * 10**8 * 3


def test_decompression_bomb(tmp_path: Path, monkeypatch) -> None:
    """Pillow refuses what would fill the memory, with an exception of its own kind."""
    Image.new("L", (100, 100)).save(tmp_path / "huge.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    for read in (read_image, read_depth_values, depth_unit_tag):
        with pytest.raises(HqmdError, match=r"huge\.png: "):
            read(tmp_path / "huge.png")


def test_missing_and_folder(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"nothing\.jpg: no such file"):
        read_image(tmp_path / "nothing.jpg")
    with pytest.raises(HqmdError, match="a folder, not a photo"):
        read_image(tmp_path)


def test_broken_link(tmp_path: Path) -> None:
    (tmp_path / "x.jpg").symlink_to("gone.jpg")
    with pytest.raises(HqmdError, match=r"x\.jpg: a link to a file that is gone"):
        read_image(tmp_path / "x.jpg")


@pytest.mark.parametrize("what", ["loop", "long", "below a file", "zero byte"])
def test_paths_the_system_refuses(tmp_path: Path, what: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    path = {"loop": "loop.jpg", "long": "x" * 300 + ".jpg", "below a file": "file/x.jpg", "zero byte": "a\0b.jpg"}[what]
    with pytest.raises(HqmdError, match=r"\.jpg: cannot be read: \w+"):
        read_image(tmp_path / path)


@pytest.mark.unix
def test_no_waiting_for_a_pipe(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        for name in ("pipe.jpg", "socket.jpg"):
            with pytest.raises(HqmdError, match=rf"{name}: a pipe or device, not a file; send it to stdin"):
                read_image(tmp_path / name)


@pytest.fixture
def forbidden() -> Iterator[Path]:
    """A photo that this process may not open. Root may open any, so it becomes nobody for the time of a test."""
    if not hasattr(os, "seteuid"):
        pytest.skip("users are of Unix")
    with tempfile.TemporaryDirectory() as folder:  # tmp_path lies in folders that nobody may enter
        path = Path(folder, "x.jpg")
        path.write_bytes(jpeg(b""))
        path.chmod(0)
        Path(folder).chmod(0o755)
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            if os.access(path, os.R_OK, effective_ids=True):
                pytest.skip("this process may open everything")
            yield path
        finally:
            if root:
                os.seteuid(0)


def test_forbidden(forbidden: Path) -> None:
    with pytest.raises(HqmdError, match=r"x\.jpg: cannot be read: Permission denied; make it readable"):
        read_image(forbidden)


HEIC = b"\0\0\0\x1cftypheic\0\0\0\0mif1heicmiaf"


@pytest.mark.parametrize("name", ["x.heic", "sent.jpg"])  # phones and their couriers give HEIC this suffix, too
def test_heic_without_pillow_heif(tmp_path: Path, monkeypatch, name: str) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)  # as if it were not installed
    (tmp_path / name).write_bytes(HEIC)
    with pytest.raises(HqmdError, match=rf"{name}: a photo in HEIC; to read it, pip install pillow-heif$"):
        read_image(tmp_path / name)


@pytest.mark.parametrize("orientation", STORED_AS)
def test_heic(tmp_path: Path, orientation: int) -> None:
    """Turned once: by pillow-heif, which then sets the EXIF orientation to 1."""
    pytest.importorskip("pillow_heif").register_heif_opener()  # to write one
    stored = Image.fromarray(np.ascontiguousarray(STORED_AS[orientation](corners(240, 400))))
    exif = camera_exif(orientation, 26, stored.size).tobytes()  # of an Exif object it would not see the orientation
    stored.save(tmp_path / "x.heic", exif=exif, quality=95)
    photo = read_photo(tmp_path / "x.heic")
    assert photo.rgb.shape == (240, 400, 3) and photo.focal_35mm == 26
    assert np.abs(photo.rgb.astype(int) - corners(240, 400)).mean() < 6


def test_pictures_of_pillow_s_own(tmp_path: Path) -> None:
    """What `load` is given from Python: any mode, not necessarily from a file."""
    picture = Image.fromarray(corners())
    for mode in ("RGB", "RGBA", "RGBX", "YCbCr", "HSV", "P", "CMYK"):
        assert np.abs(to_rgb(picture.convert(mode, palette=Image.Palette.ADAPTIVE)).astype(int) - corners()).max() <= 3
    assert to_rgb(Image.new("RGB", (0, 5))).shape == (5, 0, 3)


def test_fractional_and_32_bit_pictures_are_refused_not_clipped(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "rgb.tif"), np.ones((3, 4, 3), np.float32))  # which Pillow cannot identify
    with pytest.raises(HqmdError, match=r"rgb\.tif: a damaged TIFF, or one whose colours are fractions"):
        read_image(tmp_path / "rgb.tif")
    Image.fromarray(np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)).save(tmp_path / "f.tif")
    Image.fromarray(np.full((3, 4), 70_000, np.int32)).save(tmp_path / "i.tif")
    for name in ("f.tif", "i.tif"):
        with pytest.raises(HqmdError, match=rf"{name}: cannot be read: .*8- or 16-bit"):
            read_image(tmp_path / name)
