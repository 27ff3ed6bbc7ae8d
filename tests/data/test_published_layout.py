"""Small KITTI, iBims-1 and DIODE, in their published layouts."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from hqmd_cli.data import find_reader, open_dataset, open_training_data
from hqmd_cli.data.diode import Diode
from hqmd_cli.data.ibims import Ibims
from hqmd_cli.data.kitti import KittiDepth
from hqmd_cli.data.pairs import PairFolder
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.evaluation.scoring import score

SIZE = (12, 16)
DEPTH_M = np.linspace(2, 40, 12 * 16, dtype=np.float32).reshape(SIZE)


def write_photo(path: Path, size: tuple[int, int] = SIZE, grey: int = 90) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), grey, np.uint8)).save(path)


def write_16_bit(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.round(values).astype(np.uint16)).save(path)


def names(dataset) -> list[str]:
    return [dataset[i].name for i in range(len(dataset))]


# ---- KITTI ----

DRIVES = {"train": "2011_09_26_drive_0001_sync", "val": "2011_09_26_drive_0002_sync"}
FRAMES = ("0000000005", "0000000006")


def sparse(depth_m: np.ndarray) -> np.ndarray:
    """Keep every other row, like a laser."""
    return np.where(np.arange(len(depth_m))[:, None] % 2, depth_m, 0)


def write_kitti(root: Path, raw: Path | None = None) -> Path:
    """A drive each for train and val with two annotated frames, the photos of three more frames, and one selected."""
    for split, drive in DRIVES.items():
        for camera in ("image_02", "image_03"):
            for frame in FRAMES:
                depth = root / split / drive / "proj_depth" / "groundtruth" / camera / f"{frame}.png"
                write_16_bit(depth, sparse(DEPTH_M) * 256)
            for frame in ("0000000000", *FRAMES, "0000000007"):
                write_photo((raw or root) / "2011_09_26" / drive / camera / "data" / f"{frame}.png")
    selection = root / "depth_selection" / "val_selection_cropped"
    stem = f"{DRIVES['val']}_{{}}_0000000008_image_03.png"
    write_16_bit(selection / "groundtruth_depth" / stem.format("groundtruth_depth"), sparse(DEPTH_M) * 256)
    write_photo(selection / "image" / stem.format("image"))
    return root


@pytest.fixture
def kitti(tmp_path: Path) -> Path:
    return write_kitti(tmp_path / "kitti")


def test_kitti_splits(kitti: Path) -> None:
    assert find_reader(kitti) is KittiDepth and KittiDepth.splits(kitti) == ["train", "val", "selection", "all"]
    assert names(open_dataset(kitti, "val")) == [f"{DRIVES['val']}/image_02/{frame}" for frame in FRAMES]
    assert len(open_dataset(kitti, "all")) == 4
    assert names(open_dataset(kitti, "selection")) == ["2011_09_26_drive_0002_sync_image_0000000008_image_03"]
    with pytest.raises(HqmdError, match=r"no split 'test', there are: train, val, selection, all"):
        open_dataset(kitti, "test")


def test_kitti_depth_is_in_metres(kitti: Path) -> None:
    dataset = open_dataset(kitti, "val")
    sample = dataset[0]
    assert sample.image.shape == (*SIZE, 3) and sample.depth_m.dtype == np.float32
    np.testing.assert_array_equal(sample.valid, sparse(DEPTH_M) > 0)
    np.testing.assert_allclose(sample.depth_m, sparse(DEPTH_M), atol=1 / 256)
    assert dataset.names == names(dataset) and len(set(dataset.photos)) == 2
    assert "kitti (KITTI depth), val" in dataset.description


@pytest.mark.parametrize("place", ["raw", "../raw", ".."])
def test_kitti_photos_elsewhere(tmp_path: Path, place: str) -> None:
    root = tmp_path / "kitti"
    root.mkdir()
    assert len(open_dataset(write_kitti(root, root / place), "val")) == 2


def test_kitti_photos_merged_into_the_drives(kitti: Path) -> None:
    for split, drive in DRIVES.items():
        (kitti / "2011_09_26" / drive / "image_02").rename(kitti / split / drive / "image_02")
    assert len(open_dataset(kitti, "all")) == 4


def test_one_part_of_kitti_alone(kitti: Path) -> None:
    drives, selection = kitti / "val", kitti / "depth_selection" / "val_selection_cropped"
    assert len(open_dataset(selection, "all")) == len(open_dataset(selection.parent, "selection")) == 1
    assert KittiDepth.splits(drives) == ["all"] and len(open_dataset(drives, "all")) == 2


def test_selection_named_as_in_the_readme(kitti: Path) -> None:
    images = kitti / "depth_selection" / "val_selection_cropped" / "image"
    for photo in list(images.iterdir()):
        photo.rename(images / photo.name.replace("_sync_image_", "_sync_groundtruth_depth_"))
    assert len(open_dataset(kitti, "selection")) == 1


def test_kitti_trains(kitti: Path) -> None:
    train, val = open_training_data(kitti)
    assert (len(train), len(val)) == (2, 2)


def test_kitti_without_photos(kitti: Path) -> None:
    (kitti / "2011_09_26" / DRIVES["val"]).rename(kitti / "elsewhere")
    with pytest.raises(
        HqmdError, match=r"photos are missing; unpack the raw data of .*drive_0002_sync so that .*/data"
    ):
        open_dataset(kitti, "val")


def test_kitti_without_one_photo(kitti: Path) -> None:
    (kitti / "2011_09_26" / DRIVES["val"] / "image_02" / "data" / "0000000006.png").unlink()
    with pytest.raises(HqmdError, match=r"no photo for 1 of 2 depth maps, such as 0000000006\.png"):
        open_dataset(kitti, "val")


def test_kitti_selection_without_its_photo(kitti: Path) -> None:
    for photo in (kitti / "depth_selection" / "val_selection_cropped" / "image").iterdir():
        photo.unlink()
    with pytest.raises(HqmdError, match=r"no such photo for .*groundtruth_depth.*; unpack data_depth_selection\.zip"):
        open_dataset(kitti, "selection")


def test_kitti_of_8_bits(kitti: Path) -> None:
    """A picture editor may save 8 bits."""
    depth = kitti / "val" / DRIVES["val"] / "proj_depth" / "groundtruth" / "image_02" / "0000000005.png"
    Image.fromarray(DEPTH_M.astype(np.uint8)).save(depth)
    with pytest.raises(HqmdError, match=r"0000000005\.png: uint8 values, KITTI depth has 16-bit ones"):
        open_dataset(kitti, "val")[0]


def test_kitti_of_two_sizes(kitti: Path) -> None:
    write_photo(kitti / "2011_09_26" / DRIVES["val"] / "image_02" / "data" / "0000000005.png", (6, 8))
    with pytest.raises(HqmdError, match=r"photo is 8 x 6, depth 16 x 12"):
        open_dataset(kitti, "val")[0]


# ---- iBims-1 ----


def write_ibims(root: Path, names: tuple[str, ...] = ("corridor_01", "livingroom_02")) -> Path:
    """Two pictures: the first row of depth is invalid, the second transparent, and a pixel of the third 0."""
    for name in names:
        write_photo(root / "rgb" / f"{name}.png")
        depth_m = DEPTH_M.copy()
        depth_m[2, 3] = 0
        write_16_bit(root / "depth" / f"{name}.png", depth_m * 65535 / 50)
        for part, row in (("mask_invalid", 0), ("mask_transp", 1)):
            mask = np.ones(SIZE, bool)
            mask[row] = False
            (root / part).mkdir(exist_ok=True)
            Image.fromarray(mask).save(root / part / f"{name}.png", bits=1)
        (root / "calib").mkdir(exist_ok=True)
        (root / "calib" / f"{name}.txt").write_text("550.39,548.55,320,240\n")
    return root


@pytest.fixture
def ibims(tmp_path: Path) -> Path:
    return write_ibims(tmp_path / "ibims1_core_raw")


def test_ibims(ibims: Path) -> None:
    assert find_reader(ibims) is Ibims and Ibims.splits(ibims) == ["test", "all"]
    dataset = open_dataset(ibims, "test")
    assert dataset.names == names(dataset) == ["corridor_01", "livingroom_02"]
    sample = dataset[0]
    expected = np.ones(SIZE, bool)
    expected[:2] = expected[2, 3] = False
    np.testing.assert_array_equal(sample.valid, expected)
    np.testing.assert_allclose(sample.depth_m[expected], DEPTH_M[expected], atol=50 / 65535)
    assert "ibims1_core_raw (iBims-1), test" in dataset.description


def test_ibims_edges_as_people_drew_them(ibims: Path) -> None:
    """Depth boundary errors use the drawn edges, not those that Canny finds in the truth."""
    assert "without edges/" in open_dataset(ibims, "test").description
    (ibims / "edges").mkdir()
    drawn = np.zeros(SIZE, bool)
    drawn[:, 7] = True
    for name in ("corridor_01", "livingroom_02"):
        Image.fromarray(drawn).save(ibims / "edges" / f"{name}.png", bits=1)
    dataset = open_dataset(ibims, "test")
    assert "edges as drawn" in dataset.description
    sample = dataset[0]
    np.testing.assert_array_equal(sample.edges, drawn)
    step = np.where(np.arange(SIZE[1]) < 10, 1.0, 3.0) * np.ones((SIZE[0], 1))  # an edge three pixels from the drawn
    by_drawn = score(step, sample, find_protocol("hqmd"), detail=True).figures["DBEacc"]
    assert 2 <= by_drawn <= 3
    drawn_elsewhere = replace(sample, edges=np.roll(drawn, -3, axis=1))
    assert score(step, drawn_elsewhere, find_protocol("hqmd"), detail=True).figures["DBEacc"] == by_drawn + 3
    (ibims / "edges" / "corridor_01.png").unlink()
    with pytest.raises(HqmdError, match="iBims-1 lacks 1 of 10 files"):
        open_dataset(ibims, "test")


def test_ibims_planes_and_camera(ibims: Path) -> None:
    """Numbers of all masks go on; a photo may have none. The camera's pixels count from 1 in the file."""
    wall, table = np.zeros(SIZE, np.uint8), np.zeros(SIZE, np.uint8)
    wall[4:8, :4], wall[4:8, 4:], table[8:] = 1, 2, 1
    for part, mask in (("mask_wall", wall), ("mask_table", table)):
        (ibims / part).mkdir()
        Image.fromarray(mask).save(ibims / part / "corridor_01.png")
    dataset = open_dataset(ibims, "test")
    assert "without mask_floor/" in dataset.description
    assert {ibims / "mask_wall" / "corridor_01.png", ibims / "calib" / "livingroom_02.txt"} <= set(dataset.files)
    sample, other = dataset[0], dataset[1]
    np.testing.assert_array_equal(sample.planes, wall + 3 * table)
    assert other.planes is None
    assert sample.camera and (sample.camera.fx, sample.camera.cx, sample.camera.cy) == (550.39, 319, 239)
    assert sample.focal_px is None  # the metres of a model are as before
    figures = score(sample.depth_m + 1, sample, find_protocol("hqmd"), detail=True).figures
    assert figures["planeAngle"] >= 0 and figures["Chamfer"] > 0
    (ibims / "calib" / "corridor_01.txt").write_text("550,548")
    with pytest.raises(HqmdError, match=r"corridor_01\.txt: not a camera of iBims-1"):
        dataset[0]


