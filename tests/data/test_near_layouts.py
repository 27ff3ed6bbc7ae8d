"""Data a hair off the known layouts: read if it is clear what is meant, and otherwise told what is near."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.data import find_reader, open_dataset
from hqmd_cli.data.no_depth import is_sentinel, to_metres
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.text import read_lines

LIST = "rgb,depth\nrgb/a1.jpg,depth/a1.png\nrgb/a2.jpg,depth/a2.png\n"


def write_tum(root: Path) -> Path:
    """A recording of two photos; the third depth map has no photo of its time."""
    for kind in ("rgb", "depth"):
        (root / kind).mkdir(parents=True)
    times = {"rgb": [10.000, 10.033], "depth": [10.005, 10.040, 11.0]}
    for kind, seconds in times.items():
        lines = ["# color images" if kind == "rgb" else "# depth maps", "# timestamp filename"]
        for number, time in enumerate(seconds):
            lines.append(f"{time:.6f} {kind}/{time:.6f}.png")
            path = root / kind / f"{time:.6f}.png"
            if kind == "rgb":
                Image.new("RGB", (16, 12), (number * 90, 80, 60)).save(path)
            else:
                Image.fromarray(np.full((12, 16), 5000 * (number + 1), np.uint16)).save(path)
        (root / f"{kind}.txt").write_text("\n".join(lines) + "\n")
    return root


# ---- text files


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lists_in_every_unicode_encoding(pairs: Path, encoding: str, end: str) -> None:
    (pairs / "list.csv").write_bytes(LIST.replace("\n", end).encode(encoding))
    assert open_dataset(pairs / "list.csv", "all").names == ["a1", "a2"]
    (pairs / "odd.txt").write_bytes(f"a2{end}a1{end}".encode(encoding))
    assert open_dataset(pairs, "odd").names == ["a2", "a1"]


def test_names_of_a_split_as_people_write_them(pairs: Path) -> None:
    (pairs / "odd.txt").write_text("# of 2024\n\"a2\"\n'rgb/a1.jpg'\n")
    assert open_dataset(pairs, "odd").names == ["a2", "a1"]
    (pairs / "rgb/a1.jpg").rename(pairs / "rgb/#1.jpg")
    (pairs / "depth/a1.png").rename(pairs / "depth/#1.png")
    (pairs / "odd.txt").write_text("#1\na2\n")
    assert open_dataset(pairs, "odd").names == ["#1", "a2"]


@pytest.mark.parametrize("first", ["sep=;", "SEP=;", '"sep=;"'])
def test_a_stated_delimiter(pairs: Path, first: str) -> None:
    (pairs / "list.csv").write_text(f"{first}\n" + LIST.replace(",", ";"))
    assert len(open_dataset(pairs / "list.csv", "all")) == 2


def test_names_that_are_no_utf8(pairs: Path) -> None:
    for kind, suffix in (("rgb", b".jpg"), ("depth", b".png")):
        folder = os.fsencode(pairs / kind)
        os.rename(os.path.join(folder, b"a1" + suffix), os.path.join(folder, b"k\xfcche" + suffix))
    (pairs / "odd.txt").write_bytes(b"k\xfcche\n")
    (pairs / "list.csv").write_bytes(b"rgb/k\xfcche.jpg,depth/k\xfcche.png\n")
    for path, split in ((pairs, "odd"), (pairs / "list.csv", "all")):
        assert open_dataset(path, split)[0].name == "k\udcfcche"


@pytest.mark.unix
def test_what_is_no_text_is_refused(tmp_path: Path) -> None:
    for content in (b"\x89PNG\r\n\0\1\2", b"\xff\xfe\x00\xd8"):
        (tmp_path / "x").write_bytes(content)
        with pytest.raises(HqmdError, match="x: not a readable list"):
            read_lines(tmp_path / "x", "list")
    with pytest.raises(HqmdError, match="pipe or device"):
        read_lines(Path("/dev/null"), "list")


# ---- folders of pairs


@pytest.mark.parametrize("line", ["a1.jpg", "a1.png", "rgb/a1.jpg", "depth/a1.png", "./a1", "rgb\\a1.jpg"])
def test_split_files_may_have_suffixes_and_folders(pairs: Path, line: str) -> None:
    (pairs / "odd.txt").write_text(f"{line}\n")
    assert open_dataset(pairs, "odd").names == ["a1"]


@pytest.mark.parametrize(
    ("kind", "other"), [("rgb", "images"), ("rgb", "Color_Images"), ("depth", "depths"), ("depth", "gt")]
)
def test_folders_of_another_name_are_named(pairs: Path, kind: str, other: str) -> None:
    (pairs / kind).rename(pairs / other)
    with pytest.raises(HqmdError, match=rf"there is {other}/: if these are meant, rename to {kind}/"):
        open_dataset(pairs, "all")


def test_two_folders_of_other_names_are_named(pairs: Path) -> None:
    (pairs / "rgb").rename(pairs / "images")
    (pairs / "depth").rename(pairs / "depth_maps")
    with pytest.raises(HqmdError, match=r"there is images/.*there is depth_maps/"):
        find_reader(pairs)


def test_a_name_twice_is_taken_once_and_said(hqmd, pairs: Path) -> None:
    (pairs / "val.txt").write_text("b1\nb2\nb1\n")
    dataset = open_dataset(pairs, "val")
    assert dataset.names == ["b1", "b2"] and dataset.description.endswith("named twice and taken once: 1")
    assert "warning: val: 1 frames are listed twice and taken once, such as b1" in hqmd("check", pairs).stdout


def write_many(folder: Path, number: int) -> Path:
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    depth = np.linspace(2000, 3000, 12).reshape(3, 4).astype(np.uint16)
    for i in range(number):
        Image.new("RGB", (4, 3), (i % 256, 9, 9)).save(folder / "rgb" / f"{i:03}.png")
        Image.fromarray(depth).save(folder / "depth" / f"{i:03}.png")
    (folder / "train.txt").write_text("".join(f"{i:03}\n" for i in range(number)))
    rows = "".join(f"rgb/{i:03}.png,depth/{i:03}.png\n" for i in range(number))
    (folder / "list.csv").write_text(rows)
    return folder


@pytest.mark.parametrize("name", ["train", "list.csv"])
def test_one_missing_file_of_a_hundred_is_left_out_and_said(tmp_path: Path, name: str) -> None:
    folder = write_many(tmp_path / "many", 100)
    path, split = (folder, name) if name == "train" else (folder / name, "all")
    (folder / "depth" / "042.png").unlink()
    dataset = open_dataset(path, split)
    assert len(dataset) == 99 and "042" not in dataset.names
    assert dataset.description.endswith("pictures left out whose files are missing: 1")
    (folder / "rgb" / "077.png").unlink()
    with pytest.raises(HqmdError, match=r"no file for 2 of 100 names|2 of 200 listed files do not exist") as refusal:
        open_dataset(path, split)
    assert "put the list into" not in str(refusal.value)  # most files are there, so that the folder is right


def test_a_file_of_another_suffix_is_named(pairs: Path) -> None:
    (pairs / "list.csv").write_text("rgb/a1.png,depth/a1.png\n")
    with pytest.raises(HqmdError, match=r"rgb/a1\.png \(there is a1\.jpg\)"):
        open_dataset(pairs / "list.csv", "all")


# ---- TUM


def test_tum(tmp_path: Path) -> None:
    root = write_tum(tmp_path / "desk")
    dataset = open_dataset(root, "all")
    assert dataset.names == ["10.005000", "10.040000"]
    np.testing.assert_allclose([dataset[i].depth_m[0, 0] for i in range(2)], [1, 2])
    assert "without a photo of their time left out: 1" in dataset.description
    assert open_dataset(root, "all", depth_scale=1000)[0].depth_m[0, 0] == 5


@pytest.mark.parametrize("depth_first", [False, True])
def test_tum_associations(tmp_path: Path, depth_first: bool) -> None:
    root = write_tum(tmp_path / "desk")
    photo, depth = "10.000000 rgb/10.000000.png", "10.005000 depth/10.005000.png"
    (root / "associations.txt").write_text(f"{depth} {photo}\n" if depth_first else f"{photo} {depth}\n")
    Image.fromarray(np.full((12, 16), 2500, np.uint16)).save(root / "depth" / "10.005000.png")
    with pytest.raises(HqmdError, match=r"look like 1/1000 m; state the right one: --depth-scale 5000"):
        open_dataset(root / "associations.txt", "all")  # 2500 is 0.5 m in TUM's unit, and 2.5 m in millimetres
    assert open_dataset(root / "associations.txt", "all", depth_scale=5000)[0].depth_m[0, 0] == 0.5
    Image.fromarray(np.full((12, 16), 11_000, np.uint16)).save(root / "depth" / "10.005000.png")
    dataset = open_dataset(root / "associations.txt", "all")
    np.testing.assert_allclose(dataset[0].depth_m, 2.2, rtol=1e-6)
    assert "TUM's 1/5000 m" in dataset.description


# ---- numbers that stand for no depth


def test_sentinels_by_kind_of_number() -> None:
    assert list(is_sentinel(np.array([0, 255], np.uint8))) == [False, False]
    assert list(is_sentinel(np.array([0, 65534, 65535], np.uint16))) == [False, False, True]
    assert list(is_sentinel(np.array([-1, 65535, 2**31 - 1], np.int32))) == [False, True, True]
    values = np.array([2.5, np.nan, np.inf, -1, 65504, 65535, 1e10, 300], np.float32)
    assert list(is_sentinel(values)) == [False, False, False, False, True, True, True, False]
    assert np.isposinf(to_metres(values, 1)[4:7]).all()
    with np.errstate(all="raise"):  # NumPy would warn of 1e9 in half precision, and name no file
        assert list(is_sentinel(np.array([2.5, 65504, np.inf], np.float16))) == [False, True, False]


@pytest.mark.parametrize("number", [65535, 1e10])
def test_a_sentinel_is_masked_said_and_does_not_hide_the_unit(hqmd, tmp_path: Path, number: float) -> None:
    folder = write_many(tmp_path / "many", 4)
    for depth in (folder / "depth").iterdir():
        values = np.asarray(Image.open(depth)).astype(np.uint16 if number == 65535 else np.float32)
        values = values if number == 65535 else values / 1000
        values[0, :2] = number
        if number == 65535:
            Image.fromarray(values).save(depth)
        else:
            np.save(depth.with_suffix(".npy"), values)
            depth.unlink()
    sample = open_dataset(folder, "all")[0]
    assert sample.masked == 2 and sample.valid.sum() == 10 and sample.depth_m.max() < 4
    told = hqmd("check", folder)
    assert told.returncode == 0 and "16.67% of the pixels hold a number that stands for no depth" in told.stdout


def test_other_outliers_are_kept_and_reported(hqmd, tmp_path: Path) -> None:
    folder = write_many(tmp_path / "many", 4)
    values = np.asarray(Image.open(folder / "depth" / "002.png")).copy()
    values[0, 0] = 60_000
    Image.fromarray(values).save(folder / "depth" / "002.png")
    assert open_dataset(folder, "all", depth_scale=1000)[2].depth_m[0, 0] == 60
    told = hqmd("check", folder, "--depth-scale", 1000).stdout
    assert "1 frames have depths far beyond all others, up to 60 m in 002" in told
