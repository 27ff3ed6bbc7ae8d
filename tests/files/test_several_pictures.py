"""Which of several pictures in a file is read: the first with a word about the others, or the one that is asked for."""

import io
import os
import struct
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, TiffImagePlugin

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import count_pixels, read_photo, require_picture

COLOURS = {"red": (255, 0, 0), "blue": (0, 0, 255), "green": (0, 128, 0)}
ALL_FORMATS = ["x.tif", "x.gif", "x.webp", "x.png", "x.jpg", "x.heic"]


def pictures() -> list[Image.Image]:
    """New ones each time: Pillow keeps settings of an encoder with a picture."""
    return [Image.new("RGB", (40, 24), colour) for colour in COLOURS]


def several(path: Path, count: int = 3) -> Path:
    """A file of so many pictures: red, blue and green."""
    how: dict = {".jpg": {"format": "MPO"}, ".webp": {"lossless": True}}.get(path.suffix, {})
    if path.suffix == ".heic":
        pytest.importorskip("pillow_heif").register_heif_opener()
    first, *others = pictures()[:count]
    first.save(path, save_all=True, append_images=others, **how)
    return path


def colour_of(file: Path | io.BytesIO, number: int | None = None) -> str:
    """The name of the colour that is nearest to a picture's middle."""
    middle = read_photo(file, "x", number).rgb[12, 20].astype(int)
    return min(COLOURS, key=lambda name: abs(middle - COLOURS[name]).max())


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_the_first_is_read_and_said(tmp_path: Path, name: str) -> None:
    path = several(tmp_path / name)
    in_memory = io.BytesIO(path.read_bytes())
    for file in (path, in_memory):
        assert colour_of(file) == "red"
        assert read_photo(file, "x").remarks == ("3 pictures in the file; the first is used",)
    assert read_photo(several(path, 1)).remarks == ()


@pytest.mark.parametrize("name", ALL_FORMATS)
def test_the_one_that_is_asked_for(tmp_path: Path, name: str) -> None:
    path = several(tmp_path / name)
    in_memory = io.BytesIO(path.read_bytes())
    assert [colour_of(path, number) for number in (1, 2, 3)] == [*COLOURS]
    assert colour_of(in_memory, 3) == "green"
    assert read_photo(path, number=2).remarks == ("picture 2 of 3 in the file",)
    for number in (0, 4):
        with pytest.raises(HqmdError, match=rf"{name}.* the file holds 3 pictures, and no picture {number}"):
            require_picture(path, number)
    with pytest.raises(HqmdError, match=r"stdin.* and no picture 4"):
        read_photo(in_memory, "stdin", 4)


@pytest.mark.parametrize("name", ["x.jpg", "x.bmp", "x.png", "x.ico"])
def test_a_file_with_one_picture(tmp_path: Path, name: str) -> None:
    how = {"sizes": [(24, 24)]} if name == "x.ico" else {}
    Image.new("RGB", (24, 24), "red").save(tmp_path / name, **how)
    assert read_photo(tmp_path / name, number=1).remarks == ()
    with pytest.raises(HqmdError, match="the file holds one picture, and no picture 2"):
        read_photo(tmp_path / name, number=2)


def test_pictures_of_their_own_sizes(tmp_path: Path) -> None:
    """A picture's own size counts, for the budget of pixels, too."""
    pages = [Image.new("RGB", size, "red") for size in ((40, 24), (9, 7))]
    pages[0].save(tmp_path / "x.tif", save_all=True, append_images=pages[1:])
    assert read_photo(tmp_path / "x.tif", number=2).rgb.shape == (7, 9, 3)
    assert (count_pixels(tmp_path / "x.tif"), count_pixels(tmp_path / "x.tif", 2)) == (960, 63)


