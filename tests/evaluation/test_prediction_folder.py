"""Predictions made elsewhere: found by name, read in every format, and what they give away about themselves."""

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import pytest
from PIL import Image

from conftest import TRAIN_NAMES, VAL_NAMES, scene
from hqmd_cli.data import open_dataset
from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.prediction_folder import CheckedFolder, PredictionFolder, find_predictions, read_prediction
from hqmd_cli.evaluation.sanity.checks import Examination, diagnose, explain_invalid, explain_unit
from hqmd_cli.evaluation.sanity.values import ranks_of, spearman
from hqmd_cli.files.depth_files import DEPTH_READERS, write_depth_mm
from hqmd_cli.units import KINDS

NAMES = TRAIN_NAMES + VAL_NAMES
SIZE = (48, 64)
TRUE_M = {name: scene(seed, SIZE)[1] for seed, name in enumerate(NAMES)}
ALL_VALID = np.ones(SIZE, bool)


def guess(name: str) -> np.ndarray:
    """An honest prediction in metres: the truth 5 % too far, and with noise."""
    noise = np.random.default_rng(len(name)).normal(0, 0.05, SIZE)
    return (TRUE_M[name] * 1.05 + noise).astype(np.float32)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An honest prediction for each of conftest's pairs, as .npy in metres."""
    folder = tmp_path / "preds"
    folder.mkdir()
    for name in NAMES:
        np.save(folder / f"{name}.npy", guess(name))
    return folder


def rewrite(folder: Path, change) -> None:
    """Every prediction of the folder as `change` makes it."""
    for file in folder.glob("*.npy"):
        np.save(file, change(np.load(file)))


def sample_of(name: str) -> Sample:
    return Sample(name, np.zeros((*SIZE, 3), np.uint8), TRUE_M[name], ALL_VALID)


def random_rooms(count: int) -> list[np.ndarray]:
    """Depths (48, 64) with three boxes each on one and the same floor: alike, as rooms are, but no two the same."""
    rooms = []
    for seed in range(count):
        rng = np.random.default_rng(seed)
        depth_m = np.repeat(np.linspace(5, 1.5, 48, dtype=np.float32)[:, None], 64, axis=1)
        for _ in range(3):
            top, left = rng.integers(0, 30), rng.integers(0, 44)
            depth_m[top : top + 18, left : left + 20] = rng.uniform(1, 5)
        rooms.append(depth_m)
    return rooms


ROOMS = random_rooms(24)


def slanting(depth_m: np.ndarray) -> np.ndarray:
    """The same, nearer on the left: else a picture and its mirror image are too much alike."""
    return depth_m + np.linspace(0, 4, depth_m.shape[1], dtype=np.float32)


# ---- the formats ----

# 20 x 6 values 1 + k / 64, written by OpenCV 4.10 with OpenEXR 2.3: ZIP in two chunks, as float and as half.
EXR_FLOAT = """
di8xAQIAAABjaGFubmVscwBjaGxpc3QAEwAAAFkAAgAAAAAAAAABAAAAAQAAAABjb21wcmVzc2lvbgBjb21wcmVzc2lvbgABAAAAA2RhdGFXaW5kb3cA
Ym94MmkAEAAAAAAAAAAAAAAABQAAABMAAABkaXNwbGF5V2luZG93AGJveDJpABAAAAAAAAAAAAAAAAUAAAATAAAAbGluZU9yZGVyAGxpbmVPcmRlcgAB
AAAAAHBpeGVsQXNwZWN0UmF0aW8AZmxvYXQABAAAAAAAgD9zY3JlZW5XaW5kb3dDZW50ZXIAdjJmAAgAAAAAAAAAAAAAAHNjcmVlbldpbmRvd1dpZHRo
AGZsb2F0AAQAAAAAAIA/ACUBAAAAAAAABwIAAAAAAAAAAAAA2gAAAHicY2BgYPrH8oftF8cPrm88X/g+CXwQeifyRuyVxAupZzJP5B4pPFC6p3JH7ZbG
Da1rOlf0LhlcMDpncsbslMUJq2M2R+wOORxw2ueyx22Xxw6vbT5b/DYFbAhaF7ImbFXEiqhlMUviFiUsSJqXMidtVsaMrGk5U/ImFUwo6ivpKeuq6Khq
q2mpa2poaKxvqmuubalprW6raq/sqOgs7yrrLu0p6S3uK+ovnFAwMX9S3uTcKTlTs6dlTc+ckTEzfVba7NQ5KXOT5yXNT9zvOLDwgANFEAA1Qr7BEAAA
AEAAAAB4nGNYkLAwflHc4tglMUujl0Utj1wRsTJ8Vdjq0DUha4PXBa0P3BCw0X+T32bfLT5bvbd5bfc84EASBADy7C/B
"""
EXR_HALF = """
di8xAQIAAABjaGFubmVscwBjaGxpc3QAEwAAAFkAAQAAAAAAAAABAAAAAQAAAABjb21wcmVzc2lvbgBjb21wcmVzc2lvbgABAAAAA2RhdGFXaW5kb3cA
Ym94MmkAEAAAAAAAAAAAAAAABQAAABMAAABkaXNwbGF5V2luZG93AGJveDJpABAAAAAAAAAAAAAAAAUAAAATAAAAbGluZU9yZGVyAGxpbmVPcmRlcgAB
AAAAAHBpeGVsQXNwZWN0UmF0aW8AZmxvYXQABAAAAAAAgD9zY3JlZW5XaW5kb3dDZW50ZXIAdjJmAAgAAAAAAAAAAAAAAHNjcmVlbldpbmRvd1dpZHRo
AGZsb2F0AAQAAAAAAIA/ACUBAAAAAAAARAEAAAAAAAAAAAAAFwAAAHicY5hAIejAD440oIJGCvnoAADX2mTBEAAAAA8AAAB4nGPowA44G7ADAEMGF8I=
"""
EXR_VALUES = (1 + np.arange(120).reshape(20, 6) / 64).astype(np.float32)
EXR_BYTES = base64.b64decode(EXR_FLOAT)


