"""Readers of the official NYU file and of folders of pairs, and the unit of depth files. Lists: test_lists.py."""

import os
import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image

from hqmd_cli import data
from hqmd_cli.data import nyu
from hqmd_cli.data.depth_unit import find_depth_scale
from hqmd_cli.data.nyu import NyuMat, consecutive_runs, official_splits
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import write_depth_mm

# ---- NYU: the split ----


def test_official_split() -> None:
    splits = official_splits()
    train, test = splits["trainval"], splits["test"]
    assert (len(train), len(test)) == (795, 654)
    assert sorted(train + test) == list(range(1, 1450))  # so they are disjoint, too
    assert (test[:5], test[-1]) == ([1, 2, 9, 14, 15], 1449)
    assert (train[:3], train[-1]) == ([3, 4, 5], 1440)
    assert train == sorted(train) and test == sorted(test)


def test_val_is_rooms_of_its_own() -> None:
    splits = official_splits()
    train, val = set(splits["train"]), set(splits["val"])
    assert sorted(train | val) == splits["trainval"] and not train & val
    assert val
    for run in consecutive_runs(splits["trainval"]):
        assert set(run) <= train or set(run) <= val, f"the room of {run} is on both sides"


def test_consecutive_runs() -> None:
    assert consecutive_runs([3, 4, 7]) == [[3, 4], [7]]
    assert consecutive_runs([]) == []


def test_changed_split_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(nyu, "SPLITS_SHA256", "0" * 64)
    with pytest.raises(HqmdError, match=r"nyu_splits\.json .* changed; reinstall"):
        official_splits()


# ---- NYU: the file ----


@pytest.mark.parametrize(
    ("split", "index", "frame"), [("test", 0, 1), ("test", 1, 2), ("train", 2, 5), ("trainval", 0, 3), ("val", 1, 45)]
)
def test_nyu_frames_are_upright(nyu_mat: Path, nyu_slots: dict, split: str, index: int, frame: int) -> None:
    """The k-th sample of a split is the official frame, with MATLAB's axes reversed and red first."""
    sample = data.open_dataset(nyu_mat, split)[index]
    image, filled, _ = nyu_slots[frame]
    assert sample.name == f"{frame:05d}"
    assert sample.image.shape == (480, 640, 3) and sample.image.dtype == np.uint8
    assert sample.depth_m.shape == sample.valid.shape == (480, 640) and sample.depth_m.dtype == np.float32
    np.testing.assert_array_equal(sample.image, image)
    np.testing.assert_array_equal(sample.depth_m, filled)
    assert sample.valid.all()


def test_nyu_raw_depth_has_holes(nyu_mat: Path, nyu_slots: dict) -> None:
    dataset = data.open_dataset(nyu_mat, "test", "raw")
    _, filled, raw = nyu_slots[1]
    assert dataset.ground_truth == "raw"
    np.testing.assert_array_equal(dataset[0].depth_m, raw)
    np.testing.assert_array_equal(dataset[0].valid, raw > 0)
    assert not np.array_equal(raw, filled)  # or this test could not fail


def test_nyu_slot_without_depth(nyu_mat: Path) -> None:
    sample = data.open_dataset(nyu_mat, "test")[2]  # frame 9 is not filled
    assert not sample.valid.any() and not sample.depth_m.any()


@pytest.mark.parametrize(("split", "count"), [("train", 721), ("val", 74), ("trainval", 795), ("test", 654)])
def test_nyu_lengths(nyu_mat: Path, split: str, count: int) -> None:
    dataset = data.open_dataset(nyu_mat, split)
    assert len(dataset) == count
    assert split in dataset.description and nyu_mat.name in dataset.description


def test_nyu_unknown_split(nyu_mat: Path) -> None:
    with pytest.raises(HqmdError, match=r"no split 'dev'.*train, val, trainval, test"):
        data.open_dataset(nyu_mat, "dev")


def test_nyu_is_in_metres(nyu_mat: Path) -> None:
    with pytest.raises(HqmdError, match="metres; leave --depth-scale out"):
        data.open_dataset(nyu_mat, "test", depth_scale=1000)


def layout(path: Path, **fields: tuple[int, ...]) -> Path:
    """An HDF5 file with empty fields of these shapes."""
    with h5py.File(path, "w") as file:
        for name, shape in fields.items():
            file.create_dataset(name, shape, np.uint8 if name == "images" else np.float32, chunks=(1, *shape[1:]))
    return path


