"""PNGs as hqmd encodes them itself: other people's readers find in them what was meant."""

from io import BytesIO

import cv2
import numpy as np
import pytest
from PIL import Image

from hqmd_cli.files.png import encode_png


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (5, 1), (33, 47)])
def test_two_readers_find_the_same_colours(size):
    rgb = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    content = encode_png(rgb)
    with Image.open(BytesIO(content)) as picture:
        assert picture.format == "PNG" and picture.mode == "RGB"
        picture.verify()  # the checksums
    with Image.open(BytesIO(content)) as picture:
        np.testing.assert_array_equal(np.asarray(picture), rgb)
    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    np.testing.assert_array_equal(bgr[..., ::-1], rgb)


@pytest.mark.parametrize("byte_order", ["<u2", ">u2"])
def test_two_readers_find_the_same_16_bits(byte_order):
    millimetres = np.random.default_rng(0).integers(0, 65536, (21, 34)).astype(byte_order)
    content = encode_png(millimetres)
    with Image.open(BytesIO(content)) as picture:
        assert picture.mode.startswith("I;16")
        np.testing.assert_array_equal(np.asarray(picture), millimetres)
    read = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)
    assert read.dtype == np.uint16
    np.testing.assert_array_equal(read, millimetres)


def test_a_part_of_a_larger_array_is_encoded_as_it_is_seen():
    rgb = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)[::2, 10:31, ::-1]
    with Image.open(BytesIO(encode_png(rgb))) as picture:
        np.testing.assert_array_equal(np.asarray(picture), rgb)


def test_text_is_read_again():
    text = {"depth_units_per_metre": "1000", "Description": "depth in millimetres, 0 = none"}
    with Image.open(BytesIO(encode_png(np.ones((3, 4), np.uint16), text))) as picture:
        assert picture.text == text


def test_what_is_smooth_becomes_small():
    down, across = np.mgrid[0:480, 0:640]
    rgb = np.stack([down // 2, across // 3, (down + across) // 5], axis=-1).astype(np.uint8)
    assert len(encode_png(rgb)) < rgb.size / 20


@pytest.mark.parametrize(
    ("shape", "dtype"), [((4, 5, 4), np.uint8), ((4, 5), np.uint8), ((4, 5), np.float16), ((4, 5, 3), np.uint16)]
)
def test_other_arrays_are_refused(shape, dtype):
    with pytest.raises(ValueError, match="neither"):
        encode_png(np.zeros(shape, dtype))
