"""Where results go, and what their files hold."""

import json
from pathlib import Path

import numpy as np
import pytest
import trimesh
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_unit_tag, read_depth_values
from hqmd_cli.files.exr import read_exr
from hqmd_cli.files.exr_writer import encode_exr
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.geometry.surfaces import normals, on_jumps, unproject
from hqmd_cli.prediction import plan as planning
from hqmd_cli.prediction.formats import OUTPUTS, Output, output_for
from hqmd_cli.prediction.photo_job import write_output
from hqmd_cli.prediction.plan import Job, keeps_case, plan
from hqmd_cli.prediction.result import DepthResult, Style
from hqmd_cli.prediction.sources import Source
from hqmd_cli.prediction.writers import space
from hqmd_cli.prediction.writers.color import painted
from hqmd_cli.visualization.colormap import colorize, normals_to_rgb

SHAPE = (24, 40)


@pytest.fixture
def result() -> DepthResult:
    """A slanted wall with a box before it, and a photo in which left, right, top and bottom can be told apart."""
    depth_m = (2 + np.linspace(0, 0.3, SHAPE[1], dtype=np.float32))[None].repeat(SHAPE[0], axis=0)
    depth_m[8:16, 10:20] = 1
    image = np.zeros((*SHAPE, 3), np.uint8)
    image[..., 0] = np.linspace(0, 255, SHAPE[1])
    image[..., 1] = np.linspace(255, 0, SHAPE[0])[:, None]
    return DepthResult(image, depth_m, find_intrinsics(*SHAPE, fov_deg=60), 1, float(depth_m.max()))


def write(kind: str, path: Path, result: DepthResult, style: Style | None = None) -> tuple[Path, str]:
    """The file, and what its writer says."""
    said = write_output(OUTPUTS[kind], path, result, style or Style())
    assert path.is_file() and sorted(path.parent.iterdir()) == [path]  # nothing left beside it
    return path, said


# --- which kind


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("a.png", "color"),
        ("a.mm.png", "mm"),
        ("A.MM.PNG", "mm"),
        ("mm.png", "color"),
        ("a.npy", "npy"),
        ("a.tiff", "tiff"),
        ("a.npz", "npz"),
        ("a.exr", "exr"),
        ("a.ply", "ply"),
        ("a.glb", "glb"),
        ("a.normals.png", "normals"),
        ("a.look.html", "look"),
        ("a.b.png", "color"),
    ],
)
def test_kind_by_suffix(name: str, kind: str) -> None:
    assert output_for(Path(name)) is OUTPUTS[kind]


@pytest.mark.parametrize(
    ("name", "kind"), [("a.jpg", "color"), ("a.JPEG", "color"), ("a.tif", "tiff"), ("look.html", "look")]
)
def test_other_suffixes_of_a_kind(name: str, kind: str) -> None:
    """The kind keeps the suffix it goes by, so that a file beside it can be named after it."""
    other = output_for(Path(name))
    assert other is not None and other.suffix == Path(name).suffix.lower() and other.encode is OUTPUTS[kind].encode


@pytest.mark.parametrize("name", ["a", "png", "a.bmp", "a.png.zip", "a.obj"])
def test_no_kind(name: str) -> None:
    assert output_for(Path(name)) is None


# --- the plan


def targets(jobs: list[Job]) -> list[list[tuple[str, str]]]:
    kinds = {output.suffix: kind for kind, output in OUTPUTS.items()}
    return [[(path.as_posix(), kinds[output.suffix]) for path, output in job.targets] for job in jobs]


def here(*names: str) -> list[Source]:
    """Photos of a folder `in`."""
    return [Source(Path("in") / name, Path(name)) for name in names]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_writer_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(HqmdError, match=r"\.dem: nowhere\.at_all:write, which writes it, cannot be imported"):
        _ = Output(".dem", "nowhere.at_all:write", "a package's own").encode


def test_one_photo_to_named_files() -> None:
    """Several destinations, each by its suffix."""
    jobs = plan(here("a.jpg"), [Path("x.png"), Path("x.mm.png"), Path("deep/x.npy")], None)
    assert targets(jobs) == [[("x.png", "color"), ("x.mm.png", "mm"), ("deep/x.npy", "npy")]]
    assert jobs[0].source == here("a.jpg")[0]