IMAGES, DEPTHS = (1449, 3, 640, 480), (1449, 640, 480)


@pytest.mark.parametrize(
    ("fields", "ground_truth", "complaint"),
    [
        ({"images": (12, 3, 640, 480), "depths": (12, 640, 480)}, "filled", r"images is \(12, 3, 640, 480\).*1449"),
        ({"images": IMAGES, "depths": (1448, 640, 480)}, "filled", r"depths is \(1448, 640, 480\).*1449"),
        # As a reader that turned the axes back would have saved it.
        ({"images": (1449, 480, 640, 3), "depths": DEPTHS}, "filled", r"images is \(1449, 480, 640, 3\)"),
        ({"images": IMAGES, "labels": DEPTHS}, "filled", r"no field 'depths' \(found images, labels\)"),
        ({"images": IMAGES, "depths": DEPTHS}, "raw", r"no field 'rawDepths' \(found depths, images\)"),
        ({"depths": DEPTHS}, "filled", r"no field 'images' \(found depths\)"),
    ],
)
def test_not_the_official_layout(tmp_path: Path, fields: dict, ground_truth: str, complaint: str) -> None:
    path = layout(tmp_path / "other.mat", **fields)
    with pytest.raises(HqmdError, match=rf"other\.mat: {complaint}"):
        data.open_dataset(path, "test", ground_truth)


@pytest.mark.parametrize("how", ["external", "virtual", "link"])
def test_numbers_in_another_file_are_refused(tmp_path: Path, how: str) -> None:
    path, secret = tmp_path / "other.mat", tmp_path / "secret"
    secret.write_bytes(bytes(100))
    with h5py.File(path, "w") as file:
        file.create_dataset("images", IMAGES, np.uint8, chunks=(1, *IMAGES[1:]))
        if how == "external":
            file.create_dataset("depths", DEPTHS, np.float32, external=[(str(secret), 0, h5py.h5f.UNLIMITED)])
        elif how == "virtual":
            whole = h5py.VirtualLayout(DEPTHS, np.float32)
            whole[0] = h5py.VirtualSource(str(secret), "depths", DEPTHS[1:])
            file.create_virtual_dataset("depths", whole)
        else:
            file["depths"] = h5py.ExternalLink(str(secret), "depths")
    with pytest.raises(HqmdError, match="depths lies in another file"):
        data.open_dataset(path, "test")


@pytest.mark.parametrize("field", ["images", "depths"])
@pytest.mark.parametrize("kind", ["S8", "c8", "O", [("a", "f4")], "f2"])
def test_numbers_of_another_kind_are_refused(tmp_path: Path, field: str, kind: object) -> None:
    kinds = {"images": np.uint8, "depths": np.float32, field: h5py.ref_dtype if kind == "O" else np.dtype(kind)}
    with h5py.File(tmp_path / "other.mat", "w") as file:
        for name, shape in (("images", IMAGES), ("depths", DEPTHS)):
            file.create_dataset(name, shape, kinds[name], chunks=(1, *shape[1:]))
    with pytest.raises(HqmdError, match=rf"other\.mat: {field} holds .*, unlike the official file"):
        data.open_dataset(tmp_path / "other.mat", "test")


@pytest.mark.unix
def test_a_pipe_called_mat_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.mat")
    with pytest.raises(HqmdError, match="a pipe or device, not a file"):
        data.open_dataset(tmp_path / "pipe.mat", "test")


def test_not_hdf5(tmp_path: Path) -> None:
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(128) + bytes(2000))
    with pytest.raises(HqmdError, match=r"old\.mat: not a MATLAB 7\.3"):
        data.open_dataset(tmp_path / "old.mat", "test")


def test_half_downloaded(tmp_path: Path, nyu_mat: Path) -> None:
    (tmp_path / "half.mat").write_bytes(nyu_mat.read_bytes()[:-5000])
    with pytest.raises(HqmdError, match=r"half\.mat: not a MATLAB 7\.3 .* or damaged"):
        data.open_dataset(tmp_path / "half.mat", "test")


# ---- NYU: several processes ----


def test_nyu_pickled_after_reading(nyu_mat: Path) -> None:
    """DataLoader pickles a dataset where processes are spawned."""
    dataset = data.open_dataset(nyu_mat, "test")
    first = dataset[0]
    copy = pickle.loads(pickle.dumps(dataset))
    np.testing.assert_array_equal(copy[0].image, first.image)


