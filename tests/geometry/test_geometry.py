"""From depth to points, normals and meshes, and the camera behind them."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.geometry.surfaces import mesh_of, normals, on_jumps, unproject

CAMERA = Intrinsics(50.0, 50.0, 31.5, 23.5, "a test")
SHAPE = (48, 64)


def plane(normal: tuple[float, float, float], distance_m: float, camera: Intrinsics = CAMERA, shape=SHAPE) -> NDArray:
    """(H, W) depth of the plane normal . P = distance, as the camera sees it."""
    v, u = np.mgrid[: shape[0], : shape[1]]
    across = normal[0] * (u - camera.cx) / camera.fx + normal[1] * (v - camera.cy) / camera.fy + normal[2]
    return (distance_m / across).astype(np.float32)


def step(near_m: float = 1.0, far_m: float = 2.0) -> NDArray[np.float32]:
    """Two walls that face the camera; the near one ends with column 31."""
    depth_m = np.full(SHAPE, far_m, np.float32)
    depth_m[:, :32] = near_m
    return depth_m


# --- the camera


def test_field_of_view_reaches_from_edge_to_edge() -> None:
    """90 degrees: half the width away from the picture's plane. Pixel centres lie at whole numbers."""
    camera = find_intrinsics(480, 640, fov_deg=90)
    assert camera.fx == pytest.approx(320) and camera.fy == camera.fx
    assert (camera.cx, camera.cy) == (319.5, 239.5)
    assert "90 degrees" in camera.origin


def test_what_the_user_says_comes_before_exif() -> None:
    assert find_intrinsics(480, 640, fx=700, focal_35mm=26).fx == 700
    assert find_intrinsics(480, 640, fov_deg=90, focal_35mm=26).fx == pytest.approx(320)
    assert "EXIF" in find_intrinsics(480, 640, focal_35mm=26).origin


@pytest.mark.parametrize(("height", "width"), [(2000, 3000), (3000, 2000)])
def test_exif_on_the_frame_of_a_film(height: int, width: int) -> None:
    """36 mm is the width of the 3:2 frame, so a 36 mm lens has the longer side as focal length, turned or not."""
    assert find_intrinsics(height, width, focal_35mm=36).fx == pytest.approx(3000)


@pytest.mark.parametrize(("height", "width"), [(3024, 4032), (4032, 3024)])
def test_exif_is_by_the_diagonal(height: int, width: int) -> None:
    """CIPA DCG-001. A 4:3 sensor of 5.6 x 4.2 mm, diagonal 7 mm, behind a 4.25 mm lens is called 26.3 mm."""
    called_mm = 4.25 * math.hypot(36, 24) / 7
    assert find_intrinsics(height, width, focal_35mm=called_mm).fx == pytest.approx(4.25 / 5.6 * 4032)


@pytest.mark.parametrize("unknown", [None, 0])
@pytest.mark.parametrize(("height", "width"), [(960, 1280), (1280, 960)])
def test_nyu_s_camera_where_nothing_is_known(height: int, width: int, unknown: float | None) -> None:
    camera = find_intrinsics(height, width, focal_35mm=unknown)
    assert camera.fx == pytest.approx(2 * 518.86) and "NYU" in camera.origin and "assumed" in camera.origin


def test_metres_grow_with_the_focal_length() -> None:
    """A lens of twice the focal length shows a thing as large as from half as far."""
    nyu = find_intrinsics(480, 640, fx=518.86)
    assert nyu.metres_factor(480, 640) == pytest.approx(1)
    assert find_intrinsics(480, 640, fx=2 * 518.86).metres_factor(480, 640) == pytest.approx(2)
    # The same photo enlarged, and turned.
    assert find_intrinsics(1280, 960, fx=4 * 518.86).metres_factor(1280, 960) == pytest.approx(2)


def test_an_assumed_camera_changes_no_metres() -> None:
    camera = find_intrinsics(360, 640, exif_fault="the EXIF is another picture's")
    assert not camera.is_known and camera.metres_factor(360, 640) == 1
    assert "assumed: the EXIF is another picture's" in camera.origin


@pytest.mark.parametrize("number", [-1, math.nan, math.inf])
@pytest.mark.parametrize(
    ("name", "remedy"), [("fx", "--fx"), ("fov_deg", "--fov"), ("focal_35mm", "EXIF .* give --fov or --fx")]
)
def test_no_camera_has_this(name: str, remedy: str, number: float) -> None:
    with pytest.raises(HqmdError, match=remedy):
        find_intrinsics(480, 640, **{name: number})


