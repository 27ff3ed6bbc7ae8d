"""What metadata says about pixels: heeded, or said."""

import io
import struct
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, PngImagePlugin, TiffImagePlugin

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import photo_of, read_photo
from pictures import corners

XMP = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:GPano="http://ns.google.com/photos/1.0/panorama/" {attribute}>{element}'
    "</rdf:Description></rdf:RDF></x:xmpmeta>"
)
AS_ATTRIBUTE = XMP.format(attribute='GPano:ProjectionType="equirectangular"', element="")
AS_ELEMENT = XMP.format(attribute="", element="<GPano:ProjectionType>cylindrical</GPano:ProjectionType>")
STRAIGHT = XMP.format(attribute='GPano:ProjectionType="rectilinear"', element="")
WITHOUT = XMP.format(attribute='GPano:FullPanoWidthPixels="80"', element="")


def tiff_with(path: Path, tags: dict[int, int | bytes | tuple[int, ...] | str]) -> None:
    entries = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, value in tags.items():
        entries.tagtype[tag] = 1 if isinstance(value, tuple) else 2 if isinstance(value, str) else 4
        entries[tag] = value
    Image.fromarray(corners()).save(path, tiffinfo=entries)


@pytest.mark.parametrize(
    "tags",
    [
        {50706: (1, 4, 0, 0)},  # DNGVersion
        {254: 1, 330: 8},  # a thumbnail, with the photo in a directory below
        {271: "NIKON CORPORATION", 330: 8},
    ],
    ids=["dng", "thumbnail", "nef"],
)
@pytest.mark.filterwarnings("ignore:Metadata Warning")
def test_a_raw_photo_s_preview_is_not_the_photo(tmp_path: Path, tags: dict) -> None:
    tiff_with(tmp_path / "x.tif", tags)
    with pytest.raises(HqmdError, match=r"x\.tif: .*raw photo, .*preview of 40 x 24 .*develop"):
        read_photo(tmp_path / "x.tif")


def test_an_ordinary_tiff_of_a_camera_maker(tmp_path: Path) -> None:
    tiff_with(tmp_path / "x.tif", {271: "NIKON CORPORATION", 254: 0})
    assert read_photo(tmp_path / "x.tif").rgb.shape == (24, 40, 3)


def with_xmp(path: Path, xmp: str) -> None:
    picture = Image.fromarray(corners())
    if path.suffix == ".png":
        text = PngImagePlugin.PngInfo()
        text.add_itxt("XML:com.adobe.xmp", xmp)
        picture.save(path, pnginfo=text)
    elif path.suffix == ".tif":
        picture.save(path, tiffinfo={700: xmp.encode()})
    else:
        picture.save(path, xmp=xmp.encode())


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_panoramas(tmp_path: Path, suffix: str) -> None:
    for xmp, projection in (
        (AS_ATTRIBUTE, "equirectangular"),
        (AS_ELEMENT, "cylindrical"),
        (WITHOUT, "equirectangular"),
        (STRAIGHT, ""),
        (XMP.format(attribute="", element="ProjectionType").replace("GPano", "other").replace("panorama", "x"), ""),
    ):
        with_xmp(tmp_path / f"x{suffix}", xmp)
        assert read_photo(tmp_path / f"x{suffix}").projection == projection


def test_pixels_that_are_not_square(tmp_path: Path) -> None:
    picture = Image.fromarray(corners())
    picture.save(tmp_path / "x.tif", dpi=(100, 200))
    (remark,) = read_photo(tmp_path / "x.tif").remarks
    assert remark.startswith("its pixels are 2 times as wide as high")
    for dpi in ((72, 72), (300, 300.5)):
        picture.save(tmp_path / "x.tif", dpi=dpi)
        picture.save(tmp_path / "x.jpg", dpi=dpi)
        assert read_photo(tmp_path / "x.tif").remarks == read_photo(tmp_path / "x.jpg").remarks == ()


def test_a_jfif_aspect_without_a_unit(tmp_path: Path) -> None:
    buffer = io.BytesIO()
    Image.fromarray(corners()).save(buffer, "JPEG", dpi=(72, 72))
    content = bytearray(buffer.getvalue())
    place = content.index(b"JFIF\0") + 7
    content[place : place + 5] = struct.pack(">BHH", 0, 4, 3)
    (tmp_path / "x.jpg").write_bytes(content)
    assert "0.75 times as wide" in read_photo(tmp_path / "x.jpg").remarks[0]


def ramp(greatest: int) -> np.ndarray:
    return np.linspace(0, greatest, 24 * 40).reshape(24, 40).round().astype(np.uint16)


@pytest.mark.parametrize(("greatest", "bits"), [(255, 8), (1023, 10), (4095, 12)])
@pytest.mark.parametrize("suffix", [".png", ".tif"])
def test_fewer_bits_in_16(tmp_path: Path, greatest: int, bits: int, suffix: str) -> None:
    """Taken for 16 bits, the photo would be black."""
    Image.fromarray(ramp(greatest)).save(tmp_path / f"x{suffix}")
    photo = read_photo(tmp_path / f"x{suffix}")
    assert photo.remarks == (f"its values end at {greatest} of 65535, so they are taken for {bits} bits",)
    wanted = ramp(greatest) / (2**bits - 1) * 255
    assert np.abs(photo.rgb[..., 0] - wanted).max() <= 0.5
    with Image.open(tmp_path / f"x{suffix}") as picture:
        assert photo_of(picture).remarks == photo.remarks


def test_16_bits_stay_16_bits(tmp_path: Path) -> None:
    for greatest in (0, 4096, 65535):
        Image.fromarray(ramp(greatest)).save(tmp_path / "x.png")
        photo = read_photo(tmp_path / "x.png")
        assert photo.remarks == () and np.abs(photo.rgb[..., 0] - ramp(greatest) / 257).max() <= 0.5


def test_a_tiff_that_says_its_greatest_value(tmp_path: Path) -> None:
    entries = TiffImagePlugin.ImageFileDirectory_v2()
    entries[281] = 16383
    Image.fromarray(ramp(12000)).save(tmp_path / "x.tif", tiffinfo=entries)
    photo = read_photo(tmp_path / "x.tif")
    assert photo.remarks == () and abs(int(photo.rgb[-1, -1, 0]) - 12000 / 16383 * 255) <= 0.5


def test_12_bits_in_16_of_colours(tmp_path: Path) -> None:
    import cv2

    for greatest in (4095, 65535):
        colours = np.random.default_rng(0).integers(0, greatest, (24, 40, 3)).astype(np.uint16)
        cv2.imwrite(str(tmp_path / f"{greatest}.png"), colours)
    assert read_photo(tmp_path / "65535.png").remarks == ()
    with pytest.raises(HqmdError, match=r"4095\.png: .*16-bit colours of which none is above 4095.*stretch"):
        read_photo(tmp_path / "4095.png")
