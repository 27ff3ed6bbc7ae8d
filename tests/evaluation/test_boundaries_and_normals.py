"""Metrics of depth detail against cases worked by hand and slow, obvious references."""

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import (
    CONTOUR_RATIOS,
    boundary_errors,
    boundary_f1,
    canny_edges,
    distances_px,
    filled_from_nearest,
)
from hqmd_cli.evaluation.metrics.normals import compare_normals
from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, MapPair, measure
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.geometry.surfaces import normals
from hqmd_cli.inference.uncertainty import Uncertainty

CAMERA = Intrinsics(60.0, 50.0, 22.0, 15.5, "a test")
SHAPE = (32, 48)
ALL = np.ones(SHAPE, bool)

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def detail_scores(
    pred_m: Map, depth_m: Map, scored: Mask, camera: Intrinsics | None = None, annotated: Mask | None = None
) -> dict[str, float]:
    """All metrics of the detail table that are known, with two planes, a field of view and stated errors."""
    planes, stated = np.ones(pred_m.shape, np.uint8), np.full(pred_m.shape, 0.05, np.float32)
    planes[:, 24:], stated[:16] = 2, 0.1
    maps = MapPair(
        pred_m, depth_m, scored, camera, annotated, planes, fov_deg=43.6, uncertainty=Uncertainty(0.1, stated)
    )
    figures = measure(maps, DETAIL_METRICS)
    return {name: figure for name, figure in figures.items() if not math.isnan(figure)}


def scene(seed: int, shape: tuple[int, int] = SHAPE) -> tuple[Map, Map, Mask]:
    """A prediction, its truth with boxes before a slanted wall, and a mask with holes; all float32."""
    generator = np.random.default_rng(seed)
    height, width = shape
    v, u = np.mgrid[:height, :width]
    depth = 3 + 0.01 * u + 0.005 * v
    for _ in range(4):
        top, left = generator.integers(0, height - 8), generator.integers(0, width - 10)
        depth[top : top + 12, left : left + 16] = generator.uniform(1, 2.5)
    pred = np.roll(depth, generator.integers(-2, 3), axis=1) * np.exp(0.01 * generator.standard_normal(shape))
    scored = generator.random(shape) < 0.995
    scored[5:9, 10:14] = False
    return pred.astype(np.float32), depth.astype(np.float32), scored


def normal_angles(pred_m: Map, depth_m: Map, scored: Mask, camera: Intrinsics) -> NDArray[np.float32]:
    """Angles between the normals of two maps, in degrees."""
    return compare_normals(pred_m, depth_m, scored, camera).angles_deg


def steps(*columns: int) -> Map:
    """A wall at 2 m that is 2 m farther from each of the columns on."""
    return sum((np.where(np.arange(SHAPE[1]) < column, 0.0, 2.0) for column in columns), np.full(SHAPE, 2.0))


# ---- occluding contours


def row(*depths_m: float) -> Map:
    return np.array([depths_m], np.float32)


def f1_of_row(pred: Map, depth: Map, scored: tuple[int, ...] = (1, 1, 1, 1)) -> float:
    return boundary_f1(pred, depth, np.array([scored], bool))


def test_contours_in_the_right_place_score_1_and_elsewhere_or_reversed_0() -> None:
    truth = row(1, 1, 2, 2)
    assert f1_of_row(3 * truth, truth) == pytest.approx(1)
    assert f1_of_row(row(1, 2, 2, 2), truth) == 0
    assert f1_of_row(row(2, 2, 1, 1), truth) == 0  # the right place, but what is in front is behind


def test_contour_f1_by_hand() -> None:
    """Two contours where the truth has one, which is hit: P = 1/2, R = 1, F1 = 2/3 for every t."""
    assert f1_of_row(row(4, 1, 2, 2), row(1, 1, 2, 2)) == pytest.approx(2 / 3)


def test_a_weak_contour_counts_for_the_lower_thresholds() -> None:
    """A ratio of 1.1 is above 1.05, 1.072 and 1.094 of the ten thresholds, which together are 11.5."""
    expected = (1.05 + (1.05 + 0.2 / 9) + (1.05 + 0.4 / 9)) / 11.5
    assert f1_of_row(row(1, 1, 1.1, 1.1), row(1, 1, 2, 2)) == pytest.approx(expected, abs=1e-12)