def write_pfm(path: Path, values: np.ndarray, scale: str = "-1.0") -> None:
    kind = "<f4" if scale.startswith("-") else ">f4"
    header = f"{'PF' if values.ndim == 3 else 'Pf'}\n{values.shape[1]} {values.shape[0]}\n{scale}\n"
    path.write_bytes(header.encode() + values[::-1].astype(kind).tobytes())


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("x.npy", np.save),
        ("x.npz", lambda path, values: np.savez(path, prediction_m=values)),
        ("two.npz", lambda path, values: np.savez_compressed(path, depth=values, focal=np.float32(500))),
        ("x.tiff", lambda path, values: Image.fromarray(values).save(path)),
        ("x.tif", lambda path, values: Image.fromarray(values).save(path)),
        ("little.pfm", write_pfm),
        ("big.pfm", lambda path, values: write_pfm(path, values, "1")),
        # Middlebury's scale, which says nothing about the unit, and by which OpenCV divides.
        ("middlebury.PFM", lambda path, values: write_pfm(path, values, "-0.003922")),
        ("batch.npy", lambda path, values: np.save(path, values[None, None])),
        ("channel.npy", lambda path, values: np.save(path, values[..., None])),
        ("swapped.npy", lambda path, values: np.save(path, values.astype(">f8"))),
    ],
)
def test_fractional_formats(tmp_path: Path, name: str, write) -> None:
    values = guess("a1")
    write(tmp_path / name, values)
    np.testing.assert_array_equal(read_prediction(tmp_path / name), values)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_whole_numbers(tmp_path: Path, suffix: str, dtype: type) -> None:
    values = np.arange(12).reshape(3, 4).astype(dtype) * (np.iinfo(dtype).max // 11)
    Image.fromarray(values).save(tmp_path / f"x{suffix}")
    found = read_prediction(tmp_path / f"x{suffix}")
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize(("content", "dtype"), [(EXR_FLOAT, np.float32), (EXR_HALF, np.float16)])
def test_exr_of_the_reference_library(tmp_path: Path, content: str, dtype: type) -> None:
    (tmp_path / "x.exr").write_bytes(base64.b64decode(content))
    values = read_prediction(tmp_path / "x.exr")
    assert values.dtype == dtype
    np.testing.assert_array_equal(values, EXR_VALUES)


def with_channel_named(name: bytes) -> bytes:
    """A second channel before Y: enough of a header to be told about, not to be read."""
    extra = name + b"\0" + EXR_BYTES[EXR_BYTES.index(b"Y\0") + 2 :][:16]
    return EXR_BYTES.replace(b"chlist\0\x13", b"chlist\0" + bytes([0x13 + len(extra)])).replace(
        b"Y\0", extra + b"Y\0", 1
    )


# ---- the wrong file ----


@pytest.mark.parametrize(
    ("name", "content", "complaint"),
    [
        ("x.png", b"no picture", r"x\.png: cannot be read as a depth map: .*; write it again, or leave it out"),
        ("x.npy", b"\x93NUMPY", r"x\.npy: cannot be read as a depth map"),
        ("x.npz", b"PK\x03\x04", r"x\.npz: cannot be read as a depth map"),
        ("x.pfm", b"P5\n2 2\n255\n....", "cannot be read as a depth map: it has no PFM header"),
        ("x.pfm", b"Pf\n2 2\n-1.0\n" + bytes(12), "12 bytes of depth, 2 x 2 pixels need 16"),
        ("x.pfm", b"Pf\n2 2\n0\n" + bytes(16), "it has no PFM header"),
        ("x.pfm", b"PF\n2 2\n-1.0\n" + bytes(48), r"a PFM of three channels; have the tool write its numbers"),
        ("x.exr", b"no EXR", "cannot be read as a depth map: not an OpenEXR file"),
        ("x.exr", EXR_BYTES[:-40], r"x\.exr: cannot be read as a depth map: "),
        (
            "x.exr",
            EXR_BYTES.replace(b"\x01\0\0\0\x03", b"\x01\0\0\0\x04", 1),
            "EXR compression PIZ is not read, none, ",
        ),
        ("x.exr", EXR_BYTES.replace(b"\x02\0\0\0", b"\x02\x02\0\0", 1), "a tiled, deep or multi-part EXR; save it as"),
        (
            "x.exr",
            with_channel_named(b"Depth.Z"),
            r"which channel is the depth\? There are Depth\.Z, Y; save one alone",
        ),
    ],
)
def test_unreadable_file(tmp_path: Path, name: str, content: bytes, complaint: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(HqmdError, match=complaint):
        read_prediction(tmp_path / name)


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"mu": 1, "sigma": 1}, r"which array is the depth\? There are mu, sigma; save one alone, or call it depth"),
        ({"depth": 1, "pred": 1}, "There are depth, pred"),
        ({}, "There are none"),
    ],
)
def test_npz_of_several_arrays(tmp_path: Path, arrays: dict, complaint: str) -> None:
    np.savez(tmp_path / "x.npz", **{name: np.full(SIZE, value) for name, value in arrays.items()})
    with pytest.raises(HqmdError, match=complaint):
        read_prediction(tmp_path / "x.npz")


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (np.zeros((4, 48, 64)), r"one number a pixel, this is \(4, 48, 64\) float64; write one map"),
        (np.zeros((48, 64, 3)), r"\(48, 64, 3\)"),
        (np.zeros((48, 64), complex), "complex128"),
        (np.zeros((48, 64), bool), "bool"),
        (np.float32(2), r"this is \(\) float32"),
    ],
)
def test_not_one_map(tmp_path: Path, values: np.ndarray, complaint: str) -> None:
    np.save(tmp_path / "x.npy", values)
    with pytest.raises(HqmdError, match=complaint):
        read_prediction(tmp_path / "x.npy")


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "LA", "P"])
def test_colour_picture(tmp_path: Path, mode: str) -> None:
    """Where it has a palette, its numbers would even pass for a map."""
    Image.new("RGB", (64, 48), "navy").convert(mode).save(tmp_path / "x.png")
    with pytest.raises(HqmdError, match=rf"a colour picture \({mode}\), from which no depth .*16-bit grey \.png"):
        read_prediction(tmp_path / "x.png")