@pytest.mark.parametrize("suffix", [".ico", ".icns"])
def test_icons_are_counted_from_the_largest_on(tmp_path: Path, suffix: str) -> None:
    Image.new("RGB", (64, 64), "red").save(tmp_path / f"x{suffix}")
    largest = read_photo(tmp_path / f"x{suffix}")
    count = int(largest.remarks[0].split()[0])
    shapes = [read_photo(tmp_path / f"x{suffix}", number=number).rgb.shape for number in range(1, count + 1)]
    assert shapes[0] == largest.rgb.shape and count > 2
    assert all(one[0] > other[0] for one, other in pairwise(shapes))
    with pytest.raises(HqmdError, match=f"the file holds {count} pictures"):
        read_photo(tmp_path / f"x{suffix}", number=count + 1)


def test_a_cursor_says_that_it_holds_more(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), "red").save(tmp_path / "x.ico", sizes=[(32, 32), (16, 16)], bitmap_format="bmp")
    content = bytearray((tmp_path / "x.ico").read_bytes())
    content[2] = 2  # a cursor
    (tmp_path / "x.cur").write_bytes(content)
    assert read_photo(tmp_path / "x.cur").remarks == (
        "2 pictures in the file; the largest is used, as no other can be read",
    )
    with pytest.raises(HqmdError, match="and no picture 2"):
        read_photo(tmp_path / "x.cur", number=2)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF")
def test_damage_behind_a_picture_loses_no_other(tmp_path: Path) -> None:
    several(tmp_path / "x.tif")
    with Image.open(tmp_path / "x.tif") as picture:
        picture.seek(1)
        third = picture.tag_v2.next
    os.truncate(tmp_path / "x.tif", third + 20)
    assert colour_of(tmp_path / "x.tif") == "red" and colour_of(tmp_path / "x.tif", 2) == "blue"
    assert "the first is used" in read_photo(tmp_path / "x.tif").remarks[0]
    with pytest.raises(HqmdError, match=r"x\.tif: cannot be read"):
        read_photo(tmp_path / "x.tif", number=3)


def test_a_thumbnail_is_read_only_if_it_is_asked_for(tmp_path: Path) -> None:
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    tags[254] = 1  # a smaller version of another picture
    pages = [Image.new("RGB", (8, 8), "red"), Image.new("RGB", (40, 24), "blue")]
    with TiffImagePlugin.AppendingTiffWriter(str(tmp_path / "x.tif"), new=True) as file:
        for page, its in zip(pages, (tags, None), strict=True):
            page.save(file, format="TIFF", tiffinfo=its or {})
            file.newFrame()
    with pytest.raises(HqmdError, match="a thumbnail of another one in the file; choose that one by --picture N"):
        read_photo(tmp_path / "x.tif")
    assert read_photo(tmp_path / "x.tif", number=2).rgb.shape == (24, 40, 3)
    assert read_photo(tmp_path / "x.tif", number=1).rgb.shape == (8, 8, 3)


def test_a_heic_s_primary_picture_is_its_choice(tmp_path: Path) -> None:
    heif = pytest.importorskip("pillow_heif")
    file = heif.HeifFile()
    for picture in pictures():
        file.add_from_pillow(picture)
    file.save(tmp_path / "x.heic", primary_index=1)
    assert colour_of(tmp_path / "x.heic") == "blue"
    assert read_photo(tmp_path / "x.heic").remarks == ("3 pictures in the file; the primary one, number 2, is used",)
    assert colour_of(tmp_path / "x.heic", 1) == "red"


def test_previews_in_an_mpo_are_no_pictures_of_their_own(tmp_path: Path) -> None:
    """Cameras append them to a photo; chosen by number they are read."""
    content = bytearray(several(tmp_path / "x.jpg", 2).read_bytes())
    entries = content.index(b"MPF\0") + 4 + 50  # of 16 bytes each, where Pillow writes them; the first is the photo
    content[entries + 16 : entries + 20] = struct.pack("<L", 0x010001)  # a large thumbnail of the VGA class
    (tmp_path / "x.jpg").write_bytes(content)
    assert read_photo(tmp_path / "x.jpg").remarks == ()
    assert colour_of(tmp_path / "x.jpg", 2) == "blue"