@pytest.mark.parametrize("place", [".", ".."])
def test_ibims_list(ibims: Path, place: str) -> None:
    """imagelist.txt is published beside the archive."""
    (ibims / place / "imagelist.txt").write_text("livingroom_02\ncorridor_01\n")
    assert open_dataset(ibims, "all").names == ["livingroom_02", "corridor_01"]


def test_ibims_lists_a_picture_that_is_not_there(ibims: Path) -> None:
    (ibims / "imagelist.txt").write_text("corridor_01\nattic_01\n")
    with pytest.raises(HqmdError, match=r"iBims-1 lacks 4 of 8 files, such as .*rgb/attic_01\.png; unpack"):
        open_dataset(ibims, "test")


@pytest.mark.parametrize("part", ["rgb", "depth", "mask_invalid", "mask_transp"])
def test_half_of_ibims(ibims: Path, part: str) -> None:
    """Without a mask it would look like a folder of pairs in millimetres."""
    (ibims / part).rename(ibims / "elsewhere")
    with pytest.raises(HqmdError, match=rf"iBims-1 lacks {part}/; point to the unpacked ibims1_core_raw\.zip"):
        open_dataset(ibims, "test")


def test_ibims_without_any_mask(ibims: Path) -> None:
    for part in ("mask_invalid", "mask_transp"):
        (ibims / part).rename(ibims / f"old_{part}")
    with pytest.raises(HqmdError, match="iBims-1 lacks mask_invalid/, mask_transp/"):
        open_dataset(ibims, "test")