def test_tiff_of_several_pictures(tmp_path: Path) -> None:
    pages = [Image.fromarray(guess(name)) for name in ("a1", "a2")]
    pages[0].save(tmp_path / "x.tiff", save_all=True, append_images=pages[1:])
    with pytest.raises(HqmdError, match="2 pictures in one file; write one a file"):
        read_prediction(tmp_path / "x.tiff")


# ---- the folder ----


def touch(folder: Path, *files: str) -> Path:
    for file in files:
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    return folder


@pytest.mark.parametrize("suffix", list(DEPTH_READERS))
@pytest.mark.parametrize("ending", ["", ".mm", "_depth", "-pred", "_depth_mm", ".DEPTH"])
def test_file_names(tmp_path: Path, ending: str, suffix: str) -> None:
    touch(tmp_path, f"a1{ending}{suffix}", f"my room{ending}{suffix}", "other.npy", "readme.txt")
    found = find_predictions(tmp_path, ["my room", "a1"])
    assert list(found) == ["my room", "a1"]
    assert found["a1"] == tmp_path / f"a1{ending}{suffix}"


@pytest.mark.parametrize(
    "files",
    [
        ("a/x.npy", "b/x.npy"),
        ("model/a/x.npy", "model/b/x.npy"),
        ("a/data/x_depth.npy", "b/data/x_depth.npy"),  # as KITTI's raw data has it
        ("a_x.npy", "b_x.npy"),
    ],
)
def test_tree_kept_or_flattened(tmp_path: Path, files: tuple[str, str]) -> None:
    found = find_predictions(touch(tmp_path, *files), ["a/x", "b/x"])
    assert found == {"a/x": tmp_path / files[0], "b/x": tmp_path / files[1]}


def test_flat_by_the_last_name(tmp_path: Path) -> None:
    found = find_predictions(touch(tmp_path, "x.npy", "y.npy"), ["a/x", "b/y"])
    assert found == {"a/x": tmp_path / "x.npy", "b/y": tmp_path / "y.npy"}


def test_another_folders_file_is_not_taken(tmp_path: Path) -> None:
    """Of a folder that holds more pictures than the split, by names that only their folders tell apart."""
    found = find_predictions(touch(tmp_path, "a/x.npy", "b/x.npy"), ["a/x"])
    assert found == {"a/x": tmp_path / "a" / "x.npy"}