def test_stdin_to_a_folder() -> None:
    assert targets(plan([Source(None, Path("stdin"))], [Path("out")], "npy")) == [[("out/stdin.npy", "npy")]]


def test_folder_keeps_the_tree() -> None:
    jobs = plan(here("a.b.jpg", "sub/c.png"), [Path("out")], "mm, npy,mm")
    assert targets(jobs) == [
        [("out/a.b.mm.png", "mm"), ("out/a.b.npy", "npy")],
        [("out/sub/c.mm.png", "mm"), ("out/sub/c.npy", "npy")],
    ]


def test_a_folder_may_have_a_dot() -> None:
    assert targets(plan(here("a.jpg", "b.jpg"), [Path("run.v2")], "npy"))[0] == [("run.v2/a.npy", "npy")]
    Path("maps.png").mkdir()
    assert targets(plan(here("a.jpg"), [Path("maps.png")], "npy")) == [[("maps.png/a.npy", "npy")]]


def test_one_photo_to_an_unknown_suffix() -> None:
    """Most likely a file was meant, not a folder named x.bmp."""
    with pytest.raises(HqmdError, match=r"x\.bmp: no output has this suffix; there are \.png, \.mm\.png, .*\.jpg"):
        plan(here("a.jpg"), [Path("x.bmp")], None)


def test_many_photos_to_one_file() -> None:
    with pytest.raises(HqmdError, match=r"x\.png: one file cannot hold 2 depth maps; give -o a folder"):
        plan(here("a.jpg", "b.jpg"), [Path("x.png")], None)


def test_what_is_neither_a_file_nor_a_folder() -> None:
    Path("notes").write_text("mine")
    Path("gone").symlink_to("nowhere")
    for output, said in (
        (".npy", r"\.npy: a suffix alone; give the file a name, such as depth\.npy"),
        ("notes", "notes: exists and is not a folder"),
        ("gone", "gone: exists and is not a folder"),
        ("d.mp4", r"d\.mp4: holds one video"),
    ):
        with pytest.raises(HqmdError, match=said):
            plan(here("a.jpg"), [Path(output)], None)
    with pytest.raises(HqmdError, match="holds one video"):  # not a folder of this name
        plan(here("a.jpg", "b.jpg"), [Path("d.mp4")], None)
    with pytest.raises(HqmdError, match="no output format named ''"):  # an empty variable of a shell
        plan(here("a.jpg"), [Path("out")], "")


def test_formats_are_for_folders() -> None:
    with pytest.raises(HqmdError, match="--format is for folders"):
        plan(here("a.jpg"), [Path("x.png")], "npy")


def test_unknown_format_lists_the_formats() -> None:
    with pytest.raises(
        HqmdError, match="no output format named 'bmp'; there are: color, mm, npy, tiff, npz, exr, ply, glb"
    ):
        plan(here("a.jpg"), [Path("out")], "color,bmp")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("a.jpg", "a.png"),
        ("a.jpg", "A.jpg"),
        ("sub/a.jpg", "SUB/A.png"),
        ("b\u00fc.jpg", "bu\u0308.jpg"),  # u with dots, as one letter and as two signs: what macOS makes of it
        ("\u00c4.jpg", "a\u0308.png"),
    ],
)
def test_two_results_in_one_file(one: str, other: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hqmd_cli.prediction.plan.keeps_case", lambda folder: False)
    with pytest.raises(HqmdError, match=rf"out/.*\.npy: in/{one} and in/{other} would both be written to it; .*rename"):
        plan(here(one, other), [Path("out")], "npy")


@pytest.mark.unix
def test_names_that_differ_only_in_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files where the disk tells them apart, of which another entry of the folder is the witness."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Witness").mkdir()
    if (tmp_path / "wITNESS").exists():
        pytest.skip("a disk that does not tell them apart")
    jobs = plan(here("a.jpg", "A.jpg", "b.jpg"), [Path("out")], "npy")
    assert len({path for job in jobs for path, _ in job.targets}) == 3
    with pytest.raises(HqmdError, match="would both be written to it; rename one, or run them separately"):
        plan(here("a.jpg", "A.jpg", "A.png"), [Path("out")], "npy")
    (tmp_path / "Witness" / "Name").mkdir()
    assert keeps_case(Path("Witness/new"))
    (tmp_path / "Witness" / "nAME").symlink_to("Name")  # as a disk answers that takes them for one
    assert not keeps_case(Path("Witness/new"))