def test_no_contour_anywhere_is_right_and_invented_ones_are_wrong() -> None:
    flat, truth = row(1, 1, 1.04, 1), row(1, 1, 2, 2)
    assert f1_of_row(flat, flat) == pytest.approx(1)
    assert f1_of_row(truth, flat) == f1_of_row(flat, truth) == 0


def test_a_pair_with_a_hole_has_no_say() -> None:
    assert f1_of_row(row(1, 1, 9, 2), row(1, 1, 1, 1), scored=(1, 1, 0, 1)) == pytest.approx(1)
    assert math.isnan(f1_of_row(row(1, 1, 2, 2), row(1, 1, 2, 2), scored=(1, 0, 1, 0)))


def reference_boundary_f1(pred: Map, depth: Map, scored: Mask) -> float:
    """Depth Pro's eq. 3 pair by pair."""
    height, width = pred.shape
    total = 0.0
    for ratio in CONTOUR_RATIOS:
        hits = found = true = 0
        for v, u, (dv, du) in product(range(height), range(width), ((0, 1), (1, 0), (0, -1), (-1, 0))):
            if 0 <= v + dv < height and 0 <= u + du < width and scored[v, u] and scored[v + dv, u + du]:
                of_pred = float(pred[v + dv, u + du]) / float(pred[v, u]) > ratio
                of_truth = float(depth[v + dv, u + du]) / float(depth[v, u]) > ratio
                hits, found, true = hits + (of_pred and of_truth), found + of_pred, true + of_truth
        precision, recall = hits / max(found, 1), hits / max(true, 1)
        f1 = 2 * precision * recall / (precision + recall) if hits else float(found == true == 0)
        total += ratio * f1
    return total / sum(CONTOUR_RATIOS)


@pytest.mark.parametrize("seed", [0, 1])
def test_boundary_f1_agrees_with_a_slow_reference(seed: int) -> None:
    pred, depth, scored = scene(seed)
    noise = np.exp(0.08 * np.random.default_rng(seed).standard_normal(SHAPE)).astype(np.float32)
    for tested in (pred, pred * noise):
        score = boundary_f1(tested, depth * noise, scored)
        assert score == pytest.approx(reference_boundary_f1(tested, depth * noise, scored), abs=1e-9)
        assert 0.05 < score < 0.95  # else it would say little


@pytest.mark.parametrize("scale", [0.5, 1.37])
def test_boundary_f1_forgives_a_common_scale(scale: float) -> None:
    pred, depth, scored = scene(3)
    assert boundary_f1(scale * pred, depth, scored) == pytest.approx(boundary_f1(pred, depth, scored), abs=1e-9)


# ---- depth boundary errors


def test_a_step_is_an_edge_one_pixel_wide() -> None:
    assert set(np.nonzero(canny_edges(steps(20)))[1]) == {19}
    assert set(np.nonzero(canny_edges(steps(20, 40)))[1]) == {19, 39}
    assert not canny_edges(np.full(SHAPE, 2.0)).any()


@pytest.mark.parametrize(("share", "is_edge"), [(0.13, False), (0.16, True)])
def test_an_edge_is_above_a_seventh_of_the_range(share: float, is_edge: bool) -> None:
    """Blurred by sqrt(2), the Sobel gradient of a step is 2.08 times its height, and .3 / 2.08 = .144."""
    z = steps(20)
    z[:, 34:] = 2 + 2 * (1 - share)
    assert canny_edges(z)[:, 30:].any() == is_edge


@pytest.mark.parametrize(
    ("pred", "truth", "accuracy_px", "completeness_px"),
    [
        (steps(20), steps(20), 0, 0),
        (steps(23), steps(20), 3, 3),
        (steps(16), steps(20), 4, 4),
        (steps(35), steps(20), 10, 10),  # 15 px away is not near
        (np.full(SHAPE, 2.0), steps(20), 10, 10),
        (steps(20, 35), steps(20), 0, 10 / 3),  # three edges of two maps: 0, 15 (that is 10) and 0 px from another
        (steps(20), steps(20, 35), 0, 10 / 3),
        (steps(20, 35), steps(22), 2, (2 + 10 + 2) / 3),
    ],
)
def test_boundary_errors_by_hand(pred: Map, truth: Map, accuracy_px: float, completeness_px: float) -> None:
    assert boundary_errors(pred, truth, ALL) == pytest.approx((accuracy_px, completeness_px))