def test_a_picture_called_like_another_ones_file(tmp_path: Path) -> None:
    found = find_predictions(touch(tmp_path, "room.npy", "room_depth.npy"), ["room", "room_depth"])
    assert found["room"].name == "room.npy" and found["room_depth"].name == "room_depth.npy"


def test_folder_of_our_own(folder: Path) -> None:
    """What `hqmd predict -f color,mm` writes: the picture in colours beside the numbers cannot be meant."""
    for file in folder.glob("*.npy"):
        file.unlink()
    for name in NAMES:
        write_depth_mm(folder / f"{name}.mm.png", guess(name))
        Image.new("RGB", SIZE[::-1]).save(folder / f"{name}.png")
    predictions = PredictionFolder(folder, NAMES)
    np.testing.assert_allclose(predictions.read("a1"), guess("a1"), atol=6e-4)
    assert predictions.description == "preds, depth / 1000 (written in the files)"


def test_no_such_folder(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(HqmdError, match=r"nothing: no such folder; --pred takes a folder"):
        PredictionFolder(tmp_path / "nothing", NAMES)
    with pytest.raises(HqmdError, match=r"a1\.npy: a file; --pred takes a folder"):
        PredictionFolder(folder / "a1.npy", NAMES)


def test_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"no depth maps \(\.png, .*\) in it, it is empty"):
        find_predictions(tmp_path, NAMES)


def test_wrong_suffix(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"no depth maps .* in it, there are \.jpg, files without suffix"):
        find_predictions(touch(tmp_path, "a1.jpg", "a2.JPG", "LICENSE"), NAMES)


def test_other_names(tmp_path: Path) -> None:
    touch(tmp_path, "0001.npy", "0002.npy")
    with pytest.raises(
        HqmdError, match=r"none of its 2 files has .* there is 0001\.npy, the data has a1; name .* a1\.npy"
    ):
        find_predictions(tmp_path, NAMES)


def test_missing_files(folder: Path) -> None:
    for name in ("a3", "b2"):
        (folder / f"{name}.npy").unlink()
    with pytest.raises(HqmdError, match=r"no prediction for 2 of 6 pictures, such as a3; write them, or use a --split"):
        PredictionFolder(folder, NAMES)


@pytest.mark.parametrize("second", ["a2.tiff", "a2_depth.npy", "other/a2.npy"])
def test_two_candidates(folder: Path, second: str) -> None:
    touch(folder, second)
    with pytest.raises(
        HqmdError, match=r"2 files could be the prediction for a2: .* and .*; keep one for each picture"
    ):
        PredictionFolder(folder, NAMES)


def test_pictures_of_one_name(folder: Path) -> None:
    with pytest.raises(HqmdError, match=r"1 names stand for several pictures of the data, such as a1, .*rename"):
        PredictionFolder(folder, ["a1", "a2", "a1"])


def test_list_with_one_file_name_twice(pairs: Path) -> None:
    """Its names then carry their folders, so that predictions can be told apart."""
    for drive in ("d1", "d2"):
        (pairs / drive).mkdir()
        (pairs / drive / "x.jpg").write_bytes((pairs / "rgb" / "a1.jpg").read_bytes())
    (pairs / "list.csv").write_text("image,depth\nd1/x.jpg,depth/a1.png\nd2/x.jpg,depth/a2.png\n")
    dataset = open_dataset(pairs / "list.csv", "all")
    assert dataset.names == ["d1/x", "d2/x"] == [dataset[0].name, dataset[1].name]


# ---- unit and kind ----


def test_metres(folder: Path) -> None:
    predictions = PredictionFolder(folder, NAMES)
    assert predictions.description == "preds, depth / 1 (found from the values: metres)"
    depth_m = predictions(sample_of("a1"))
    assert depth_m.dtype == np.float32
    np.testing.assert_array_equal(depth_m, guess("a1"))


def test_millimetres_are_found_and_said(folder: Path) -> None:
    rewrite(folder, lambda depth_m: np.round(depth_m * 1000).astype(np.uint16))
    predictions = PredictionFolder(folder, NAMES)
    assert predictions.description == "preds, depth / 1000 (found from the values: millimetres)"
    np.testing.assert_allclose(predictions.read("b1"), guess("b1"), atol=6e-4)


