"""Lists of pairs: anybody's own tables, BTS's `rgb depth focal`, and the CSVs of Hu and DenseDepth."""

import csv
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli import data
from hqmd_cli.errors import HqmdError


def write_list(path: Path, *rows: tuple[str, ...], delimiter: str = ",") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, delimiter=delimiter).writerows(rows)
    return path


def names(dataset) -> list[str]:
    return [dataset[i].name for i in range(len(dataset))]


# ---- anybody's ----


@pytest.fixture
def listed(pairs: Path) -> Path:
    """A list that lies in another folder than the files, with a column `split`."""
    rows = [(f"../rgb/{name}.jpg", f"../depth/{name}.png", split) for name, split in (("a1", "train"), ("b2", "val"))]
    return write_list(pairs / "lists" / "list.csv", ("image", "depth", "split"), *rows)


def test_list_with_splits(listed: Path, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)  # paths are relative to the list, not to where one stands
    assert [data.open_dataset(listed, split)[0].name for split in ("train", "val")] == ["a1", "b2"]
    whole = data.open_dataset(listed, "all")
    assert names(whole) == ["a1", "b2"]
    assert whole[0].depth_m.shape == (48, 64) and "millimetres" in whole.description


def test_list_without_splits(pairs: Path) -> None:
    absolute = str(pairs / "depth" / "a1.png")
    path = write_list(pairs / "list.csv", ("depth", "image"), (absolute, "rgb/a1.jpg"))
    assert data.open_dataset(path, "all")[0].name == "a1"
    with pytest.raises(HqmdError, match="no split 'val', there are: all; a list with a header line may have a column"):
        data.open_dataset(path, "val")


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".txt"])
@pytest.mark.parametrize("delimiter", [",", "\t", ";", " "])
@pytest.mark.parametrize("header", [None, ("rgb", "depth", "split"), ("image_path", "depth_path", "split")])
def test_delimiters_and_headers(pairs: Path, suffix: str, delimiter: str, header: tuple[str, ...] | None) -> None:
    rows = [(f"rgb/{name}.jpg", f"depth/{name}.png", "train") for name in ("a2", "a3")]
    path = write_list(pairs / f"list{suffix}", *([header] if header else []), *rows, delimiter=delimiter)
    assert names(data.open_dataset(path, "train" if header else "all")) == ["a2", "a3"]


def test_columns_in_any_order_among_others(pairs: Path) -> None:
    header, row = ("id", "depth_map", "weather", "image_id", "rgb"), ("7", "depth/a1.png", "dry", "8", "rgb/a1.jpg")
    assert names(data.open_dataset(write_list(pairs / "list.csv", header, row), "all")) == ["a1"]


def test_names_with_spaces_and_commas(pairs: Path) -> None:
    for kind, suffix in (("rgb", ".jpg"), ("depth", ".png")):
        (pairs / kind / f"a1{suffix}").rename(pairs / kind / f"my, room{suffix}")
    path = write_list(pairs / "list.csv", ("rgb/my, room.jpg", "depth/my, room.png"))
    assert names(data.open_dataset(path, "all")) == ["my, room"]


def test_comments_blank_lines_and_backslashes(pairs: Path) -> None:
    path = pairs / "list.txt"
    path.write_text("# made on Windows\r\n\r\nrgb\\a1.jpg depth\\a1.png\r\n   \r\nrgb\\a2.jpg depth\\a2.png\r\n")
    assert names(data.open_dataset(path, "all")) == ["a1", "a2"]


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([("picture", "truth"), ("rgb/a1.jpg", "depth/a1.png")], "needs a header line .* begins with 'picture,truth'"),
        ([("image", "depth")], "needs a header line"),
        ([("image", "depth"), ("rgb/a1.jpg", "depth/a1.png"), ("rgb/a2.jpg",)], "every row, unlike in 'rgb/a2.jpg'"),
        ([("rgb/a1.jpg", "depth/a1.png"), ("", "depth/a2.png")], "every row, unlike in ' depth/a2.png'"),
        ([("rgb/a1.jpg",)], "a photo and a depth map in each row"),
        ([], "a photo and a depth map in each row"),
    ],
)
def test_list_without_columns(pairs: Path, rows: list[tuple[str, ...]], complaint: str) -> None:
    path = write_list(pairs / "list.csv", *rows)
    with pytest.raises(HqmdError, match=rf"list\.csv: .*{complaint}"):
        data.open_dataset(path, "all")


def test_the_split_file_of_a_folder_of_pairs(pairs: Path) -> None:
    with pytest.raises(HqmdError, match=r"train\.txt: .*for a folder of pairs give the folder, .*pairs$"):
        data.open_dataset(pairs / "train.txt", "all")


def test_list_with_a_row_without_split(pairs: Path) -> None:
    """A row of two cells under a header of three belongs to no split, and must not break the others."""
    rows = [("rgb/a1.jpg", "depth/a1.png", "val"), ("rgb/a2.jpg", "depth/a2.png"), ("rgb/a3.jpg", "depth/a3.png", "")]
    path = write_list(pairs / "list.csv", ("image", "depth", "split"), *rows)
    assert len(data.open_dataset(path, "val")) == 1
    assert len(data.open_dataset(path, "all")) == 3
    with pytest.raises(HqmdError, match="no split 'test', there are: val, all;"):
        data.open_dataset(path, "test")