def test_without_true_edges_nothing_is_known() -> None:
    flat = np.full(SHAPE, 2.0)
    assert np.isnan(boundary_errors(steps(20), flat, ALL)).all()
    assert np.isnan(boundary_errors(steps(20), steps(20), np.indices(SHAPE).sum(0) % 3 == 0)).all()  # sparse truth


def test_edges_that_people_drew_replace_those_of_the_truth() -> None:
    drawn = np.zeros(SHAPE, bool)
    drawn[:, 24] = True
    assert boundary_errors(steps(20), np.full(SHAPE, 2.0), ALL, drawn) == pytest.approx((5, 5))  # the edge is at 19


def test_the_rim_of_a_hole_is_no_edge() -> None:
    truth, scored = steps(20), ALL.copy()
    truth[10:20, 30:40], scored[10:20, 30:40] = 0, False
    assert boundary_errors(steps(20), truth, scored) == (0, 0)


def test_an_edge_inside_a_hole_is_the_nearest_to_one_outside() -> None:
    """The truth's step at 20 is hidden in rows 10..19 by columns 18..21, where it is seen at once on both sides."""
    truth, scored = steps(20), ALL.copy()
    scored[10:20, 18:22] = False
    assert boundary_errors(steps(24), truth, scored).accuracy_px == pytest.approx(4, abs=0.35)


def reference_boundary_errors(pred_edges: Mask, true_edges: Mask, scored: Mask) -> tuple[float, float]:
    """Distances edge by edge."""

    def coordinates(edges: Mask, counted: bool) -> list[tuple[int, int]]:
        return [
            (v, u)
            for v, u in zip(*(axis.tolist() for axis in np.nonzero(edges)), strict=True)
            if not counted
            or (0 < v < SHAPE[0] - 1 and 0 < u < SHAPE[1] - 1 and scored[v - 1 : v + 2, u - 1 : u + 2].all())
        ]

    def to_nearest(edges: Mask, others: Mask) -> list[float]:
        targets = coordinates(others, counted=False)
        return [min(math.dist(edge, target) for target in targets) for edge in coordinates(edges, counted=True)]

    to_true, to_found = to_nearest(pred_edges, true_edges), to_nearest(true_edges, pred_edges)
    near = [distance for distance in to_true if distance < 10]
    capped = [min(distance, 10) for distance in to_true + to_found]
    return sum(near) / len(near), sum(capped) / len(capped)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_boundary_errors_agree_with_a_slow_reference(seed: int) -> None:
    pred, depth, scored = scene(seed)
    pred_edges, true_edges = (canny_edges(z) for z in filled_from_nearest((pred, depth), scored))
    slow = reference_boundary_errors(pred_edges, true_edges, scored)
    assert boundary_errors(pred, depth, scored) == pytest.approx(slow, abs=1e-6)
    assert slow[0] > 0.1


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_edges_are_where_the_canny_of_ibims_has_them(seed: int) -> None:
    """Its script takes skimage's, with these numbers; the border it treats its own way."""
    feature = pytest.importorskip("skimage.feature")
    z = scene(seed, (96, 128))[0]
    scaled = (z - z.min()) / (z.max() - z.min())
    theirs = feature.canny(scaled, sigma=math.sqrt(2), low_threshold=0.15, high_threshold=0.3)
    ours = canny_edges(z)
    inside = np.s_[4:-4, 4:-4]
    for edges, others in ((ours, theirs), (theirs, ours)):
        at = np.zeros_like(edges)
        at[inside] = edges[inside]
        away_px = distances_px(others, at)
        assert away_px.size > 100 and np.mean(away_px <= 1.5) > 0.99


def test_holes_take_the_depth_of_the_nearest_pixel() -> None:
    z, _, scored = scene(4)
    z += np.arange(z.size, dtype=np.float32).reshape(SHAPE)  # so that a value tells where it is from
    (filled,) = filled_from_nearest((np.where(scored, z, np.nan),), scored)
    assert (filled[scored] == z[scored]).all()
    known = np.argwhere(scored)
    for hole in np.argwhere(~scored):
        (source,) = np.argwhere(scored & (z == filled[tuple(hole)]))
        assert math.dist(hole, source) <= 1.05 * min(math.dist(hole, pixel) for pixel in known)