def test_stated_unit(folder: Path) -> None:
    rewrite(folder, lambda depth_m: np.round(depth_m * 25.5).astype(np.uint8))
    predictions = PredictionFolder(folder, NAMES, scale=25.5)
    assert predictions.description == "preds, depth / 25.5 (stated)"
    np.testing.assert_allclose(predictions.read("b1"), guess("b1"), atol=0.5 / 25.5 + 1e-6)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda depth_m: depth_m / 10, r"unit is unclear.*--pred-scale 1000.*or, if .* --pred-kind disparity"),
        (lambda depth_m: (depth_m * 256).astype(np.uint16), r"unit is unclear.*KITTI's 1/256 m \(--pred-scale 256\)"),
        (lambda depth_m: (depth_m * 25.5).astype(np.uint8), r"8-bit depth has no unit.*--pred-scale .*--pred-kind"),
        (lambda depth_m: depth_m * 0, "no positive depth value"),
    ],
)
def test_unit_is_not_guessed(folder: Path, change, complaint: str) -> None:
    rewrite(folder, change)
    with pytest.raises(HqmdError, match=complaint):
        PredictionFolder(folder, NAMES)


def test_files_of_two_kinds_have_no_one_unit(folder: Path) -> None:
    (folder / "a1.npy").unlink()
    Image.fromarray(guess("a1")).save(folder / "a1.tiff")
    with pytest.raises(HqmdError, match=r"several kinds \(\.npy, \.tiff\), but one unit"):
        PredictionFolder(folder, NAMES)


def test_disparity_stays_as_stored(folder: Path) -> None:
    """It is fitted as disparity before it can become depth, so nothing is inverted here."""
    rewrite(folder, lambda depth_m: 255 / depth_m - 20)
    predictions = PredictionFolder(folder, NAMES, kind="disparity")
    assert predictions.description == "preds, disparity as stored, larger is nearer, no metres"
    np.testing.assert_allclose(predictions(sample_of("a1")), 255 / guess("a1") - 20, rtol=1e-5)


def test_relative_depth_stays_as_stored(folder: Path) -> None:
    rewrite(folder, lambda depth_m: depth_m / 10 - 0.3)
    predictions = PredictionFolder(folder, NAMES, kind="relative")
    assert "no metres" in predictions.description
    np.testing.assert_allclose(predictions.read("a1"), guess("a1") / 10 - 0.3, rtol=1e-5)


def test_kinds_that_contradict(folder: Path) -> None:
    with pytest.raises(HqmdError, match="--pred-scale states metres, but a prediction of kind disparity has none"):
        PredictionFolder(folder, NAMES, scale=1000, kind="disparity")
    with pytest.raises(
        HqmdError, match=r"no kind of prediction named 'inverse'; there are: depth, disparity, relative"
    ):
        PredictionFolder(folder, NAMES, kind="inverse")
    with pytest.raises(HqmdError, match="--pred-scale must be positive, not -1"):
        PredictionFolder(folder, NAMES, scale=-1)


# ---- size ----


def test_other_size(folder: Path) -> None:
    rewrite(folder, lambda depth_m: depth_m[::2, ::2])
    with pytest.raises(
        HqmdError, match=r"a1\.npy: the prediction is 32 x 24, the truth 64 x 48; .*--pred-resize bilinear"
    ):
        PredictionFolder(folder, NAMES)(sample_of("a1"))


def test_resized_where_asked(folder: Path) -> None:
    """By pixel centres: a plane stays the plane, away from the rim."""
    columns = np.repeat(np.arange(64, dtype=np.float32)[None], 48, axis=0) / 20 + 2
    rewrite(folder, lambda depth_m: (columns[::2, ::2] + columns[1::2, 1::2]) / 2)
    predictions = PredictionFolder(folder, NAMES, resize="bilinear")
    np.testing.assert_allclose(predictions(sample_of("a1"))[:, 2:-2], columns[:, 2:-2], atol=1e-5)
    assert predictions.description.endswith(", resized bilinearly")


# ---- suspicious maps ----


def speckled(depth_m: np.ndarray) -> np.ndarray:
    """With 12 of 3072 pixels NaN."""
    return np.where(np.arange(depth_m.size).reshape(depth_m.shape) < 12, np.nan, depth_m)


@pytest.mark.parametrize(
    ("change", "kind", "complaint"),
    [
        (
            lambda d: 1 / d,
            "depth",
            r"Spearman -(1\.00|0\.9\d) against the truth: these look like disparities; pass --pred-kind",
        ),
        (lambda d: 255 - 20 * d, "relative", r"Spearman -\S+ .* look like disparities; pass --pred-kind disparity"),
        (lambda d: d, "disparity", r"Spearman (1\.00|0\.9\d) .* look like depths; pass --pred-kind depth or relative"),
        (speckled, "depth", r"0\.4% of the pixels are NaN or infinite; fill them, or leave the picture out"),
        (lambda d: np.where(d > 4, np.inf, d), "depth", "NaN or infinite"),
        (speckled, "disparity", "NaN or infinite"),
        (lambda d: d * 0 + 2.5, "depth", r"the prediction is 2\.5 everywhere; check how it was written"),
        (lambda d: d - 2, "depth", r"of the depths are 0 or less, the lowest is -\S+; .*--pred-kind relative"),
        (lambda d: d * 1000, "depth", r"truth is 10\d\d: these look like millimetres; pass --pred-scale 1000$"),
        (lambda d: d * 256, "depth", r"these look like KITTI's 1/256 m; pass --pred-scale 256$"),
        (lambda d: d * 100, "depth", r"these look like centimetres; pass --pred-scale 100$"),
        (lambda d: d * 25.5, "depth", r"these look like 8 bits over 10 m; pass --pred-scale 25\.5$"),
        (lambda d: d * 10, "depth", r"these look like decimetres; pass --pred-scale 10$"),
        (lambda d: d / 1000, "depth", r"metres divided by 1000 once too often; pass --pred-scale 0\.001$"),
        (lambda d: d * 50, "depth", r"no unit that hqmd knows; state it with --pred-scale"),
    ],
)
def test_suspicious_map(change, kind: str, complaint: str) -> None:
    found = diagnose(change(guess("a1")), TRUE_M["a1"], ALL_VALID, kind)
    assert found is not None
    with pytest.raises(HqmdError, match=complaint):  # match= says what differs
        raise HqmdError(found)