@pytest.mark.parametrize("number", [{"fx": 0}, {"fov_deg": 0}, {"fov_deg": 180}, {"fov_deg": 200}, {"fov_deg": 1e-320}])
def test_the_ends_are_no_camera_either(number: dict[str, float]) -> None:
    with pytest.raises(HqmdError, match=r"--fx 0: a focal length|between 0 and 180"):
        find_intrinsics(480, 640, **number)


def test_two_answers_to_one_question() -> None:
    with pytest.raises(HqmdError, match="give one of them"):
        find_intrinsics(480, 640, fov_deg=60, fx=500)


# --- points


def test_points_worked_by_hand() -> None:
    """50 pixels beside the middle at fx = 50 is as far aside as away."""
    camera = Intrinsics(50, 25, 0, 0, "a test")
    depth_m = np.full((26, 51), 3, np.float32)
    points = unproject(depth_m, camera)
    assert points.shape == (26, 51, 3) and points.dtype == np.float32
    np.testing.assert_allclose(points[0, 0], [0, 0, 3])
    np.testing.assert_allclose(points[25, 50], [3, 3, 3])


def test_points_lie_on_their_plane() -> None:
    normal = (0.3, -0.5, 1.0)
    points = unproject(plane(normal, 2.0), CAMERA)
    np.testing.assert_allclose(points @ np.array(normal), 2.0, rtol=1e-5)


@pytest.mark.parametrize("none", [0, -1, np.nan, np.inf])
def test_no_depth_is_no_point(none: float) -> None:
    depth_m = np.full((5, 5), 2, np.float32)
    depth_m[2, 2] = none
    with np.errstate(all="raise"):
        assert np.isnan(unproject(depth_m, CAMERA)[2, 2]).all()
        jumps = on_jumps(depth_m)
    assert jumps[1:4, 1:4].all() and jumps.sum() == 9
    mesh = mesh_of(depth_m, CAMERA)
    assert np.isfinite(mesh.points).all() and 12 not in mesh.pixels
    assert on_jumps(np.full((5, 5), none, np.float32)).all()  # where all is alike nothing jumps, yet nothing is there


# --- jumps


def test_a_jump_is_marked_on_both_sides() -> None:
    marked = on_jumps(step())
    assert marked[:, 31:33].all() and marked.sum() == 2 * SHAPE[0]


def test_a_jump_along_a_column() -> None:
    marked = on_jumps(step()[:, 20:44].T)
    assert marked[11:13].all() and marked.sum() == 2 * SHAPE[0]


@pytest.mark.parametrize(("edge_rtol", "marked"), [(0.19, True), (0.21, False)])
def test_the_limit_is_relative(edge_rtol: float, marked: bool) -> None:
    for scale in (0.01, 1, 100):
        assert on_jumps(step(1.0 * scale, 1.2 * scale), edge_rtol).any() == marked


def test_a_floor_is_no_jump() -> None:
    """1.4 m below a camera of NYU's field of view, as far as 6 m away."""
    camera = find_intrinsics(480, 640)
    floor = plane((0, 1, 0), 1.4, camera, (480, 640))[362:]
    assert floor.max() > 5.9 and not on_jumps(floor).any()


def test_size_does_not_matter() -> None:
    """A ramp that is steep in a small photo is as steep when the same photo is large."""
    ramp = np.geomspace(1, 2, 32, dtype=np.float32)  # 2.2 % a pixel
    small = np.r_[np.full(304, 1, np.float32), ramp, np.full(304, 2, np.float32)][None].repeat(4, axis=0)
    large = np.interp(np.arange(2560) / 4, np.arange(640), small[0]).astype(np.float32)[None].repeat(4, axis=0)
    assert on_jumps(small)[:, 305:335].all() and not on_jumps(small)[:, :300].any()
    assert on_jumps(large)[:, 1220:1340].all() and not on_jumps(large)[:, :1200].any()


# --- normals


FACINGS = [(0, 0, 1), (0.4, 0, 1), (0, -0.7, 1), (-0.5, 0.3, 1)]
SHAPES = [(SHAPE, FACINGS), ((9, 64), FACINGS), ((2, 2), FACINGS), ((3, 1300), FACINGS), ((1300, 1300), FACINGS[-1:])]


@pytest.mark.parametrize(("shape", "facing"), [(shape, facing) for shape, facings in SHAPES for facing in facings])
def test_normals_of_a_plane(shape: tuple[int, int], facing: tuple[float, float, float]) -> None:
    """The plane's own at every pixel, the border's too; towards the camera, so with a negative z."""
    camera = find_intrinsics(*shape, fov_deg=60)
    found = normals(plane(facing, 2.0, camera, shape), camera)
    truth = -np.array(facing) / np.linalg.norm(facing)
    assert found.shape == (*shape, 3) and found.dtype == np.float32
    np.testing.assert_allclose(found, np.broadcast_to(truth, found.shape), atol=2e-3)
    np.testing.assert_allclose(np.linalg.norm(found, axis=2), 1, rtol=1e-5)