def test_ibims_mask_of_another_size(ibims: Path) -> None:
    Image.fromarray(np.ones((6, 8), bool)).save(ibims / "mask_transp" / "corridor_01.png")
    with pytest.raises(HqmdError, match=r"mask_transp/corridor_01\.png: the mask is \(6, 8\), the depth \(12, 16\)"):
        open_dataset(ibims, "test")[0]


# ---- DIODE ----


def write_diode(root: Path) -> Path:
    """One picture indoors and one outdoor in val; the mask leaves out the first row."""
    mask = np.ones(SIZE, np.float32)
    mask[0] = 0
    for scene, number in (("indoors", "00019"), ("outdoor", "00022")):
        folder = root / "val" / scene / f"scene_{number}" / "scan_00183"
        stem = f"{number}_00183_{scene}_000_010"
        write_photo(folder / f"{stem}.png")
        np.save(folder / f"{stem}_depth.npy", DEPTH_M[..., None])  # (H, W, 1), as published
        np.save(folder / f"{stem}_depth_mask.npy", mask)
    return root


@pytest.fixture
def diode(tmp_path: Path) -> Path:
    return write_diode(tmp_path / "diode")


INDOORS = "indoors/scene_00019/scan_00183/00019_00183_indoors_000_010"


def test_diode(diode: Path) -> None:
    assert find_reader(diode) is Diode and Diode.splits(diode) == ["val", "val-indoors", "val-outdoor", "all"]
    assert len(open_dataset(diode, "val")) == len(open_dataset(diode, "all")) == 2
    dataset = open_dataset(diode, "val-indoors")
    assert dataset.names == names(dataset) == [f"val/{INDOORS}"]
    sample = dataset[0]
    assert not sample.valid[0].any() and sample.valid[1:].all() and not sample.depth_m[0].any()
    np.testing.assert_array_equal(sample.depth_m[1:], DEPTH_M[1:])
    assert "diode (DIODE), val-indoors" in dataset.description