@pytest.mark.parametrize(
    ("change", "kind"),
    [
        (lambda d: d, "depth"),
        (lambda d: d * 1.9, "depth"),  # a poor guess at the scale is no unit
        (lambda d: d / 2.5, "depth"),
        (lambda d: 1 / d, "disparity"),
        (lambda d: 7 - 900 / d, "relative"),
        (lambda d: 3 - d, "disparity"),
    ],
)
def test_nothing_suspicious(change, kind: str) -> None:
    assert diagnose(change(guess("a1")), TRUE_M["a1"], ALL_VALID, kind) is None


@pytest.mark.parametrize(("turn", "word"), [(np.fliplr, "mirrored"), (np.flipud, "upside down")])
@pytest.mark.parametrize("kind", KINDS)
def test_turned_map(turn, word: str, kind: str) -> None:
    """The floor alone, upside down, could as well be inverted; the boxes on it cannot."""
    truth = slanting(ROOMS[0])
    found = diagnose(turn(1 / truth if kind == "disparity" else truth), truth, ALL_VALID, kind)
    assert found is not None
    assert f"but 1.00 when {word}: the maps are {word}; turn them back before they are written" in found


def test_turned_by_more_than_a_mirror() -> None:
    truth = slanting(ROOMS[0])
    assert "the maps are turned by 180 degrees" in str(diagnose(truth[::-1, ::-1], truth, ALL_VALID))
    square, valid = truth[:, :48], ALL_VALID[:, :48]
    assert "the maps are turned to the left" in str(diagnose(np.rot90(square), square, valid))
    assert "the maps are turned to the right" in str(diagnose(np.rot90(square, -1), square, valid))


def test_already_scaled_maps_name_the_scale_to_state() -> None:
    found = explain_unit(0.001, "depth", 1000)
    assert found is not None and found.endswith("metres divided by 1000 once too often; pass --pred-scale 1")


def test_holes_in_the_truth_do_not_speak() -> None:
    depth_m, valid = TRUE_M["a1"].copy(), ALL_VALID.copy()
    depth_m[:24], valid[:24] = 0, False
    assert diagnose(guess("a1"), depth_m, valid) is None
    assert diagnose(1 / guess("a1"), depth_m, np.zeros_like(valid)) is None  # nothing to compare with


def test_map_of_another_shape() -> None:
    with pytest.raises(HqmdError, match=r"the prediction is \(24, 32\), the truth \(48, 64\)"):
        diagnose(guess("a1")[::2, ::2], TRUE_M["a1"], ALL_VALID)


# ---- suspicious sets ----


def complaints(preds: list[np.ndarray], kind: str = "depth", truths: list[np.ndarray] = ROOMS) -> list[str]:
    examination = Examination(kind)
    for number, (pred, truth) in enumerate(zip(preds, truths, strict=True)):
        examination.add(f"p{number}", pred, truth, ALL_VALID)
    return examination.complaints()


def shifted(preds: list[np.ndarray]) -> list[np.ndarray]:
    """Every file one picture late."""
    return [*preds[1:], preds[0]]


def two_swapped(preds: list[np.ndarray]) -> list[np.ndarray]:
    """Those of the two rooms that are least alike: of others it could not be told."""
    alike = np.corrcoef([room.ravel() for room in ROOMS])
    i, j = np.unravel_index(alike.argmin(), alike.shape)
    swapped = list(preds)
    swapped[i], swapped[j] = preds[j], preds[i]
    return swapped


def in_turn(preds: list[np.ndarray]) -> list[np.ndarray]:
    """Three of them, each for the next."""
    return [preds[1], preds[2], preds[0], *preds[3:]]