@pytest.mark.parametrize("turned", [False, True])
def test_a_jump_does_not_bend_what_is_beside_it(turned: bool) -> None:
    depth_m = step().T if turned else step()
    camera = Intrinsics(50, 50, (depth_m.shape[1] - 1) / 2, (depth_m.shape[0] - 1) / 2, "a test")
    np.testing.assert_allclose(normals(depth_m, camera), np.broadcast_to([0, 0, -1], (*depth_m.shape, 3)), atol=1e-5)


def test_a_lone_pixel_takes_the_lesser_jump() -> None:
    """Between 1 m and 3 m, at 1.5 m: of both sides the near one is less of a jump."""
    depth_m = np.full((3, 9), 1, np.float32)
    depth_m[:, 4], depth_m[:, 5:] = 1.5, 3
    camera = Intrinsics(50, 50, 4, 1, "a test")
    x, _, z = normals(depth_m, camera)[1, 4]
    # From (-1 pixel, 1 m) to (0, 1.5 m): 0.02 m aside, 0.5 m away; what stands on that leans to the right.
    assert x / -z == pytest.approx(0.5 / 0.02, rel=0.01) and x > 0


def test_no_normal_where_nothing_is_beside() -> None:
    assert np.isnan(normals(np.full((1, 5), 2, np.float32), CAMERA)).all()
    assert np.isnan(normals(np.full((1, 1), 2, np.float32), CAMERA)).all()
    depth_m = np.full((5, 7), 2, np.float32)
    depth_m[2, [2, 4]] = 0
    unknown = np.isnan(normals(depth_m, CAMERA)).any(axis=2)
    assert unknown[2, 2:5].all() and unknown.sum() == 3


# --- meshes


def test_a_whole_mesh() -> None:
    """Two triangles a square of four pixels, a vertex a pixel."""
    depth_m = plane((0.2, -0.1, 1), 2.0)
    mesh = mesh_of(depth_m, CAMERA)
    assert mesh.triangles.shape == (2 * 47 * 63, 3) and mesh.share == 1
    np.testing.assert_array_equal(mesh.pixels, np.arange(48 * 64))
    np.testing.assert_array_equal(mesh.points, unproject(depth_m, CAMERA).reshape(-1, 3))


def test_triangles_face_the_camera_and_cover_the_photo_once() -> None:
    """Counter-clockwise as seen from the camera: their normals point against the line of sight."""
    mesh = mesh_of(plane((0.2, -0.1, 1), 2.0), CAMERA)
    a, b, c = mesh.points[mesh.triangles].astype(np.float64).transpose(1, 0, 2)
    upright = np.array([1, -1, -1])  # seen with y up; a half turn, which keeps the sense of rotation
    outward = np.cross((b - a) * upright, (c - a) * upright)
    assert (np.einsum("fc,fc->f", outward, -a * upright) > 0).all()
    rows, columns = np.divmod(mesh.pixels[mesh.triangles], 64)
    areas = (columns[:, 1] - columns[:, 0]) * (rows[:, 2] - rows[:, 0]) - (columns[:, 2] - columns[:, 0]) * (
        rows[:, 1] - rows[:, 0]
    )
    assert (np.abs(areas) == 1).all() and len(np.unique(np.sort(mesh.triangles, axis=1), axis=0)) == 2 * 47 * 63


def test_no_skirt_between_two_walls() -> None:
    mesh = mesh_of(step(), CAMERA)
    spread = np.ptp(mesh.points[mesh.triangles][..., 2], axis=1)
    assert spread.max() == 0 and set(np.unique(mesh.points[:, 2])) == {1, 2}
    assert len(mesh.triangles) == 2 * 47 * (30 + 30) and mesh.share == pytest.approx(60 / 63)
    np.testing.assert_array_equal(np.unique(mesh.triangles), np.arange(len(mesh.points)))  # nothing left over


@pytest.mark.parametrize("shape", [(1, 1), (1, 7), (7, 1)])
def test_too_small_for_a_surface(shape: tuple[int, int]) -> None:
    mesh = mesh_of(np.full(shape, 2, np.float32), CAMERA)
    assert mesh.triangles.shape == (0, 3) and mesh.points.shape == (0, 3) and mesh.share == 0
