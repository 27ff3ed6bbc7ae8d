"""`hqmd check` on data with every problem that it reports, and the quick check that `hqmd train` starts with."""

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from conftest import scene
from hqmd_cli import data
from hqmd_cli.data.check.near_duplicates import ALIKE, fingerprint, identity, most_alike
from hqmd_cli.data.check.overlays import EDGE_COLOUR, depth_edges, overlays, with_edges
from hqmd_cli.data.check.quick_check import quick_check, require_usable
from hqmd_cli.data.check.report_text import bars
from hqmd_cli.data.check.split_stats import BINS, Split, histogram, measure, percentile_m, share_below
from hqmd_cli.data.sample import evenly, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_bits, depth_size
from hqmd_cli.files.photos import ends_well, photo_size

SIZE = (48, 64)


def texture(seed: int, size: tuple[int, int] = (96, 128)) -> np.ndarray:
    """Return a photo unlike any other: blurred noise."""
    noise = np.random.default_rng(seed).normal(0, 1, (7, 9, 3)).astype(np.float32)
    return np.clip(127 + 60 * cv2.resize(noise, size[::-1], interpolation=cv2.INTER_CUBIC), 0, 255).astype(np.uint8)


def write_pairs(folder: Path, **splits: int) -> Path:
    """Write pairs, given their number per split. All photos differ; depth comes from conftest.scene."""
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    for split, number in splits.items():
        names = [f"{split}{i:03}" for i in range(number)]
        for name in names:
            seed = sum(map(ord, name)) * 1000 + int(name[-3:])
            Image.fromarray(texture(seed)).save(folder / "rgb" / f"{name}.jpg", quality=95)
            depth_m = scene(seed, (96, 128))[1]
            Image.fromarray(np.round(depth_m * 1000).astype(np.uint16)).save(folder / "depth" / f"{name}.png")
        (folder / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
    return folder


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with what `good` and `hundred` copy."""
    folder = tmp_path_factory.mktemp("written")
    write_pairs(folder / "good", train=6, val=3)
    write_pairs(folder / "hundred", train=100)
    return folder


@pytest.fixture
def good(written: Path, tmp_path: Path) -> Path:
    """Nine pairs without any fault, which the test may change."""
    return shutil.copytree(written / "good", tmp_path / "good")


@pytest.fixture
def hundred(written: Path, tmp_path: Path) -> Path:
    """A hundred pairs without any fault, which the test may change."""
    return shutil.copytree(written / "hundred", tmp_path / "hundred")


def report(hqmd, *args, code: int = 0) -> dict:
    result = hqmd("check", *args, "--json")
    assert result.returncode == code, result.stdout + result.stderr
    return json.loads(result.stdout)


# ---- what there is ----


def test_good_data(hqmd, good: Path) -> None:
    result = hqmd("check", good)
    assert result.returncode == 0, result.stderr
    lines = result.stdout.splitlines()
    assert lines[0] == "train: 6 frames, 128 x 96; good, train, depth / 1000 (found from the values: millimetres)"
    assert lines[1].startswith("  depth 1.80 to 4.50 m, median") and lines[1].endswith("; 0.0% of the pixels have none")
    assert lines[-1] == "verdict: fine" and any(line.startswith("val: 3 frames") for line in lines)


def test_numbers_match_the_files(hqmd, good: Path) -> None:
    depth = good / "depth" / "train000.png"
    values = np.asarray(Image.open(depth)).copy()
    values[:24] = 0
    Image.fromarray(values).save(depth)
    told = report(hqmd, good, "--split", "train")["splits"]["train"]
    depths = np.concatenate([np.asarray(Image.open(f)).ravel() / 1000 for f in sorted((good / "depth").glob("train*"))])
    known = depths[depths > 0]
    assert told["units_per_metre"] == 1000
    assert told["frames"] == 6 and told["sizes"] == {"128x96": 6} and told["unreadable"] == 0
    assert (told["nearest_m"], told["farthest_m"]) == pytest.approx((known.min(), known.max()))
    assert told["median_m"] == pytest.approx(np.median(known), rel=0.008)
    assert told["invalid_share"] == pytest.approx(np.mean(depths == 0))
    assert told["invalid_share"] == pytest.approx(0.25 / 6)
    for bar in told["histogram"]:
        inside = (known >= bar["from_m"]) & (known < (bar["to_m"] or np.inf))
        assert bar["share"] == pytest.approx(inside.mean(), abs=0.02)
    assert sum(bar["share"] for bar in told["histogram"]) == pytest.approx(1)


def test_the_official_file(hqmd, nyu_mat: Path, monkeypatch) -> None:
    splits = {"train": [3, 4, 5], "val": [44, 45], "test": [1, 2]}
    monkeypatch.setattr("hqmd_cli.data.nyu.official_splits", lambda: splits)
    told = report(hqmd, nyu_mat)
    assert {name: split["frames"] for name, split in told["splits"].items()} == {"train": 3, "val": 2, "test": 2}


def test_a_list_is_checked_as_a_whole(hqmd, good: Path) -> None:
    (good / "list.csv").write_text("rgb/train000.jpg,depth/train000.png\nrgb/train001.jpg,depth/train001.png\n")
    assert report(hqmd, good / "list.csv")["splits"]["all"]["frames"] == 2


def test_torch_is_not_imported(good: Path) -> None:
    code = (
        "import atexit, sys\n"
        "heavy = ('torch', 'torchvision', 'timm', 'matplotlib', 'onnxruntime')\n"
        "atexit.register(lambda: print([m for m in heavy if m in sys.modules]))\n"
        f"sys.argv = ['hqmd', 'check', {str(good)!r}]\n"
        "from hqmd_cli.app import main; main()"
    )
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said.splitlines()[-2:] == ["verdict: fine", "[]"]


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["nowhere"], "no such file or folder"),
        (["good", "--split", "test"], "no split 'test', there are: train, val, all"),
        (["good", "--picture", "look.gif"], "cannot be written with this suffix"),
        (["good", "--val-data", "nowhere"], "nowhere: no such file"),
    ],
)
def test_impossible_requests(hqmd, good: Path, monkeypatch, args: list[str], complaint: str) -> None:
    monkeypatch.chdir(good.parent)
    result = hqmd("check", *args)
    assert result.returncode == 1 and complaint in result.stderr and result.stdout == ""


# ---- what is wrong ----


def test_a_pair_without_partner_in_a_split(hqmd, good: Path) -> None:
    (good / "depth" / "val001.png").unlink()
    told = report(hqmd, good, code=1)
    assert told["errors"] == [
        f"val: {good / 'depth'}: no file for 1 of 3 names, such as val001; add the files, or leave out the names"
    ]
    assert told["warnings"] == ["1 photos without depth, such as val001"]
    assert told["splits"]["train"]["frames"] == 6 and "error" in told["splits"]["val"]


def test_strays_outside_the_splits_are_warned_of(hqmd, good: Path) -> None:
    Image.fromarray(texture(5)).save(good / "rgb" / "more.jpg")
    (good / "rgb" / "Thumbs.db").touch()
    (good / "depth" / "other.png").write_bytes((good / "depth" / "val000.png").read_bytes())
    assert report(hqmd, good)["warnings"] == [
        "1 photos without depth, such as more",
        "1 depth maps without photo, such as other",
    ]
    assert hqmd("check", good).stdout.endswith("verdict: usable, 2 warnings\n")


@pytest.mark.parametrize(("frames", "code"), [(100, 0), (99, 1)])
def test_broken_frames_are_an_error_from_one_percent_on(hqmd, hundred: Path, frames: int, code: int) -> None:
    (hundred / "train.txt").write_text("".join(f"train{i:03}\n" for i in range(frames)))
    photo = hundred / "rgb" / "train042.jpg"
    photo.write_bytes(photo.read_bytes()[:-300])
    told = report(hqmd, hundred, code=code)
    (finding,) = told["errors" if code else "warnings"]
    assert finding.startswith(f"train: 1 of {frames} frames cannot be read, such as {photo}: cannot be read: ")
    assert told["splits"]["train"]["unreadable_examples"][0].startswith(str(photo))


def test_splits_of_another_name_are_told(hqmd, good: Path) -> None:
    (good / "train.txt").rename(good / "Training.txt")
    (good / "README.txt").write_text("about")
    result = hqmd("check", good)
    assert "split Training is not looked at: call it train, or pass --split Training" in result.stdout
    assert "README is not" not in result.stdout and "split val" not in result.stdout


def test_photo_and_depth_of_two_sizes(hqmd, good: Path) -> None:
    Image.fromarray(texture(1, (48, 64))).save(good / "rgb" / "train000.jpg")
    assert "photo is 64 x 48, depth 128 x 96" in report(hqmd, good, code=1)["errors"][0]


def test_no_depth_anywhere_and_somewhere(hqmd, good: Path) -> None:
    nothing = Image.fromarray(np.zeros((96, 128), np.uint16))
    nothing.save(good / "depth" / "val000.png")
    told = report(hqmd, good, code=1)  # train and evaluate refuse it, too: it is more than 1 %
    assert told["errors"] == ["val: 1 frames have no depth at all, such as val000"]
    nothing.save(good / "depth" / "train000.png")
    assert report(hqmd, good, code=1)["warnings"] == ["train: 1 frames have no depth at all, such as train000"]
    for depth in (good / "depth").glob("val*"):
        nothing.save(depth)
    told = report(hqmd, good, "--depth-scale", 1000, code=1)
    assert told["errors"] == ["val: 3 frames have no depth at all, such as val000"]
    assert told["splits"]["val"]["median_m"] is None and told["splits"]["val"]["histogram"] == []


def test_one_depth_everywhere(hqmd, good: Path) -> None:
    Image.fromarray(np.full((96, 128), 2500, np.uint16)).save(good / "depth" / "train002.png")
    assert "train: 1 frames have one depth everywhere, such as train002" in report(hqmd, good)["warnings"]


def test_hardly_any_depth(hqmd, good: Path) -> None:
    values = np.zeros((96, 128), np.uint16)
    values[50, 60:64] = 2000, 2100, 2200, 2300
    Image.fromarray(values).save(good / "depth" / "train002.png")
    assert report(hqmd, good)["warnings"] == ["train: 1 frames have depth at less than 1 % of their pixels: train002"]


def test_a_unit_that_hardly_is_right(hqmd, good: Path) -> None:
    (warning, _) = report(hqmd, good, "--depth-scale", 1)["warnings"]
    assert "train: the median depth is" in warning and "is the unit right? See --depth-scale" in warning


def test_8_bits(hqmd, good: Path) -> None:
    for depth in (good / "depth").iterdir():
        Image.fromarray((np.asarray(Image.open(depth)) / 1000 * 25.5).astype(np.uint8)).save(depth)
    warnings = report(hqmd, good, "--depth-scale", 25.5)["warnings"]
    assert warnings[0] == "train: depth has 8 bits, and so comes in steps of 39 mm"


def test_depth_that_was_cut_off_somewhere(hqmd, good: Path) -> None:
    for depth in (good / "depth").glob("train*"):
        Image.fromarray(np.minimum(np.asarray(Image.open(depth)), 3000).astype(np.uint16)).save(depth)
    (warning,) = report(hqmd, good)["warnings"]
    assert warning.startswith("train: ") and warning.endswith("of the depth is exactly 3 m, as if cut off there")


def test_photos_that_are_there_twice(hqmd, good: Path) -> None:
    (good / "rgb" / "train004.jpg").write_bytes((good / "rgb" / "train001.jpg").read_bytes())
    assert report(hqmd, good)["warnings"] == ["train: 1 photos appear twice, such as train001 and train004"]


def test_a_photo_of_train_in_val_is_an_error(hqmd, good: Path) -> None:
    """Found by its pixels: it may be another file of another name."""
    photo = Image.open(good / "rgb" / "train003.jpg")
    photo.save(good / "rgb" / "val002.png")
    (good / "rgb" / "val002.jpg").unlink()
    told = report(hqmd, good, code=1)
    assert told["errors"] == ["1 photos of val are in train, too, such as val002 and train003"]


def test_a_photo_like_one_of_train_in_val_is_warned_of(hqmd, good: Path) -> None:
    photo = Image.open(good / "rgb" / "train003.jpg")
    photo.crop((1, 1, 127, 95)).resize((128, 96)).save(good / "rgb" / "val002.jpg", quality=40)
    (warning,) = report(hqmd, good)["warnings"]
    assert warning.startswith("1 photos of val look like one of train, such as val002 and train003 (1.00)")


def test_leaks_into_other_data(hqmd, good: Path, tmp_path: Path) -> None:
    other = write_pairs(tmp_path / "other", test=2)
    assert report(hqmd, good, "--val-data", other)["errors"] == []
    (other / "rgb" / "test001.jpg").write_bytes((good / "rgb" / "train000.jpg").read_bytes())
    told = report(hqmd, good, "--val-data", other, code=1)
    assert told["errors"] == ["1 photos of other, test are in train, too, such as test001 and train000"]
    assert list(told["splits"]) == ["train", "val", "other, test"]


def test_errors_come_first_and_are_counted(hqmd, good: Path) -> None:
    (good / "depth" / "val001.png").unlink()
    lines = hqmd("check", good).stdout.splitlines()
    assert [line.split(":")[0] for line in lines[-3:]] == ["error", "warning", "verdict"]
    assert lines[-1] == "verdict: not usable, 1 error, 1 warning"


# ---- numbers ----


def test_percentiles_and_shares_by_hand() -> None:
    counts = histogram(np.array([1.0] * 50 + [2.0] * 30 + [8.0] * 20, np.float32))
    assert counts.sum() == 100 and len(counts) == BINS
    assert percentile_m(counts, 25) == pytest.approx(1, rel=0.004)
    assert percentile_m(counts, 50.5) == pytest.approx(2, rel=0.004)
    assert percentile_m(counts, 99) == pytest.approx(8, rel=0.004)
    split = Split("x", is_held_out=False, counts=counts)
    assert [share_below(split, depth_m) for depth_m in (0, 1.5, 3, 100)] == [0, 0.5, 0.8, 1]
    np.testing.assert_allclose([share for _, _, share in bars(split)], [0, 0.5, 0.3, 0, 0, 0, 0, 0, 0.2], atol=1e-9)


def test_depth_beyond_the_histogram_counts_at_its_ends() -> None:
    counts = histogram(np.array([1e-6, 1e6], np.float32))
    assert counts[0] == counts[-1] == 1
    assert np.isnan(percentile_m(np.zeros(BINS, np.int64), 50))


@pytest.mark.parametrize(("total", "most", "expected"), [(3, 8, [0, 1, 2]), (10, 3, [0, 4, 9]), (1, 5, [0])])
def test_evenly(total: int, most: int, expected: list[int]) -> None:
    assert evenly(total, most) == expected


# ---- photos that are alike ----


def test_the_same_photo_changed_is_like_itself_and_no_other() -> None:
    photos = [texture(seed) for seed in range(40)]
    prints = np.stack([fingerprint(photo) for photo in photos])
    likeness = prints @ prints.T
    assert likeness[~np.eye(40, dtype=bool)].max() < ALIKE
    np.testing.assert_allclose(np.diag(likeness), 1, atol=1e-5)
    changed = {
        "half": lambda p: cv2.resize(p, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA),
        "dark": lambda p: (p * 0.6).astype(np.uint8),
        "jpeg": lambda p: cv2.imdecode(cv2.imencode(".jpg", p, [cv2.IMWRITE_JPEG_QUALITY, 20])[1], 1),
        "noise": lambda p: np.clip(p + np.random.default_rng(0).normal(0, 10, p.shape), 0, 255).astype(np.uint8),
    }
    for name, change in changed.items():
        assert min(fingerprint(change(photo)) @ own for photo, own in zip(photos, prints, strict=True)) > ALIKE, name


def test_a_photo_without_contrast_is_like_nothing() -> None:
    assert not fingerprint(np.full((96, 128, 3), 90, np.uint8)).any()


def test_identity_is_of_pixels_and_shape() -> None:
    photo = texture(1)
    changed = photo.copy()
    changed[5, 7, 1] ^= 1
    assert identity(photo) == identity(photo.copy()) != identity(changed)
    assert identity(photo) != identity(photo.reshape(128, 96, 3))


def test_the_most_alike_over_several_pieces(monkeypatch) -> None:
    monkeypatch.setattr("hqmd_cli.data.check.near_duplicates.PRODUCTS", 7 * 30)
    prints = np.stack([fingerprint(texture(seed)) for seed in range(30)])
    places, likeness = most_alike(prints[::-1], prints)
    assert list(places) == list(range(29, -1, -1)) and likeness.min() > 0.999


# ---- the quick part ----


def test_good_data_has_no_findings(good: Path) -> None:
    assert quick_check(data.open_dataset(good, "train")) == []


@pytest.mark.parametrize(
    ("kind", "fault"),
    [("rgb", "empty"), ("rgb", "cut off"), ("depth", "no picture"), ("depth", "cut off"), ("depth", "size")],
)
def test_faults_that_are_found_without_reading_all(hundred: Path, monkeypatch, kind: str, fault: str) -> None:
    path = next((hundred / kind).glob("train042.*"))
    content = path.read_bytes()
    if fault == "size":
        with Image.open(path) as picture:
            picture.resize((64, 48)).save(path)
    else:
        path.write_bytes({"empty": b"", "no picture": b"<html>", "cut off": content[: len(content) * 2 // 3]}[fault])
    dataset = data.open_dataset(hundred, "train")
    read = []
    original = type(dataset).__getitem__
    monkeypatch.setattr(type(dataset), "__getitem__", lambda self, i: read.append(i) or original(self, i))
    (finding,) = quick_check(dataset)
    assert not finding.is_error and str(path) in finding.text
    assert finding.text.startswith("1 of 100 frames looked at cannot be used, such as ") and len(read) <= 9
    (hundred / "rgb" / "train007.jpg").write_bytes(b"")
    with pytest.raises(HqmdError, match=r"^2 of 100 frames looked at cannot be used.*`hqmd check` finds all$"):
        require_usable([data.open_dataset(hundred, "train")])


def test_a_photo_that_lies_on_its_side(tmp_path: Path) -> None:
    """EXIF makes it 128 x 96, the size of its depth."""
    pairs = write_pairs(tmp_path / "pairs", train=1)
    photo = Image.open(pairs / "rgb" / "train000.jpg")
    exif = photo.getexif()
    exif[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(pairs / "rgb" / "train000.jpg", exif=exif)
    assert photo_size(pairs / "rgb" / "train000.jpg") == (96, 128)
    assert quick_check(data.open_dataset(pairs, "train")) == []


def test_whole_files_that_end_oddly_are_no_faults(good: Path) -> None:
    for photo in (good / "rgb").iterdir():
        photo.write_bytes(photo.read_bytes() + b"a camera's own notes")
        assert not ends_well(photo)
    assert quick_check(data.open_dataset(good, "train")) == []


def test_the_quick_part_is_quick(hundred: Path) -> None:
    """A generous limit: 721 of NYU's pairs take 0.2 s."""
    (hundred / "train.txt").write_text("".join(f"train{i % 100:03}\n" for i in range(2000)))
    dataset = data.open_dataset(hundred, "train")
    began = time.perf_counter()
    assert quick_check(dataset) == []
    assert time.perf_counter() - began < 10


def test_headers(tmp_path: Path) -> None:
    for name, values in {
        "8.png": np.zeros((3, 5), np.uint8),
        "16.png": np.zeros((3, 5), np.uint16),
        "f.tif": np.zeros((3, 5), np.float32),
    }.items():
        Image.fromarray(values).save(tmp_path / name)
    np.save(tmp_path / "a.npy", np.zeros((3, 5), np.float32))
    assert [depth_bits(tmp_path / name) for name in ("8.png", "16.png", "f.tif", "a.npy", "none.png")] == [
        8,
        16,
        None,
        None,
        None,
    ]
    assert all(depth_size(tmp_path / name) == (3, 5) for name in ("8.png", "16.png", "f.tif", "a.npy"))
    with pytest.raises(HqmdError, match=r"none\.png: no such file$"):
        depth_size(tmp_path / "none.png")
    with pytest.raises(HqmdError, match=r"none\.jpg: no such file"):
        photo_size(tmp_path / "none.jpg")


# ---- the picture ----


def test_edges_of_depth_by_hand() -> None:
    """A jump from 2 to 3 m is an edge on both sides; a slope of 2 % per pixel and the rim of a hole are not."""
    depth_m = np.full((5, 12), 2, np.float32)
    depth_m[:, 6:] = 3
    depth_m[:, :4] = 2 * 1.02 ** np.arange(4)[::-1]
    valid = np.ones((5, 12), bool)
    valid[:, 10] = False
    edges = depth_edges(np.where(valid, depth_m, 0), valid)
    assert np.flatnonzero(edges.all(axis=0)).tolist() == [5, 6] and edges.sum() == 10


def test_overlays(good: Path) -> None:
    dataset = data.open_dataset(good, "train")
    sample = dataset[0]
    shown = with_edges(sample)
    marked = (shown == EDGE_COLOUR).all(axis=2)
    assert marked.any() and not np.array_equal(shown, sample.image)
    np.testing.assert_array_equal(shown[~marked & sample.valid], sample.image[~marked & sample.valid])
    holes = sample_from("holes", sample.image, np.where(np.arange(96)[:, None] < 20, 0, sample.depth_m))
    np.testing.assert_array_equal(with_edges(holes)[:18], holes.image[:18] // 3)
    empty = sample_from("empty \udcff\n", np.zeros((60, 40, 3), np.uint8), np.zeros((60, 40), np.float32))
    picture = overlays([sample, holes, empty])
    assert picture.shape == (3 * 318, 800, 3) and picture.dtype == np.uint8


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_the_picture_of_the_command(hqmd, good: Path, tmp_path: Path, suffix: str) -> None:
    (good / "rgb" / "train000.jpg").write_bytes(b"")  # the first of the five; the others are drawn
    result = hqmd("check", good, "--picture", tmp_path / f"look{suffix}")
    assert result.returncode == 1
    with Image.open(tmp_path / f"look{suffix}") as picture:
        assert picture.size == (800, 4 * 318)


def test_statistics_do_not_keep_pixels(good: Path) -> None:
    sample, stats, counts = measure(data.open_dataset(good, "train"), 0)
    split = Split("train", is_held_out=False)
    split.add(0, stats, counts)
    kept = split.frames[0]
    arrays = (kept.fingerprint,)
    assert all(array.base is None for array in arrays), "a part of an array keeps the whole of it"
    assert sum(array.nbytes for array in arrays) + len(kept.identity) < 500 < sample.image.nbytes