@pytest.mark.parametrize("kind", ["depth", "disparity"])
@pytest.mark.parametrize(
    ("order", "said"),
    [
        (shifted, "another picture, 1 further on in the list, such as that for p0, which fits p1:"),
        (lambda p: [*p[-3:], *p[:-3]], "another picture, 3 before in the list, such as that for p0, which fits p21:"),
        (two_swapped, "2 of 24 predictions fit another picture's truth better than their own"),
        (in_turn, "3 of 24 predictions fit another picture's truth better than their own, such as that for p"),
        (lambda p: p[::-1], "24 of 24 predictions fit another picture's truth better"),
    ],
)
def test_swapped_files(order, said: str, kind: str) -> None:
    preds = [1 / room if kind == "disparity" else room * 1.1 for room in ROOMS]
    (complaint,) = complaints(order(preds), kind)
    assert said in complaint
    assert complaint.endswith("the files are in another order than the pictures; name each after its picture")


def test_sound_sets() -> None:
    """Good ones, and poor ones: those that are alike whatever the picture."""
    rng = np.random.default_rng(0)
    mean = np.mean(ROOMS, axis=0)
    noises = rng.normal(0, 0.01, (len(ROOMS), *SIZE))
    assert complaints([room * 1.1 for room in ROOMS]) == []
    assert complaints([mean + noise for noise in noises]) == []
    assert complaints([mean + 0.2 * room + noise for room, noise in zip(ROOMS, noises, strict=True)]) == []


@pytest.mark.parametrize("kind", ["depth", "relative"])
def test_maps_of_other_rooms(kind: str) -> None:
    """Each fits the floor that all rooms have, none fits its own room better than others."""
    (complaint,) = complaints([1.1 * room for room in random_rooms(48)[24:]], kind)
    assert "fit the truth of their own picture no better than that of others" in complaint
    assert "these are other pictures' files, or do not depend on their photo" in complaint


def test_a_poor_set_is_told_only_when_all_of_it_is_shifted() -> None:
    """Maps that are mostly the mean room. Which two of them were exchanged nobody could tell."""
    mean = np.mean(ROOMS, axis=0)
    poor = [mean + 0.3 * room for room in ROOMS]
    assert not any("another picture" in complaint for complaint in complaints(poor))
    assert any("another picture, 1 further on" in complaint for complaint in complaints(shifted(poor)))


def test_few_pictures_say_little() -> None:
    """Two exchanged ones are told from two on, unrelated ones only where there are several."""
    assert len(complaints([1.1 * ROOMS[1], 1.1 * ROOMS[0]], truths=ROOMS[:2])) == 1
    assert complaints([1.1 * room for room in ROOMS[4:8]], truths=ROOMS[:4]) == []


def test_one_map_under_several_names() -> None:
    preds = [1.1 * room for room in ROOMS]
    preds[5] = preds[7] = preds[3]
    (complaint,) = complaints(preds)
    assert complaint.startswith("3 of 24 predictions are the same map as another's, such as those for p3 and p5:")
    (complaint,) = complaints([1.1 * ROOMS[0]] * 24)  # which is not told of as of stretched maps, too
    assert complaint.startswith("24 of 24 predictions are the same map")
    assert complaints([1.1 * ROOMS[0]] * 3, truths=[ROOMS[0]] * 3) == []  # of one picture that is there three times


def test_stretched_maps() -> None:
    """Each over one range, as for looking at; not where the truths have one range, too."""
    stretched = [1 + 5 * (room - room.min()) / np.ptp(room) for room in ROOMS]
    found = complaints(stretched)
    assert any("each map runs from exactly 1 to exactly 6: they were stretched one by one" in line for line in found)
    assert complaints(stretched, "relative") == []
    assert complaints([1.1 * room for room in stretched], truths=stretched) == []


def test_rounded_maps() -> None:
    (complaint,) = complaints([np.round(1.1 * room) for room in ROOMS])
    assert complaint.startswith("a map has only 5 different depths, the truth 5")
    assert complaints([np.round(25.5 * room) / 25.5 for room in ROOMS]) == []


def test_one_map_in_another_unit() -> None:
    preds = [1.1 * room * (1000 if number == 9 else 1) for number, room in enumerate(ROOMS)]
    (complaint,) = complaints(preds)
    assert complaint.startswith(
        "1 of 24 predictions have another unit than the rest, such as that for p9, whose median"
    )


@pytest.mark.slow
def test_distances_in_place_of_depth() -> None:
    """Known only of frames of NYU's size, whose camera is known."""
    rows, columns = np.mgrid[:480, :640]
    rays = np.sqrt(1 + ((columns - 319.5) ** 2 + (rows - 239.5) ** 2) / 518.86**2)
    rooms = [np.repeat(np.repeat(room, 10, 0), 10, 1) for room in ROOMS]
    noises = np.exp(np.random.default_rng(0).normal(0, 0.1, (len(rooms), 480, 640)))
    examined = {"depth": Examination(), "distance": Examination()}
    for number, (room, noise) in enumerate(zip(rooms, noises, strict=True)):
        for name, pred in (("depth", room * noise), ("distance", room * noise * rays)):
            examined[name].add(f"p{number}", pred, room, np.ones(room.shape, bool))
    assert examined["depth"].complaints() == []
    (complaint,) = examined["distance"].complaints()
    assert "these look like distances from the camera, not depth along its axis" in complaint