def test_list_saved_by_excel(pairs: Path) -> None:
    """Its "CSV UTF-8" begins with a byte order mark, which is no part of the first column's name."""
    path = pairs / "list.csv"
    path.write_text("image,depth\nrgb/a1.jpg,depth/a1.png\n", encoding="utf-8-sig")
    assert len(data.open_dataset(path, "all")) == 1


@pytest.mark.parametrize("delimiter", [";", ",", "\t"])
def test_a_stated_delimiter(pairs: Path, delimiter: str) -> None:
    path = write_list(pairs / "list.csv", ("image", "depth"), ("rgb/a1.jpg", "depth/a1.png"), delimiter=delimiter)
    path.write_text(f"sep={delimiter}\n" + path.read_text())
    assert len(data.open_dataset(path, "all")) == 1


def test_list_of_missing_files(pairs: Path) -> None:
    rows = [("rgb/a1.jpg", "depth/a1.png"), ("rgb/x.jpg", "depth/a2.png"), ("rgb/y.jpg", "depth/y.png")]
    path = write_list(pairs / "list.csv", ("image", "depth"), *rows)
    with pytest.raises(HqmdError, match=r"3 of 6 listed files do not exist, such as .*rgb/x\.jpg; .*HQMD_DATA_ROOT"):
        data.open_dataset(path, "all")


def test_list_that_is_no_text(tmp_path: Path) -> None:
    (tmp_path / "list.csv").write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(HqmdError, match=r"list\.csv: not a readable list"):
        data.open_dataset(tmp_path / "list.csv", "all")


def test_anybodys_list_is_not_raw(listed: Path) -> None:
    with pytest.raises(HqmdError, match=r"raw depth needs the official \.mat"):
        data.open_dataset(listed, "val", "raw")


# ---- paths that begin elsewhere ----


def test_paths_that_begin_above_the_list(pairs: Path) -> None:
    rows = [("pairs/rgb/a1.jpg", "pairs/depth/a1.png")]
    assert len(data.open_dataset(write_list(pairs / "lists" / "new" / "list.csv", *rows), "all")) == 1


def test_photos_and_depth_in_two_roots(pairs: Path, tmp_path: Path, monkeypatch) -> None:
    """KITTI's raw photos and its annotated depth lie in two places."""
    shutil.move(pairs / "depth", tmp_path / "elsewhere" / "depth")
    path = write_list(tmp_path / "lists" / "list.txt", ("/rgb/a1.jpg", "/depth/a1.png"), delimiter=" ")
    with pytest.raises(HqmdError, match="listed files do not exist"):
        data.open_dataset(path, "all")
    monkeypatch.setenv("HQMD_DATA_ROOT", f"{pairs}{os.pathsep}{tmp_path / 'elsewhere'}")
    assert data.open_dataset(path, "all")[0].depth_m.shape == (48, 64)


def test_the_root_that_has_most_of_the_files_is_taken(pairs: Path) -> None:
    """A file of the first row beside the list does not turn the rest into missing ones."""
    (pairs / "lists" / "rgb").mkdir(parents=True)
    shutil.copy(pairs / "rgb" / "b1.jpg", pairs / "lists" / "rgb" / "a1.jpg")
    rows = [(f"rgb/{name}.jpg", f"depth/{name}.png") for name in ("a1", "a2", "a3")]
    dataset = data.open_dataset(write_list(pairs / "lists" / "list.csv", *rows), "all")
    assert [Path(photo).parent for photo in dataset.photos] == [pairs.resolve() / "rgb"] * 3


# ---- BTS ----


def write_room(folder: Path, room: str, depth_name: str, scale: float = 1000, dtype: type = np.uint16) -> None:
    """A photo rgb_00000.jpg and its depth, 0.4 m everywhere: no values that a unit could be found from."""
    (folder / room).mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 6), "red").save(folder / room / "rgb_00000.jpg")
    Image.fromarray(np.full((6, 8), 0.4 * scale).astype(dtype)).save(folder / room / depth_name)


@pytest.fixture
def bts(tmp_path: Path) -> Path:
    """nyu_depth_v2/ROOM/rgb_00000.jpg and sync_depth_00000.png, and BTS's list, in which one photo has no depth."""
    rooms = [f"kitchen_{i:04}" for i in range(3)]
    for room in rooms:
        write_room(tmp_path, room, "sync_depth_00000.png")
    rows = [(f"/{room}/rgb_00000.jpg", f"/{room}/sync_depth_00000.png", "518.8579") for room in rooms]
    rows.append((f"/{rooms[0]}/rgb_00000.jpg", "None", "518.8579"))
    return write_list(tmp_path / "nyudepthv2_train_files_with_gt.txt", *rows, delimiter=" ")


