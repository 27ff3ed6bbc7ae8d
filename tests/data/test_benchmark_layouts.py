"""Small ETH3D, Sintel, SUN RGB-D, Hypersim, ScanNet, SYNS-Patches and a set of MoGe's, as their authors read them."""

import json
import struct
from pathlib import Path

import h5py
import numpy as np
import pytest
from PIL import Image
from PIL.PngImagePlugin import PngInfo
from test_published_layout import SIZE, write_16_bit, write_photo

from hqmd_cli.data import open_dataset
from hqmd_cli.data.hypersim import along_axis
from hqmd_cli.data.tum import associated
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.scoring import score

HEIGHT, WIDTH = SIZE
DEPTH_M = np.linspace(1, 7, HEIGHT * WIDTH, dtype="<f4").reshape(SIZE)


def write_eth3d(root: Path) -> Path:
    scene = root / "pipes"
    write_photo(scene / "images/dslr_images/DSC_0634.JPG")
    depth = scene / "ground_truth_depth/dslr_images/DSC_0634.JPG"
    depth.parent.mkdir(parents=True)
    DEPTH_M.tofile(depth)
    calibration = scene / "dslr_calibration_jpg"
    calibration.mkdir()
    (calibration / "cameras.txt").write_text(
        f"# Camera list\n7 THIN_PRISM_FISHEYE {WIDTH} {HEIGHT} 20 21 8 6 0 0 0 0 0 0 0 0\n"
    )
    (calibration / "images.txt").write_text("# Image list\n1 1 0 0 0 0 0 0 7 dslr_images/DSC_0634.JPG\n1.5 2.5 -1\n")
    return root


def write_sintel(root: Path) -> Path:
    part = root / "training"
    for which in ("final", "clean"):
        write_photo(part / which / "alley_1" / "frame_0001.png", grey=90 if which == "final" else 60)
    sky_m = DEPTH_M.copy()
    sky_m[0, 0] = 1e10
    for folder, suffix, rest in (
        ("depth", "dpt", struct.pack("<ii", WIDTH, HEIGHT) + sky_m.tobytes()),
        ("camdata_left", "cam", np.diag([22.0, 22.0, 1.0]).astype("<f8").tobytes() + bytes(96)),
    ):
        file = part / folder / "alley_1" / f"frame_0001.{suffix}"
        file.parent.mkdir(parents=True)
        file.write_bytes(struct.pack("<f", 202021.25) + rest)
    return root


def write_sun_rgbd(root: Path) -> Path:
    frame = root / "SUNRGBD/kv2/kinect2data/000002_2014-05-26"
    write_photo(frame / "image/0000103.jpg")
    millimetres = np.round(DEPTH_M * 1000).astype(np.uint16)
    millimetres[0] = 0, 1000, *(9000 for _ in range(WIDTH - 2))
    write_16_bit(frame / "depth/0000103.png", millimetres << 3 | millimetres >> 13)
    (frame / "intrinsics.txt").write_text("529.5 0.0 365.0 \n 0.0 529.5 265.0 \n 0.0 0.0 1.0\n")
    return root


TILTED = np.array([[1.725, 0.001, -0.119, 0], [0, 2.299, 0.212, 0], [0, 0.0093, -0.997, -2.0], [0, 0.0093, -0.995, 0]])


def write_hypersim(root: Path, projection: np.ndarray = TILTED) -> Path:
    images = root / "ai_037_002/images"
    write_photo(images / "scene_cam_00_final_preview/frame.0003.tonemap.jpg")
    folder = images / "scene_cam_00_geometry_hdf5"
    folder.mkdir()
    distance_m = np.full(SIZE, 2, np.float16)
    distance_m[0, 0] = np.nan
    with h5py.File(folder / "frame.0003.depth_meters.hdf5", "w") as file:
        file["dataset"] = distance_m
    cells = {f"M_proj_{i}{j}": projection[i, j] for i in range(4) for j in range(4)}
    head, row = ("scene_name", *cells), ("ai_037_002", *map(str, cells.values()))
    (root / "metadata_camera_parameters.csv").write_text(f"{','.join(head)}\n{','.join(row)}\n")
    (root / "metadata_images_split_scene_v1.csv").write_text(
        "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_name\n"
        "ai_037_002,cam_00,3,True,,val\nai_001_001,cam_00,4,False,PEOPLE,\n"
    )
    return root