# ---- normals


def plane(normal: tuple[float, float, float], distance_m: float = 2.0) -> Map:
    """(H, W) depth of the plane normal . P = distance, as the camera sees it."""
    v, u = np.mgrid[: SHAPE[0], : SHAPE[1]]
    across = normal[0] * (u - CAMERA.cx) / CAMERA.fx + normal[1] * (v - CAMERA.cy) / CAMERA.fy + normal[2]
    return (distance_m / across).astype(np.float32)


def tilted(degrees: float, down: bool = False) -> Map:
    """A plane that is turned away from the picture's by an angle, to the right or downwards."""
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    return plane((0, sine, cosine) if down else (sine, 0, cosine))


WALL = tilted(0)


@pytest.mark.parametrize("down", [False, True])
@pytest.mark.parametrize("degrees", [0, 5, 20, 40])
def test_planes_differ_by_the_angle_between_them(degrees: float, down: bool) -> None:
    angles = normal_angles(tilted(degrees, down), WALL, ALL, CAMERA)
    assert angles.size > 0
    assert angles == pytest.approx(np.full(angles.size, degrees), abs=1e-3)


def test_the_scale_of_depth_does_not_tilt_a_plane() -> None:
    truth = plane((0.3, -0.2, 0.9))
    assert normal_angles(1.5 * truth, truth, ALL, CAMERA) == pytest.approx(0, abs=1e-3)


def test_normals_are_summed_up_by_hand() -> None:
    """Half of the pixels are right, half 20 degrees off."""
    left, strip = np.arange(SHAPE[1]) < 20, np.abs(np.arange(SHAPE[1]) - 23.5) < 4  # 20..27 count for nothing
    pred = np.where(left, WALL, tilted(20))
    scores = detail_scores(pred, WALL, ALL & ~strip, CAMERA)
    assert [scores[f"normal{name}"] for name in ("Mean", "Median", "11.25", "22.5", "30")] == pytest.approx(
        [10, 10, 0.5, 1, 1], abs=1e-3
    )


def test_where_the_truth_jumps_it_has_no_normal() -> None:
    """The jump is predicted a pixel aside: all windows that see either jump are off."""
    assert normal_angles(steps(21), steps(20), ALL, CAMERA).max() == 0


def test_a_jump_where_the_truth_is_smooth_is_an_error() -> None:
    angles = normal_angles(steps(20), WALL, ALL, CAMERA)
    assert angles.max() > 30
    rows = SHAPE[0] - 2 * 3  # those with whole windows
    assert np.count_nonzero(angles > 1e-3) == rows * 6  # windows of 7 columns that see both 19 and 20


def test_windows_with_a_hole_or_beside_one_do_not_count() -> None:
    """32 - 6 rows of 48 - 6 windows; a hole takes those that see it or a neighbour of it, 9 x 9."""
    scored = ALL.copy()
    scored[16, 24] = False
    assert normal_angles(WALL, WALL, ALL, CAMERA).size == 26 * 42
    assert normal_angles(WALL, WALL, scored, CAMERA).size == 26 * 42 - 81


def test_without_camera_or_windows_normals_are_not_known() -> None:
    names = [name for name in DETAIL_METRICS if name.startswith("normal")]
    sparse = np.indices(SHAPE).sum(0) % 5 == 0
    for scores in (detail_scores(WALL, WALL, ALL), detail_scores(WALL, WALL, sparse, CAMERA)):
        assert len(names) == 6 and not scores.keys() & set(names)


def test_planes_have_the_normals_of_geometry() -> None:
    pred, truth = plane((0.3, -0.2, 0.9)), plane((-0.1, 0.2, 0.9))
    cosine = np.einsum("hwc,hwc->hw", normals(pred, CAMERA), normals(truth, CAMERA))
    angles = normal_angles(pred, truth, ALL, CAMERA)
    assert angles == pytest.approx(np.degrees(np.arccos(cosine))[3:-3, 3:-3].ravel(), abs=2e-3)