def test_parts_of_diode(diode: Path) -> None:
    assert Diode.splits(diode / "val") == ["indoors", "outdoor", "all"]
    assert open_dataset(diode / "val", "indoors").names == [INDOORS]
    assert open_dataset(diode / "val" / "indoors", "all").names == [INDOORS.removeprefix("indoors/")]


@pytest.mark.parametrize("ending", [".png", "_depth_mask.npy"])
def test_diode_without_a_file(diode: Path, ending: str) -> None:
    (diode / "val" / f"{INDOORS}{ending}").unlink()
    with pytest.raises(HqmdError, match=rf"DIODE lacks 1 of 4 files, such as .*000_010{ending}; unpack"):
        open_dataset(diode, "val")


def test_diode_without_depth(diode: Path) -> None:
    """DIODE published its test photos without depth."""
    (diode / "val" / f"{INDOORS}_depth.npy").unlink()
    with pytest.raises(HqmdError, match="split 'val-indoors' of DIODE has no depth maps"):
        open_dataset(diode, "val-indoors")


@pytest.mark.parametrize(
    ("ending", "array", "complaint"),
    [
        ("_depth_mask.npy", np.ones((6, 8)), r"the depth is \(12, 16\), its mask \(6, 8\)"),
        ("_depth.npy", np.ones((*SIZE, 3)), r"\(12, 16, 3\) float64, DIODE's arrays are"),
    ],
)
def test_diode_arrays_of_another_shape(diode: Path, ending: str, array: np.ndarray, complaint: str) -> None:
    np.save(diode / "val" / f"{INDOORS}{ending}", array)
    with pytest.raises(HqmdError, match=complaint):
        open_dataset(diode, "val-indoors")[0]


def test_half_downloaded_array(diode: Path) -> None:
    file = diode / "val" / f"{INDOORS}_depth.npy"
    file.write_bytes(file.read_bytes()[:200])
    with pytest.raises(HqmdError, match=r"_depth\.npy: cannot be read: .*; unpack the archive again"):
        open_dataset(diode, "val-indoors")[0]


# ---- what they share ----


@pytest.mark.parametrize(("write", "split"), [(write_kitti, "val"), (write_ibims, "test"), (write_diode, "val")])
def test_measured_depth_is_raw_where_that_is_asked(tmp_path: Path, write, split: str) -> None:
    root = tmp_path / "data"
    root.mkdir()
    write(root)
    assert open_dataset(root, split, "raw").ground_truth == "raw"
    assert open_dataset(root, split).ground_truth == "as given"
    with pytest.raises(HqmdError, match=r"the unit of .* is known; leave --depth-scale out"):
        open_dataset(root, split, depth_scale=1000)


def test_folders_are_told_apart(tmp_path: Path, pairs: Path) -> None:
    assert find_reader(pairs) is PairFolder
    with pytest.raises(HqmdError, match=r"no data in a known layout: KITTI: .*; iBims-1: .*; DIODE: .*; pairs: rgb"):
        find_reader(tmp_path)
    write_kitti(tmp_path / "all")
    write_diode(tmp_path / "all")
    with pytest.raises(HqmdError, match=r"data in several layouts \(KITTI, DIODE\); give the folder of one"):
        find_reader(tmp_path / "all")