def write_scannet(root: Path) -> Path:
    scene = root / "scene0000_00"
    for number in (2, 10):
        write_photo(scene / f"color/{number}.jpg", (2 * HEIGHT, 2 * WIDTH))
        write_16_bit(scene / f"depth/{number}.png", np.where(DEPTH_M > 2, DEPTH_M * 1000, 0))
    (scene / "intrinsic").mkdir()
    (scene / "intrinsic/intrinsic_color.txt").write_text("40.0 0 16 0\n0 40.0 12 0\n0 0 1 0\n0 0 0 1\n")
    return root


def write_syns(root: Path) -> Path:
    write_photo(root / "09/images/00.png")
    for folder in ("depths", "edges"):
        (root / "09" / folder).mkdir()
    np.save(root / "09/depths/00.npy", np.where(DEPTH_M > 2, DEPTH_M, 0)[..., None])
    Image.fromarray(DEPTH_M > 6).save(root / "09/edges/00.png")
    (root / "splits").mkdir()
    (root / "splits/val_files.txt").write_text("09 00.png\n")
    (root / "splits/test_files.txt").write_text("10 00.png\n")
    return root


def write_moge(root: Path, centre: tuple[float, float] = (0.5, 0.5), size: tuple[int, int] = (48, 64)) -> Path:
    """A wall at 2 m, square to the photo's camera, with a hole and sky. The folder's name is the set's."""
    folder = root / "NYUv2" / "basement/1"
    write_photo(folder / "image.jpg", size)
    codes = np.full(size, 1 + 65533 // 2 + 1, np.uint16)  # half way from 1 to 4, in equal ratios
    codes[0, 0], codes[0, 1] = 0, 65535
    text = PngInfo()
    for key, value in (("near", "1.0"), ("far", "4.0")):
        text.add_text(key, value)
    Image.fromarray(codes).save(folder / "depth.png", pnginfo=text)
    camera = [[0.8, 0, centre[0]], [0, 0.8 * size[1] / size[0], centre[1]], [0, 0, 1]]
    (folder / "meta.json").write_text(json.dumps({"intrinsics": camera}))
    (root / "NYUv2/.index.txt").write_text("basement/1\n")
    return root / "NYUv2"


# ---- R1: TUM


def test_each_file_of_tum_is_used_once_the_nearest_pairs_first() -> None:
    photos, depths = [Path(f"p{i}") for i in range(3)], [Path(f"d{i}") for i in range(3)]
    # d0 is nearest to p0, and so is d1, which takes p1; p2 is exactly 0.02 s away, which is too far.
    pairs = associated(np.array([0.0, 0.025, 1.0]), photos, np.array([0.002, 0.010, 1.02]), depths)
    assert [(photo.name, depth.name) for _, photo, depth in pairs] == [("p0", "d0"), ("p1", "d1")]


def test_tum_takes_the_commas_that_associate_py_takes_and_tells_of_two_clocks(tmp_path: Path) -> None:
    for kind, time in (("rgb", "1.0"), ("depth", "1.01")):
        (tmp_path / f"{kind}.txt").write_text(f"{time},{kind}/1.png\n")
    write_photo(tmp_path / "rgb/1.png")
    write_16_bit(tmp_path / "depth/1.png", np.full(SIZE, 5000))
    assert set(open_dataset(tmp_path, "all")[0].depth_m.flat) == {1}
    (tmp_path / "depth.txt").write_text("9.0\tdepth/1.png\n")
    with pytest.raises(HqmdError, match=r"lie less than 0\.02 s apart; rgb\.txt and depth\.txt need"):
        open_dataset(tmp_path, "all")


@pytest.mark.parametrize(("number", "unit", "likely"), [(900, None, 1000), (15_000, 100, 5000)])
def test_an_impossible_unit_is_doubted_and_a_likely_one_named(
    tmp_path: Path, number: int, unit: float | None, likely: int
) -> None:
    for kind in ("rgb", "depth"):
        (tmp_path / f"{kind}.txt").write_text(f"1.0 {kind}/1.png\n")
    write_photo(tmp_path / "rgb/1.png")
    values = np.full(SIZE, 5000)
    values[0] = 0
    write_16_bit(tmp_path / "depth/1.png", values)
    dataset = open_dataset(tmp_path, "all")
    assert "doubtful" not in dataset.description
    assert set(dataset[0].depth_m[0]) == {0} and set(dataset[0].depth_m[1:].flat) == {1}
    write_16_bit(tmp_path / "depth/1.png", values // 5000 * number)
    told = open_dataset(tmp_path, "all", depth_scale=unit).description
    assert "makes this unit doubtful: try " in told and f"--depth-scale {likely}" in told


# ---- R3: Hypersim


def test_hypersim_distance_becomes_depth_by_the_scenes_own_matrix(tmp_path: Path) -> None:
    dataset = open_dataset(write_hypersim(tmp_path / "scenes"), "val")
    assert dataset.names == ["ai_037_002/cam_00/0003"]
    sample = dataset[0]
    assert not sample.valid[0, 0] and sample.valid.sum() == sample.valid.size - 1
    column, row = 11, 7
    x, y = (2 * column + 1) / WIDTH - 1, 1 - (2 * row + 1) / HEIGHT
    point = np.array([0, 0, -sample.depth_m[row, column]])  # found so that it is seen in the pixel
    system = [TILTED[0, :2] - x * TILTED[3, :2], TILTED[1, :2] - y * TILTED[3, :2]]
    point[:2] = np.linalg.solve(
        system, -point[2] * np.array([TILTED[0, 2] - x * TILTED[3, 2], TILTED[1, 2] - y * TILTED[3, 2]])
    )
    assert np.linalg.norm(point) == pytest.approx(2, rel=1e-5)
    plain = np.array([[1.732, 0, 0], [0, 2.309, 0], [0, 0, -1.0]])
    centre = along_axis(tuple(map(tuple, plain)), 1, 1)
    assert centre.item() == 1 and not np.allclose(
        sample.depth_m[5:], 2 * along_axis(tuple(map(tuple, plain)), *SIZE)[5:]
    )


def test_hypersim_without_cameras(tmp_path: Path) -> None:
    root = write_hypersim(tmp_path / "scenes")
    (root / "metadata_camera_parameters.csv").unlink()
    with pytest.raises(HqmdError, match=r"no camera of ai_037_002; get it from contrib/mikeroberts3000"):
        open_dataset(root, "all")


# ---- R4: ETH3D


def test_eth3d(tmp_path: Path) -> None:
    root = write_eth3d(tmp_path / "eth3d")
    depth = root / "pipes/ground_truth_depth/dslr_images/DSC_0634.JPG"
    np.where(DEPTH_M > 2, DEPTH_M, np.inf).astype("<f4").tofile(depth)
    dataset = open_dataset(root, "pipes")
    sample = dataset[0]
    assert dataset.names == ["pipes/DSC_0634"] and sample.focal_px == 20
    np.testing.assert_array_equal(sample.depth_m, np.where(DEPTH_M > 2, DEPTH_M, 0))
    write_photo(root / "pipes/images/dslr_images/DSC_0634.JPG", (HEIGHT, WIDTH + 2))  # as undistortion leaves it
    with pytest.raises(HqmdError, match=r"768 bytes of depth, 18 x 12 pixels need 864; unpack SCENE_dslr_jpg\.7z"):
        dataset[0]
    (root / "pipes/images/dslr_images").rename(root / "pipes/images/dslr_images_undistorted")
    with pytest.raises(
        HqmdError, match=r"lacks 1 of 1 files, such as .*dslr_images.DSC_0634\.JPG; unpack SCENE_dslr_jpg"
    ):
        open_dataset(root, "all")


# ---- R5: Sintel


def test_sintel_sky_leaves_the_fit_alone_and_the_cap_is_said(tmp_path: Path) -> None:
    root = write_sintel(tmp_path / "sintel")
    dataset = open_dataset(root, "clean")
    assert "truth beyond 70 m left out" in dataset.description and dataset.focal_px(0) == 22
    sample = dataset[0]
    assert sample.image[0, 0, 0] == 60 and not sample.valid[0, 0] and sample.masked == 1
    protocol = Protocol(name="fit", ground_truth="filled", alignment="scale-shift-depth", clip_m=(0.1, 70))
    prediction = 0.5 * DEPTH_M + 3
    prediction[0, 0] = 9
    assert score(prediction, sample, protocol).figures["AbsRel"] < 1e-5
    file = root / "training/depth/alley_1/frame_0001.dpt"
    file.write_bytes(bytes(4) + file.read_bytes()[4:])
    with pytest.raises(HqmdError, match=r"does not begin with Sintel's tag 202021\.25"):
        open_dataset(root / "training", "final")[0]


# ---- the others


def test_sun_rgbd_turns_its_bits_back(tmp_path: Path) -> None:
    dataset = open_dataset(write_sun_rgbd(tmp_path / "sun"), "kv2")
    sample = dataset[0]
    assert sample.focal_px == 529.5 and dataset.names == ["kv2/kinect2data/000002_2014-05-26"]
    np.testing.assert_allclose(sample.depth_m[1:], DEPTH_M[1:], atol=6e-4)
    assert list(sample.depth_m[0, :3]) == [0, 1, 0] and sample.masked == WIDTH - 2  # unknown, 1 m, beyond 8 m


@pytest.mark.parametrize("above", [False, True])
def test_sun_rgbd_takes_the_official_split(tmp_path: Path, above: bool) -> None:
    root = write_sun_rgbd(tmp_path / "sun")
    with pytest.raises(HqmdError, match=r"there are: kv2, all; .*test if SUNRGBDtoolbox/ lies beside them"):
        open_dataset(root, "test")
    savemat = pytest.importorskip("scipy.io").savemat
    file = (root if above else root / "SUNRGBD") / "SUNRGBDtoolbox/traintestSUNRGBD/allsplit.mat"
    file.parent.mkdir(parents=True)
    frame = "kv2/kinect2data/000002_2014-05-26"
    cells = np.array([[f"/n/fs/sun3d/data/SUNRGBD/{frame}/"]], object)
    savemat(file, {"alltest": cells, "alltrain": np.array([["/data1/SUNRGBD/kv1/gone"]], object)})
    assert open_dataset(root, "test").names == [frame]
    with pytest.raises(HqmdError, match="lacks 2 of 2 files"):
        open_dataset(root, "train")


def test_scannet_shrinks_the_photo_and_its_focal_length(tmp_path: Path) -> None:
    dataset = open_dataset(write_scannet(tmp_path / "scans"), "scene0000_00")
    assert dataset.names == ["scene0000_00/2", "scene0000_00/10"]
    assert dataset.scenes == dict.fromkeys(dataset.names, "scene0000_00")
    sample = dataset[0]
    assert sample.image.shape[:2] == SIZE and sample.focal_px == 20
    np.testing.assert_allclose(sample.depth_m, np.where(DEPTH_M > 2, DEPTH_M, 0), atol=6e-4)


def test_syns_reads_what_is_published(tmp_path: Path) -> None:
    root = write_syns(tmp_path / "syns_patches")
    sample = open_dataset(root, "val")[0]
    np.testing.assert_array_equal(sample.edges, DEPTH_M > 6)
    assert sample.camera and (round(sample.camera.fx, 2), round(sample.camera.fy, 2)) == (688.48, 832.19)
    np.testing.assert_array_equal(sample.depth_m, np.where(DEPTH_M > 2, DEPTH_M, 0))
    assert open_dataset(root, "all").names == ["09/00"]
    with pytest.raises(HqmdError, match="the depth of test is not published"):
        open_dataset(root, "test")


def test_moge_of_a_centred_camera_is_only_resized(tmp_path: Path) -> None:
    dataset = open_dataset(write_moge(tmp_path), "test")
    sample = dataset[0]
    assert dataset.ground_truth == "warped" and sample.depth_m.shape == (480, 640)
    assert sample.focal_px == pytest.approx(0.8 * 640, rel=1e-6)
    assert not sample.valid[:10, :20].any() and sample.valid[10:, 20:].all()  # the hole and the sky, ten times as large
    np.testing.assert_allclose(sample.depth_m[sample.valid], 2, rtol=2e-4)


def test_moge_turns_the_camera_to_the_middle_of_the_photo(tmp_path: Path) -> None:
    """By hand: the wall n x = 2, n = (0, 0, 1), is at 2 / (n R^-1 ray) from the turned camera, along its axis."""
    sample = open_dataset(write_moge(tmp_path, (0.4, 0.55)), "test")[0]
    axis = np.array([(0.5 - 0.4) / 0.8, (0.5 - 0.55) / (0.8 * 64 / 48), 1])
    x, y, z = axis / np.linalg.norm(axis)
    back = np.array(
        [[1 - x * x / (1 + z), -x * y / (1 + z), x], [-x * y / (1 + z), 1 - y * y / (1 + z), y], [-x, -y, z]]
    )
    for row, column in ((240, 320), (100, 100), (400, 600)):
        ray = [(column + 0.5 - 320) / sample.focal_px, (row + 0.5 - 240) / sample.focal_px, 1]
        assert sample.depth_m[row, column] == pytest.approx(2 / (back @ ray)[2], rel=5e-3)  # nearest pixels
    assert sample.focal_px > 0.8 * 640  # so that the view lies inside of the photo