class Whole:
    """The first samples of a dataset; a class of the module, so that it can be pickled."""

    def __init__(self, dataset: NyuMat, count: int) -> None:
        self.dataset, self.count = dataset, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> tuple[str, np.ndarray, np.ndarray]:
        sample = self.dataset[index]
        return sample.name, sample.image, sample.depth_m


def test_nyu_under_workers(nyu_mat: Path) -> None:
    """Two workers forked after the file was read here: the same samples in the same order, and still readable here."""
    from torch.utils.data import DataLoader

    dataset = data.open_dataset(nyu_mat, "train")
    direct = [dataset[i] for i in range(4)]
    loader = DataLoader(Whole(dataset, 4), batch_size=None, num_workers=2, multiprocessing_context="fork")
    for _ in range(2):
        loaded = list(loader)
        assert [name for name, _, _ in loaded] == [sample.name for sample in direct]
        for (_, image, depth_m), sample in zip(loaded, direct, strict=True):
            np.testing.assert_array_equal(image, sample.image)
            np.testing.assert_array_equal(depth_m, sample.depth_m)
    np.testing.assert_array_equal(dataset[0].image, direct[0].image)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing is inherited where there is no fork")
def test_a_forked_process_has_its_own_file_position(nyu_mat: Path) -> None:
    """HDF5 reuses the descriptor of an open file, so opening it again is not enough."""
    dataset = data.open_dataset(nyu_mat, "test")
    dataset[0]
    mark = 12345
    os.lseek(dataset.open().id.get_vfd_handle(), mark, os.SEEK_SET)
    child = os.fork()
    if child == 0:
        shared = os.lseek(dataset.open().id.get_vfd_handle(), 0, os.SEEK_CUR) == mark
        os._exit(1 if shared else 0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0, "the child reads through its parent's descriptor"


# ---- folder of pairs ----


def test_pairs_by_split(pairs: Path) -> None:
    train, val, whole = (data.open_dataset(pairs, split) for split in ("train", "val", "all"))
    assert [train[i].name for i in range(len(train))] == ["a1", "a2", "a3", "a4"]
    assert [val[i].name for i in range(len(val))] == ["b1", "b2"]
    assert [whole[i].name for i in range(len(whole))] == ["a1", "a2", "a3", "a4", "b1", "b2"]
    assert train.ground_truth == "as given"


def test_the_order_is_that_of_the_list(pairs: Path) -> None:
    (pairs / "odd.txt").write_text("a3\n\nb1\na1\n")
    dataset = data.open_dataset(pairs, "odd")
    assert [dataset[i].name for i in range(len(dataset))] == ["a3", "b1", "a1"]


def test_pair_is_read_in_metres(pairs: Path) -> None:
    sample = data.open_dataset(pairs, "train")[0]
    stored = np.asarray(Image.open(pairs / "depth" / "a1.png"))
    assert sample.image.shape == (48, 64, 3) and sample.depth_m.dtype == np.float32
    np.testing.assert_allclose(sample.depth_m, stored / 1000, rtol=1e-6)


@pytest.mark.parametrize("photo_suffix", [".jpg", ".PNG", ".jpeg"])
@pytest.mark.parametrize("depth_suffix", [".png", ".npy", ".tiff"])
def test_kinds_of_files(tmp_path: Path, photo_suffix: str, depth_suffix: str) -> None:
    depth_m = np.linspace(1, 4, 12, dtype=np.float32).reshape(3, 4)
    write_pair(tmp_path, "x", depth_m if depth_suffix != ".png" else in_mm(depth_m), photo_suffix, depth_suffix)
    sample = data.open_dataset(tmp_path, "all")[0]
    assert sample.image.shape == (3, 4, 3)
    np.testing.assert_allclose(sample.depth_m, depth_m, atol=6e-4)


def test_holes_are_invalid(tmp_path: Path) -> None:
    depth_m = np.full((3, 4), 2, np.float32)
    depth_m[0] = np.nan, np.inf, 0, -1
    write_pair(tmp_path, "x", depth_m, depth_suffix=".npy")
    sample = data.open_dataset(tmp_path, "all")[0]
    assert not sample.valid[0].any() and sample.valid[1:].all()
    assert not sample.depth_m[0].any()


def in_mm(depth_m: np.ndarray) -> np.ndarray:
    return np.round(depth_m * 1000).astype(np.uint16)


def write_pair(
    folder: Path, name: str, values: np.ndarray, photo_suffix: str = ".png", depth_suffix: str = ".png"
) -> None:
    """Write rgb/NAME and depth/NAME; the photo has the size of the depth."""
    (folder / "rgb").mkdir(exist_ok=True)
    (folder / "depth").mkdir(exist_ok=True)
    Image.new("RGB", values.shape[::-1], "red").save(folder / "rgb" / f"{name}{photo_suffix}")
    write_depth(folder / "depth" / f"{name}{depth_suffix}", values)


def write_depth(path: Path, values: np.ndarray) -> None:
    """Write numbers without a unit."""
    if path.suffix == ".npy":
        np.save(path, values)
    else:
        Image.fromarray(values).save(path)


def test_name_with_spaces(pairs: Path) -> None:
    """One name a line, so a space belongs to the name."""
    for kind, suffix in (("rgb", ".jpg"), ("depth", ".png")):
        (pairs / kind / f"a1{suffix}").rename(pairs / kind / f"my room{suffix}")
    (pairs / "one.txt").write_text("my room\na2\n")
    dataset = data.open_dataset(pairs, "one")
    assert [dataset[i].name for i in range(len(dataset))] == ["my room", "a2"]


@pytest.mark.parametrize(("kind", "suffix"), [("rgb", ".jpg"), ("depth", ".png")])
@pytest.mark.parametrize("split", ["train", "all"])
def test_missing_partner(pairs: Path, kind: str, suffix: str, split: str) -> None:
    (pairs / kind / f"a2{suffix}").unlink()
    with pytest.raises(HqmdError, match=rf"pairs/{kind}: no file for 1 of \d names, such as a2"):
        data.open_dataset(pairs, split)


def test_twin_names(pairs: Path) -> None:
    Image.new("RGB", (64, 48)).save(pairs / "rgb" / "a1.png")
    with pytest.raises(HqmdError, match=r"a1\.png and a1\.jpg have one name"):
        data.open_dataset(pairs, "val")


def test_sizes_differ(pairs: Path) -> None:
    Image.new("RGB", (32, 24)).save(pairs / "rgb" / "a1.jpg")
    dataset = data.open_dataset(pairs, "train")
    with pytest.raises(HqmdError, match=r"a1\.jpg and .*a1\.png: photo is 32 x 24, depth 64 x 48"):
        dataset[0]


def test_unknown_split_lists_the_splits(pairs: Path) -> None:
    with pytest.raises(HqmdError, match=r"no split 'test', there are: train, val, all; .*val\.txt"):
        data.open_dataset(pairs, "test")


def test_empty_split(pairs: Path) -> None:
    (pairs / "val.txt").write_text("\n")
    with pytest.raises(HqmdError, match="split 'val' is empty"):
        data.open_dataset(pairs, "val")


def test_split_that_is_no_text(pairs: Path) -> None:
    (pairs / "val.txt").write_bytes(b"\x89PNG\r\n\x1a\n\x01\0\x02\x03")
    with pytest.raises(HqmdError, match=r"val\.txt"):
        data.open_dataset(pairs, "val")


@pytest.mark.parametrize("kind", ["rgb", "depth"])
def test_not_a_folder_of_pairs(pairs: Path, kind: str) -> None:
    (pairs / kind).rename(pairs / "elsewhere")
    with pytest.raises(HqmdError, match=rf"pairs/{kind}: no such folder; a folder of pairs has"):
        data.open_dataset(pairs, "all")


def test_files_are_not_raw(pairs: Path) -> None:
    with pytest.raises(HqmdError, match=r"raw depth needs the official \.mat"):
        data.open_dataset(pairs, "val", "raw")


@pytest.mark.parametrize(
    ("name", "complaint"),
    [("nothing", "no such file or folder"), ("data.zip", r"data\.zip: no kind of data named '\.zip'")],
)
def test_unknown_kind_of_data(tmp_path: Path, name: str, complaint: str) -> None:
    (tmp_path / "data.zip").write_bytes(b"PK")
    with pytest.raises(HqmdError, match=complaint):
        data.open_dataset(tmp_path / name, "test")


# ---- units ----


def depth_file(folder: Path, median: float, dtype: type, suffix: str = ".png") -> Path:
    """Write a map whose values spread by a third around `median`."""
    path = folder / f"depth{suffix}"
    write_depth(path, (median * np.linspace(0.67, 1.33, 60 * 80).reshape(60, 80)).astype(dtype))
    return path


@pytest.mark.parametrize(
    ("median", "dtype", "suffix", "scale", "unit"),
    [
        (2500, np.uint16, ".png", 1000, "millimetres"),
        (2.5, np.float32, ".npy", 1, "metres"),
        (2.5, np.float32, ".tif", 1, "metres"),
    ],
)
def test_unit_found(tmp_path: Path, median: float, dtype: type, suffix: str, scale: float, unit: str) -> None:
    """Found only if a single unit turns the values into a room."""
    found, origin = find_depth_scale([depth_file(tmp_path, median, dtype, suffix)], None)
    assert found == scale and origin == f"found from the values: {unit}"


@pytest.mark.parametrize(
    ("median", "why"),
    [
        (5500, "5.5 m in millimetres, 1.1 m in TUM's unit"),
        (1200, "1.2 m in millimetres, 4.7 m in KITTI's unit"),
        (600, "2.3 m in KITTI's unit, or in millimetres the top of a desk"),
        (400, "1.6 m in KITTI's unit, or in millimetres a close-up"),
        (15000, "3 m in TUM's unit, or in millimetres a courtyard"),
        (30000, "6 m in TUM's unit, or in millimetres a street"),
        (50, "a close-up of 5 cm, or anything"),
    ],
)
def test_unit_unclear(tmp_path: Path, median: int, why: str) -> None:
    with pytest.raises(HqmdError, match=r"unit is unclear.*--depth-scale 1000"):
        find_depth_scale([depth_file(tmp_path, median, np.uint16)], None)


def test_street_is_never_found(tmp_path: Path) -> None:
    """KITTI's own: the median of 12 m would be 3 m in millimetres, but the far end is further than any room."""
    depth_m = np.full((60, 80), 12.0)
    depth_m[:20] = 60
    write_depth(tmp_path / "street.png", np.round(depth_m * 256).astype(np.uint16))
    with pytest.raises(HqmdError, match="--depth-scale 256"):
        find_depth_scale([tmp_path / "street.png"], None)


def test_8_bit_depth_has_no_unit(tmp_path: Path) -> None:
    """Even with values that would be metres."""
    with pytest.raises(HqmdError, match=r"8-bit depth has no unit.*--depth-scale"):
        find_depth_scale([depth_file(tmp_path, 4, np.uint8)], None)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_stated_unit_wins(tmp_path: Path, dtype: type) -> None:
    assert find_depth_scale([depth_file(tmp_path, 100, dtype)], 25.5) == (25.5, "stated")


def test_a_stated_unit_that_the_file_contradicts_is_refused(tmp_path: Path) -> None:
    write_depth_mm(tmp_path / "a.png", np.full((3, 4), 2, np.float32))
    with pytest.raises(
        HqmdError, match=r"a\.png: says itself that it has 1000 units a metre; leave out --depth-scale 5000"
    ):
        find_depth_scale([tmp_path / "a.png"], 5000)
    assert find_depth_scale([tmp_path / "a.png"], 1000) == (1000, "stated")


@pytest.mark.parametrize("scale", [0, -1000, float("nan")])
def test_nonsense_unit(tmp_path: Path, scale: float) -> None:
    with pytest.raises(HqmdError, match="--depth-scale must be positive"):
        find_depth_scale([depth_file(tmp_path, 2500, np.uint16)], scale)


def test_our_own_files_say_their_unit(tmp_path: Path) -> None:
    """A close-up, whose values alone would be refused."""
    write_depth_mm(tmp_path / "close.png", np.full((6, 8), 0.4, np.float32))
    assert find_depth_scale([tmp_path / "close.png"], None) == (1000, "written in the files")


def test_a_tag_holds_for_its_own_file_only(tmp_path: Path) -> None:
    write_depth_mm(tmp_path / "close.png", np.full((6, 8), 0.4, np.float32))
    untagged = depth_file(tmp_path, 400, np.uint16)
    with pytest.raises(HqmdError, match="unit is unclear"):
        find_depth_scale([tmp_path / "close.png", untagged], None)


def test_holes_do_not_decide_the_unit(tmp_path: Path) -> None:
    """Holes, written as 0 or NaN, do not enter the median."""
    depth_m = np.full((60, 80), np.nan, np.float32)
    depth_m[:20], depth_m[20:40] = 2.5, 0
    write_depth(tmp_path / "holes.npy", depth_m)
    assert find_depth_scale([tmp_path / "holes.npy"], None)[0] == 1


def test_no_depth_at_all(tmp_path: Path) -> None:
    write_depth(tmp_path / "black.png", np.zeros((6, 8), np.uint16))
    with pytest.raises(HqmdError, match=r"black\.png: no positive depth value"):
        find_depth_scale([tmp_path / "black.png"], None)


@pytest.mark.parametrize(
    ("scale", "said"), [(None, "depth / 1000 (found from the values: millimetres)"), (500.0, "depth / 500 (stated)")]
)
def test_description_says_the_unit_and_how_it_is_known(pairs: Path, scale: float | None, said: str) -> None:
    dataset = data.open_dataset(pairs, "val", depth_scale=scale)
    assert dataset.description == f"pairs, val, {said}"
    stored = np.asarray(Image.open(pairs / "depth" / "b1.png"))
    np.testing.assert_allclose(dataset[0].depth_m, stored / (scale or 1000), rtol=1e-6)


# ---- training data ----


def names(dataset) -> list[str]:
    return [dataset[i].name for i in range(len(dataset))]


def test_training_data_in_one_place(pairs: Path) -> None:
    train, val = data.open_training_data(pairs, None)
    assert (names(train), names(val)) == (["a1", "a2", "a3", "a4"], ["b1", "b2"])


@pytest.mark.parametrize("missing", ["train", "val"])
def test_one_place_needs_both_splits(pairs: Path, missing: str) -> None:
    """Else it would be validated on what it was trained on."""
    (pairs / f"{missing}.txt").unlink()
    with pytest.raises(HqmdError, match=r"training needs splits train and val.*--val-data"):
        data.open_training_data(pairs, None)


def test_two_places_may_be_whole(pairs: Path, tmp_path: Path) -> None:
    for name in ("c1", "c2"):
        write_pair(tmp_path, name, in_mm(np.full((48, 64), 2.5)))
    train, val = data.open_training_data(pairs, tmp_path)
    assert (names(train), names(val)) == (["a1", "a2", "a3", "a4"], ["c1", "c2"])
    train, val = data.open_training_data(tmp_path, pairs)
    assert (names(train), names(val)) == (["c1", "c2"], ["b1", "b2"])


def test_training_data_takes_the_stated_unit(pairs: Path) -> None:
    train, val = data.open_training_data(pairs, depth_scale=2000)
    assert train.description.endswith("depth / 2000 (stated)") and val.description.endswith("depth / 2000 (stated)")


def test_default_data(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.delenv("HQMD_DATA", raising=False)
    monkeypatch.setenv("HQMD_HOME", str(tmp_path))
    cached = tmp_path / "nyu_depth_v2_labeled.mat"
    with pytest.raises(HqmdError) as refusal:
        data.default_data()
    assert data.NYU_URL in str(refusal.value) and str(cached) in str(refusal.value)
    assert "--data" in str(refusal.value)
    cached.write_bytes(b"")
    assert data.default_data() == cached
    monkeypatch.setenv("HQMD_DATA", str(tmp_path / "mine"))
    with pytest.raises(HqmdError, match=r"HQMD_DATA=.*mine: no such file"):
        data.default_data()
    (tmp_path / "mine").mkdir()
    assert data.default_data() == tmp_path / "mine"


def test_nothing_is_validated_on_what_it_was_trained_on(pairs: Path) -> None:
    (pairs / "val.txt").write_text("b1\na4\n")
    with pytest.raises(HqmdError, match=r"1 photos are in the training and the validation data, such as .*a4\.jpg"):
        data.open_training_data(pairs)
    with pytest.raises(HqmdError, match="training and the validation data"):
        data.open_training_data(pairs, pairs)
    for split in ("train", "val"):
        (pairs / f"{split}.txt").unlink()
    with pytest.raises(HqmdError, match="6 photos"):
        data.open_training_data(pairs, pairs)


def test_one_unit_does_not_serve_two_kinds_of_files(pairs: Path) -> None:
    (pairs / "depth" / "a1.png").unlink()
    np.save(pairs / "depth" / "a1.npy", np.full((48, 64), 2.5, np.float32))
    with pytest.raises(HqmdError, match=r"several kinds \(\.npy, \.png\)"):
        data.open_dataset(pairs, "train")


def test_a_damaged_frame_is_named(nyu_mat: Path, tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.mat"
    content = bytearray(nyu_mat.read_bytes())
    with h5py.File(nyu_mat) as file:
        chunk = file["images"].id.get_chunk_info(0)
        start = chunk.byte_offset + file.userblock_size
    content[start : start + 200] = bytes(200)
    damaged.write_bytes(content)
    with pytest.raises(HqmdError, match=r"damaged\.mat: frame 1 is damaged"):
        data.open_dataset(damaged, "test")[0]