@pytest.mark.parametrize(
    ("change", "kind", "complaint"),
    [
        (lambda d: 1000 * d, "depth", "millimetres; pass --pred-scale 1000"),
        (lambda d: 1 / d, "depth", "disparities; pass --pred-kind disparity"),
        (lambda d: d, "disparity", "depths; pass --pred-kind depth or relative"),
        (np.fliplr, "depth", "the maps are mirrored; turn them back"),
    ],
)
def test_suspicious_set(change, kind: str, complaint: str) -> None:
    truths = [slanting(room) for room in ROOMS]
    found = complaints([change(truth) for truth in truths], kind, truths)
    assert any(complaint in sentence for sentence in found)


def test_a_few_odd_maps_do_not_speak_for_a_set() -> None:
    assert complaints([1 / room if number < 3 else 1.05 * room for number, room in enumerate(ROOMS)]) == []


def test_truth_too_sparse_to_tell() -> None:
    examination = Examination()
    lone = np.zeros(SIZE, bool)
    lone[3, 4] = True
    examination.add("p", 1 / ROOMS[0], ROOMS[0], lone)
    assert examination.complaints() == []


def test_a_folder_is_examined_while_it_is_read(folder: Path, pairs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not asked for is read at the end, and nothing twice."""
    dataset = open_dataset(pairs, "all")
    read = []
    plainly = PredictionFolder.read
    monkeypatch.setattr(PredictionFolder, "read", lambda self, name: read.append(name) or plainly(self, name))
    checked = CheckedFolder(PredictionFolder(folder, dataset.names), dataset)
    np.testing.assert_array_equal(checked(dataset[2]), guess(dataset.names[2]))
    assert checked.complaints() == [] == checked.complaints()
    assert sorted(read) == dataset.names
    rewrite(folder, lambda depth_m: 2 + 1 / depth_m)  # plausible as metres
    (complaint,) = CheckedFolder(PredictionFolder(folder, dataset.names), dataset).complaints()
    assert "pass --pred-kind disparity" in complaint


@pytest.mark.parametrize(("factor", "told_at"), [(1000, [9]), (1.1, [])])
def test_a_set_that_is_wrong_is_told_early(factor: float, told_at: list[int]) -> None:
    """After ten pictures, so that the others need not be scored; a sound one is never."""
    index, told = 0, []
    checked = CheckedFolder(
        cast(PredictionFolder, RoomsTimes(factor)), cast(Dataset, RoomData()), lambda: told.append(index)
    )
    for index in range(len(ROOMS)):
        checked(RoomData()[index])
    assert told == told_at


@dataclass
class RoomsTimes:
    """Predictions."""

    factor: float
    kind = "depth"
    units_per_metre = 1.0

    def __call__(self, sample: Sample) -> np.ndarray:
        return self.factor * sample.depth_m


class RoomData:
    """Their truth."""

    names: ClassVar = [str(number) for number in range(len(ROOMS))]

    def __len__(self) -> int:
        return len(ROOMS)

    def __getitem__(self, index: int) -> Sample:
        return Sample(str(index), np.zeros((*SIZE, 3), np.uint8), ROOMS[index], ALL_VALID)


def test_the_picture_whose_map_is_none_is_named(folder: Path, pairs: Path) -> None:
    dataset = open_dataset(pairs, "all")
    np.save(folder / "a3.npy", speckled(guess("a3")))
    with pytest.raises(HqmdError, match=r"^a3: 0\.4% of the pixels are NaN"):
        CheckedFolder(PredictionFolder(folder, dataset.names), dataset).complaints()


def test_fault_of_each_kind() -> None:
    negative = guess("a1") - 10
    assert explain_invalid(negative, "relative") is None and explain_invalid(negative, "disparity") is None
    assert explain_invalid(negative) is not None


# ---- ranks, by hand ----


def test_ranks() -> None:
    np.testing.assert_allclose(ranks_of(np.array([30.0, 10.0, 10.0, 20.0])), np.array([3.5, 1, 1, 2.5]) / 4)


def test_spearman_by_hand() -> None:
    """Ranks 1 2 3 4 5 against 2 1 4 3 5: 1 - 6 * 4 / (5 * 24) = 0.8."""
    assert spearman(np.array([1.0, 2, 3, 4, 50]), np.array([2.0, 1, 4, 3, 5])) == pytest.approx(0.8, abs=1e-6)
    assert spearman(np.array([1.0, 2, 3]), np.array([9.0, 4, 1])) == pytest.approx(-1, abs=1e-6)
    assert spearman(np.ones(3), np.arange(3.0)) == 0