def reference_normal(z: Map, v: int, u: int) -> NDArray[np.float64]:
    """By numpy's least squares: 1 / z = normal . ray over the 7 x 7 pixels round (v, u)."""
    pixels = list(product(range(v - 3, v + 4), range(u - 3, u + 4)))
    rays = [((x - CAMERA.cx) / CAMERA.fx, (y - CAMERA.cy) / CAMERA.fy, 1) for y, x in pixels]
    return np.linalg.lstsq(np.array(rays), np.array([1 / float(z[pixel]) for pixel in pixels]), rcond=None)[0]


@pytest.mark.parametrize("seed", [0, 1])
def test_normals_agree_with_a_slow_reference(seed: int) -> None:
    pred, depth, scored = scene(seed)

    def jumps(v: int, u: int) -> bool:
        around = depth[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2]
        return bool(around.max() > 1.015 * depth[v, u] or depth[v, u] > 1.015 * around.min())

    def beside_a_hole(v: int, u: int) -> bool:
        return not scored[max(v - 1, 0) : v + 2, max(u - 1, 0) : u + 2].all()

    off = np.array([[jumps(v, u) or beside_a_hole(v, u) for u in range(SHAPE[1])] for v in range(SHAPE[0])])
    slow = []
    for v, u in product(range(3, SHAPE[0] - 3), range(3, SHAPE[1] - 3)):
        if not off[v - 3 : v + 4, u - 3 : u + 4].any():
            one, other = reference_normal(pred, v, u), reference_normal(depth, v, u)
            cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
            slow.append(math.degrees(math.acos(min(cosine, 1))))
    angles = normal_angles(pred, depth, scored, CAMERA)
    assert angles.size == len(slow) > 20
    assert angles.mean(dtype=np.float64) == pytest.approx(sum(slow) / len(slow), rel=1e-6)
    assert angles == pytest.approx(slow, rel=1e-5, abs=1e-4)


# ---- all of them

# The scene ends before 5 m, and may be too small for pairs of normals.
KNOWN = DETAIL_METRICS.keys() - {"AbsRelFar", "AbsRelBeyond"}


def test_identical_maps_are_perfect() -> None:
    _, depth, scored = scene(0)
    for name, score in detail_scores(depth, depth.copy(), scored, CAMERA).items():
        if name not in ("planeFlatness", "FOVerror", "scaleHeld", "shapeHeld"):  # which judge something else
            assert score == pytest.approx({"↓": 0, "↑": 1}[DETAIL_METRICS[name].arrow], abs=1e-5), name


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("value", [0, -1, 3, 1e6, np.nan, np.inf])
@pytest.mark.parametrize("seed", [0, 1])
def test_pixels_that_do_not_count_do_not_matter(value: float, seed: int) -> None:
    pred, depth, scored = scene(seed)
    before = detail_scores(pred, depth, scored, CAMERA)
    assert before.keys() | {"normalRelative"} == KNOWN
    pred[~scored] = value
    assert detail_scores(pred, depth, scored, CAMERA) == before
    depth[~scored] = value
    assert detail_scores(pred, depth, scored, CAMERA) == before


def test_a_sharper_prediction_is_better() -> None:
    """The same wall and step, exact or spread over six columns."""
    truth = steps(20)
    ramp = truth.copy()
    ramp[:, 17:23] = np.linspace(2, 4, 6)
    sharp, blurred = detail_scores(truth, truth, ALL, CAMERA), detail_scores(ramp, truth, ALL, CAMERA)
    for name in ("edgeP@0.25", "edgeF1@0.5", "edgeF1@1", "boundaryF1"):
        assert blurred[name] < sharp[name], name


def test_scores_are_plain_floats_under_the_names_of_the_registry() -> None:
    scores = detail_scores(*scene(1), CAMERA)
    assert scores.keys() | {"normalRelative"} == KNOWN
    assert all(type(score) is float for score in scores.values())


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_any_float_will_do(dtype: type) -> None:
    pred, depth, scored = scene(1)
    scores = detail_scores(pred.astype(dtype), depth.astype(dtype), scored, CAMERA)
    assert scores == pytest.approx(detail_scores(pred, depth, scored, CAMERA), rel=1e-5, abs=1e-5)