def test_names_that_are_only_alike() -> None:
    jobs = plan(here("a.jpg", "a .jpg", "b/a.jpg", "\u00e4.jpg", "aa.jpg"), [Path("out")], "npy,mm")
    assert len({path for job in jobs for path, _ in job.targets}) == 10


def test_two_ways_to_one_file(tmp_path: Path) -> None:
    """Compared where they lie, not as they are spelt."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    for other in (tmp_path / "x.npy", Path("sub/../x.npy"), Path("X.npy")):
        with pytest.raises(HqmdError, match="would be written twice; give each -o once"):
            plan(here("a.jpg"), [Path("x.npy"), other], None)
    with pytest.raises(HqmdError, match="would be written twice"):
        plan(here("a.jpg"), [Path("real"), Path("link")], None)


def test_a_photo_is_not_overwritten() -> None:
    with pytest.raises(HqmdError, match=r"in/a\.png: would overwrite a photo; choose another -o"):
        plan(here("a.png"), [Path("in")], "color")
    with pytest.raises(HqmdError, match="would overwrite a photo"):
        plan(here("a.PNG"), [Path("in")], "color")
    with pytest.raises(HqmdError, match=r"in/b\.png: would overwrite a photo"):  # nor another one of the same run
        plan([*here("a.jpg"), *here("b.png"), *here("b.jpg")], [Path("in").absolute()], "color")
    assert targets(plan(here("a.png"), [Path("in")], "mm")) == [[("in/a.mm.png", "mm")]]


def test_a_photo_behind_a_link_is_not_overwritten() -> None:
    """A linked folder, and a linked photo: neither the link nor what it leads to."""
    Path("real").mkdir()
    Path("real/a.png").touch()
    Path("link").symlink_to("real")
    Path("photo.png").symlink_to("real/a.png")
    with pytest.raises(HqmdError, match="would overwrite a photo"):
        plan([Source(Path("real/a.png"), Path("a.png"))], [Path("link")], "color")
    for target in ("real/a.png", "photo.png"):
        with pytest.raises(HqmdError, match="would overwrite a photo"):
            plan([Source(Path("photo.png"), Path("photo.png"))], [Path(target)], None)


def test_a_name_that_ends_like_another_kind() -> None:
    with pytest.raises(HqmdError, match=r"out/view\.mm\.png: another output has this suffix; .* in/view\.mm\.jpg"):
        plan(here("view.mm.jpg"), [Path("out")], "color")


def test_many_photos_do_not_mean_many_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    """The disk is asked about folders, not about each file: 1000 photos are planned in a moment."""
    asked = []
    realpath = planning.os.path.realpath
    monkeypatch.setattr(planning.os.path, "realpath", lambda path: asked.append(path) or realpath(path))
    jobs = plan(here(*(f"{number % 3}/{number}.jpg" for number in range(1000))), [Path("out")], "color,npy,mm")
    assert len(jobs) == 1000 and len(asked) == 2 * 3


# --- how it looks


@pytest.mark.parametrize(
    ("wish", "fault"),
    [
        ({"near_m": 3, "far_m": 3}, "--vmin 3 must be less than --vmax 3"),
        ({"near_m": 3, "far_m": 1}, "--vmin 3 must be less than --vmax 1"),
        ({"near_m": -1}, "--vmin -1"),
        ({"far_m": float("nan")}, "--vmax nan"),
        ({"far_m": float("inf")}, "--vmax inf"),
        ({"edge_rtol": 0}, "--edge-rtol 0: must be positive"),
        ({"edge_rtol": float("nan")}, "--edge-rtol nan"),
        ({"colormap": "jet"}, "no colormap named 'jet'; there are: magma"),
    ],
)
def test_a_look_that_is_none(wish: dict, fault: str) -> None:
    with pytest.raises(HqmdError, match=fault):
        Style(**wish)


def test_the_photo_s_own_range(tmp_path: Path, result: DepthResult) -> None:
    """All colours are used, however near the nearest and far the farthest pixel are."""
    path, said = write("color", tmp_path / "x.png", result)
    np.testing.assert_array_equal(np.asarray(Image.open(path)), colorize(result.depth_m, 1, result.depth_m.max()))
    assert said == "colours from 1.00 to 2.30 m"


def test_a_photo_of_one_pixel(tmp_path: Path) -> None:
    """Has no range and no surface, yet colours and numbers."""
    tiny = DepthResult(np.zeros((1, 1, 3), np.uint8), np.full((1, 1), 2, np.float32), find_intrinsics(1, 1), 2, 2)
    for kind in ("color", "mm", "npy", "tiff", "npz", "exr", "ply", "normals"):
        write_output(OUTPUTS[kind], tmp_path / f"x{OUTPUTS[kind].suffix}", tiny, Style(legend=True, side_by_side=True))
    with pytest.raises(HqmdError, match=r"x\.glb: a photo of 1 x 1 pixels has no surface"):
        write_output(OUTPUTS["glb"], tmp_path / "x.glb", tiny, Style())


def test_the_user_s_range_says_what_lies_beyond(tmp_path: Path, result: DepthResult) -> None:
    path, said = write("color", tmp_path / "x.png", result, Style("viridis", near_m=1.5, far_m=2.2))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), colorize(result.depth_m, 1.5, 2.2, "viridis"))
    beyond = np.mean((result.depth_m < 1.5) | (result.depth_m > 2.2))
    assert 0.3 < beyond < 0.5
    assert (
        said == f"colours from 1.50 to 2.20 m; {beyond:.1%} of the pixels lie beyond, shown in the colours of the ends"
    )


def test_one_end_of_the_range(tmp_path: Path, result: DepthResult) -> None:
    assert write("color", tmp_path / "x.png", result, Style(far_m=4))[1] == "colours from 1.00 to 4.00 m"
    with pytest.raises(HqmdError, match=r"y\.png: no colours from 9 to 2\.3 m, .* give both --vmin and --vmax"):
        write_output(OUTPUTS["color"], tmp_path / "y.png", result, Style(near_m=9))


def test_painted_beside_the_photo(result: DepthResult) -> None:
    """Photo, map, legend: from left to right."""
    plain = painted(result.image, result.depth_m, 1, 3, Style())
    both = painted(result.image, result.depth_m, 1, 3, Style(side_by_side=True))
    np.testing.assert_array_equal(both, np.hstack([result.image, plain]))
    full = painted(result.image, result.depth_m, 1, 3, Style(side_by_side=True, legend=True))
    np.testing.assert_array_equal(full[: SHAPE[0], : both.shape[1]], both)
    assert full.shape[1] > both.shape[1]


def test_colours_as_jpeg(tmp_path: Path, result: DepthResult) -> None:
    kind = output_for(tmp_path / "x.jpg")
    assert isinstance(kind, Output)
    write_output(kind, tmp_path / "x.jpg", result, Style())
    with Image.open(tmp_path / "x.jpg") as picture:
        assert picture.format == "JPEG" and picture.size == SHAPE[::-1]


# --- numbers


@pytest.mark.parametrize(("kind", "closest_m"), [("mm", 0.0005001), ("npy", 0), ("tiff", 0)])
def test_depth_comes_back(tmp_path: Path, result: DepthResult, kind: str, closest_m: float) -> None:
    path, _ = write(kind, tmp_path / f"x{OUTPUTS[kind].suffix}", result)
    values = read_depth_values(path) / (depth_unit_tag(path) or 1)
    assert np.abs(values - result.depth_m).max() <= closest_m


def test_tiff_says_its_unit(tmp_path: Path, result: DepthResult) -> None:
    with Image.open(write("tiff", tmp_path / "x.tiff", result)[0]) as picture:
        assert picture.mode == "F" and "metres" in picture.tag_v2[270]  # ImageDescription


# --- space


def upright(points: NDArray[np.floating]) -> NDArray[np.floating]:
    """From the camera's axes to glTF's."""
    return points * [1, -1, -1]


def test_cloud(tmp_path: Path, result: DepthResult) -> None:
    """Each point where it was seen, in its colour; those on jumps are gone and counted."""
    path, said = write("ply", tmp_path / "x.ply", result)
    kept = ~on_jumps(result.depth_m)
    cloud = trimesh.load(path)
    np.testing.assert_allclose(
        cloud.vertices, upright(unproject(result.depth_m, result.intrinsics)[kept]), rtol=1e-5, atol=1e-6
    )
    np.testing.assert_array_equal(cloud.colors[:, :3], result.image[kept])
    assert 0 < (~kept).sum() < 200 and said.startswith(f"{kept.sum()} points, {np.mean(~kept):.1%} of the points left")


def test_cloud_says_what_it_is(tmp_path: Path, result: DepthResult) -> None:
    header = write("ply", tmp_path / "x.ply", result)[0].read_bytes().split(b"end_header")[0].decode("ascii")
    assert header.startswith("ply\nformat binary_little_endian 1.0\n")
    assert "comment unit: metre\n" in header and "horizontal field of view of 60 degrees, as given" in header
    assert header.index("comment camera:") < header.index("element vertex")


def glb_tree(path: Path) -> dict:
    """The JSON of a binary glTF: 12 bytes of header, then its length, its kind and itself."""
    data = path.read_bytes()
    assert data[:4] == b"glTF" and int.from_bytes(data[8:12], "little") == len(data)
    return json.loads(data[20 : 20 + int.from_bytes(data[12:16], "little")])


def test_mesh_stands_upright(tmp_path: Path, result: DepthResult) -> None:
    """glTF: y up, the camera at 0 looks along -z. The photo's top is up, its right is right, near is near."""
    path, said = write("glb", tmp_path / "x.glb", result)
    (surface,) = trimesh.load(path, process=False).geometry.values()
    photo = np.asarray(surface.visual.material.baseColorTexture.convert("RGB"))
    np.testing.assert_array_equal(photo, result.image)
    u, v = np.asarray(surface.visual.uv).T  # of trimesh: v from the bottom
    column, row = u * SHAPE[1] - 0.5, (1 - v) * SHAPE[0] - 0.5
    np.testing.assert_allclose(row, row.round(), atol=1e-3)
    seen = result.depth_m[row.round().astype(int), column.round().astype(int)]
    x, y, z = np.asarray(surface.vertices).T
    np.testing.assert_allclose(-z, seen, rtol=1e-5)
    camera = result.intrinsics
    np.testing.assert_allclose(x, (column - camera.cx) / camera.fx * seen, atol=1e-4)
    np.testing.assert_allclose(y, -(row - camera.cy) / camera.fy * seen, atol=1e-4)
    assert np.ptp(np.asarray(surface.vertices)[surface.faces][..., 2], axis=1).max() < 0.05  # no skirt round the box
    assert said.startswith(f"{len(surface.faces):,} triangles")