def test_bts_list(bts: Path) -> None:
    dataset = data.open_dataset(bts, "all")
    assert names(dataset) == [f"kitchen_{i:04}/rgb_00000" for i in range(3)]
    np.testing.assert_allclose(dataset[0].depth_m, 0.4, rtol=1e-6)
    assert "depth / 1000 (BTS's list of NYU: millimetres)" in dataset.description
    assert ", rows without depth left out: 1, focal lengths from the list" in dataset.description
    assert dataset.ground_truth == "as given"


def test_bts_list_is_raw_where_that_is_asked_for(bts: Path) -> None:
    assert data.open_dataset(bts, "all", "raw").ground_truth == "raw"


def test_a_stated_unit_wins_over_a_known_one(bts: Path) -> None:
    np.testing.assert_allclose(data.open_dataset(bts, "all", depth_scale=500)[0].depth_m, 0.8, rtol=1e-6)


@pytest.mark.parametrize(
    ("depth_name", "focal"),
    [("sync_depth_00000.png", "721.5377"), ("sync_depth_dense_00000.png", "518.8579"), ("mine.png", "518.8579")],
)
def test_a_list_like_bts_of_other_data_has_no_known_unit(tmp_path: Path, depth_name: str, focal: str) -> None:
    """NYU's focal length is often kept where the pictures are others."""
    write_room(tmp_path, "room", depth_name)
    path = write_list(tmp_path / "list.txt", ("room/rgb_00000.jpg", f"room/{depth_name}", focal), delimiter=" ")
    with pytest.raises(HqmdError, match="unit is unclear"):
        data.open_dataset(path, "all")
    with pytest.raises(HqmdError, match="raw depth needs"):
        data.open_dataset(path, "all", "raw")


def test_bts_list_of_kitti(tmp_path: Path) -> None:
    drive = "2011_09_26_drive_0002_sync"
    write_room(tmp_path, f"{drive}/proj_depth/groundtruth/image_02", "0000000069.png", scale=256)
    photo = f"{drive}/proj_depth/groundtruth/image_02/rgb_00000.jpg"
    rows = [
        (photo, f"{drive}/proj_depth/groundtruth/image_02/0000000069.png", "721.5377"),
        (photo, "None", "721.5377"),
    ]
    dataset = data.open_dataset(write_list(tmp_path / "list.txt", *rows, delimiter=" "), "all", "raw")
    assert dataset.ground_truth == "raw" and len(dataset) == 1
    np.testing.assert_allclose(dataset[0].depth_m, 0.4, atol=1 / 256)


def test_nothing_but_photos_without_depth(bts: Path) -> None:
    write_list(bts, ("/kitchen_0000/rgb_00000.jpg", "None", "518.8579"), delimiter=" ")
    with pytest.raises(HqmdError, match="split 'all' is empty"):
        data.open_dataset(bts, "all")


# ---- Hu and DenseDepth ----


@pytest.fixture
def densedepth(tmp_path: Path) -> Path:
    """nyu_data/data/nyu2_train.csv and nyu2_test.csv in the published layout."""
    inside = tmp_path / "nyu_data" / "data"
    write_room(inside, "nyu2_train/living_room_0038_out", "37.png", scale=25.5, dtype=np.uint8)
    write_room(inside, "nyu2_test", "00000_depth.png")
    (inside / "nyu2_train/living_room_0038_out/rgb_00000.jpg").rename(inside / "nyu2_train/living_room_0038_out/37.jpg")
    (inside / "nyu2_test/rgb_00000.jpg").rename(inside / "nyu2_test/00000_colors.png")
    room = "data/nyu2_train/living_room_0038_out"
    write_list(inside / "nyu2_train.csv", (f"{room}/37.jpg", f"{room}/37.png"))
    write_list(inside / "nyu2_test.csv", ("data/nyu2_test/00000_colors.png", "data/nyu2_test/00000_depth.png"))
    return inside


def test_densedepth_training_list(densedepth: Path) -> None:
    """255 = 10 m: 0.4 m are stored as 10, which is 0.392 m."""
    dataset = data.open_dataset(densedepth / "nyu2_train.csv", "all")
    np.testing.assert_allclose(dataset[0].depth_m, 10 / 255 * 10, rtol=1e-6)
    assert "Hu's and DenseDepth's training set" in dataset.description
    assert dataset.description.endswith("8 bits in steps of 39 mm")


def test_densedepth_test_list(densedepth: Path) -> None:
    dataset = data.open_dataset(densedepth / "nyu2_test.csv", "all")
    np.testing.assert_allclose(dataset[0].depth_m, 0.4, rtol=1e-6)
    assert "8 bits" not in dataset.description


def test_both_train(densedepth: Path) -> None:
    train, val = data.open_training_data(densedepth / "nyu2_train.csv", densedepth / "nyu2_test.csv")
    assert (len(train), len(val)) == (1, 1)


def test_a_training_list_made_anew_with_16_bits_has_no_known_unit(densedepth: Path) -> None:
    depth = densedepth / "nyu2_train/living_room_0038_out/37.png"
    Image.fromarray(np.full((6, 8), 2500, np.uint16)).save(depth)
    assert "found from the values: millimetres" in data.open_dataset(densedepth / "nyu2_train.csv", "all").description