def test_mesh_says_what_it_is(tmp_path: Path, result: DepthResult) -> None:
    """Unit and camera, and that the photo is to be shown without any light but its own."""
    tree = glb_tree(write("glb", tmp_path / "x.glb", result)[0])
    assert tree["asset"]["version"] == "2.0" and tree["asset"]["extras"]["unit"] == "metre"
    assert "as given" in tree["asset"]["extras"]["camera"]
    assert tree["extensionsUsed"] == ["KHR_materials_unlit"]
    assert [material["extensions"] for material in tree["materials"]] == [{"KHR_materials_unlit": {}}]
    ((primitive,),) = [mesh["primitives"] for mesh in tree["meshes"]]
    assert set(primitive["attributes"]) == {"POSITION", "TEXCOORD_0"}


def test_the_user_s_edge_rtol(tmp_path: Path, result: DepthResult) -> None:
    """Above the jump round the box (1 m to 2.3 m) everything is kept."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    said = write("ply", tmp_path / "a" / "x.ply", result, Style(edge_rtol=2))[1]
    assert said.startswith("960 points, 0.0% of the points left out")
    said = write("glb", tmp_path / "b" / "x.glb", result, Style(edge_rtol=2))[1]
    assert said.startswith(f"{2 * 23 * 39:,} triangles, 0.0% of the surface left out")


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_nothing_left_is_an_error(tmp_path: Path, result: DepthResult, kind: str) -> None:
    steep = result._replace(depth_m=np.geomspace(1, 2**39, SHAPE[1], dtype=np.float32)[None].repeat(SHAPE[0], axis=0))
    with pytest.raises(HqmdError, match=r"x: depth jumps everywhere .* give a greater --edge-rtol"):
        write_output(OUTPUTS[kind], tmp_path / "x", steep, Style(edge_rtol=0.9))
    assert not (tmp_path / "x").exists()


def test_normals_as_a_picture(tmp_path: Path, result: DepthResult) -> None:
    path, said = write("normals", tmp_path / "x.normals.png", result)
    expected = normals_to_rgb(normals(result.depth_m, result.intrinsics))
    np.testing.assert_array_equal(np.asarray(Image.open(path)), expected)
    assert (expected[..., 2] > 200).all() and "fx" in said


@pytest.mark.parametrize("kind", ["ply", "glb"])
def test_a_cloud_of_too_many_points_is_thinned_and_stays_where_it_was(tmp_path, result, kind, monkeypatch):
    """Every second row and column, each point where it would be among all."""
    monkeypatch.setattr(space, "MOST_POINTS", 300)
    path, said = write(kind, tmp_path / f"x.{kind}", result, Style(edge_rtol=2))
    assert said.startswith("thinned to 20 x 12 pixels; ")
    loaded = trimesh.load(path)
    points = loaded.vertices if kind == "ply" else next(iter(loaded.geometry.values())).vertices
    expected = unproject(result.depth_m, result.intrinsics)[::2, ::2].reshape(-1, 3) * (1, -1, -1)
    np.testing.assert_allclose(sorted(map(tuple, points)), sorted(map(tuple, expected)), atol=1e-5)


def test_npz_holds_depth_and_camera(tmp_path: Path, result: DepthResult) -> None:
    assert write("npz", tmp_path / "d.npz", result)[1] == "arrays depth_m and intrinsics"
    with np.load(tmp_path / "d.npz") as arrays:
        np.testing.assert_array_equal(arrays["depth_m"], result.depth_m)
        camera = result.intrinsics
        assert arrays["intrinsics"].tolist() == [[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]]


@pytest.mark.parametrize("height", [1, 16, 17, 40])
def test_exr_reads_as_it_was_written(tmp_path: Path, height: int) -> None:
    depth_m = np.random.default_rng(height).uniform(0.5, 9, (height, 23)).astype(np.float32)
    depth_m[:, :9] = 2  # so that some chunks shrink
    (tmp_path / "d.exr").write_bytes(encode_exr(depth_m))
    np.testing.assert_array_equal(read_exr(tmp_path / "d.exr"), depth_m)


def test_millimetres_that_round_to_none_are_said(tmp_path: Path, result: DepthResult) -> None:
    near = result._replace(depth_m=np.where(np.indices(result.depth_m.shape)[0] < 1, np.float32(1e-4), result.depth_m))
    assert "nearer than half a millimetre" in write_output(OUTPUTS["mm"], tmp_path / "d.mm.png", near, Style())
    assert write_output(OUTPUTS["mm"], tmp_path / "e.mm.png", result, Style()) == ""


@pytest.mark.parametrize("flag", [{"near_m": 1e39}, {"far_m": float("nan")}, {"far_m": 2e5}])
def test_a_range_that_no_photo_has(flag: dict[str, float]) -> None:
    with pytest.raises(HqmdError, match="0 to 100000"):
        Style(**flag)
