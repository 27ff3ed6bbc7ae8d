"""Relative normals, planes, points, fields of view and stated errors: by hand, against slow references, invariances."""

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from hqmd_cli.data.sample import sample_from
from hqmd_cli.evaluation.metrics.field_of_view import fov_error, fov_of
from hqmd_cli.evaluation.metrics.normals import compare_normals
from hqmd_cli.evaluation.metrics.planes import plane_errors
from hqmd_cli.evaluation.metrics.point_cloud import MOST_POINTS, cloud_distances
from hqmd_cli.evaluation.metrics.relative_normals import DIRECTIONS, DISTANCES_PX, EVERY_PX, relative_normal_error
from hqmd_cli.evaluation.metrics.uncertainty import how_surely
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.scoring import apply_protocol
from hqmd_cli.geometry.camera import Intrinsics

Map = NDArray[np.floating]

CAMERA = Intrinsics(60.0, 50.0, 30.0, 22.5, "a test")
SHAPE = (64, 80)
ALL = np.ones(SHAPE, bool)
ROWS, COLUMNS = np.indices(SHAPE)
MIDDLE = 36
LOWER = ROWS >= MIDDLE
RAYS = np.stack([(COLUMNS - CAMERA.cx) / CAMERA.fx, (ROWS - CAMERA.cy) / CAMERA.fy, np.ones(SHAPE)], -1)


def plane(normal: tuple[float, float, float], at_m: float = 1.0) -> Map:
    """Depth of the points p with normal . p = at_m."""
    return at_m / (RAYS @ np.array(normal))


def about_x(degrees: float) -> tuple[float, float, float]:
    """The normal of a wall that faces the camera, turned about the horizontal axis."""
    return 0.0, math.sin(math.radians(degrees)), math.cos(math.radians(degrees))


def bumpy(seed: int) -> Map:
    """A slanted wall with smooth bumps of 2 %."""
    noise = np.random.default_rng(seed).standard_normal((6, 8))
    rows, columns = np.linspace(0, 5, SHAPE[0]), np.linspace(0, 7, SHAPE[1])
    along = np.stack([np.interp(columns, range(8), row) for row in noise])
    smooth = np.stack([np.interp(rows, range(6), column) for column in along.T], axis=1)
    return plane((0.2, -0.1, 0.9), 3) * np.exp(0.02 * smooth)


# ---- relative normals


def relative(pred: Map, truth: Map, scored: NDArray[np.bool_] = ALL) -> float:
    return relative_normal_error(compare_normals(pred, truth, scored, CAMERA))


def test_a_fold_that_is_missed_by_hand() -> None:
    """The truth folds by 30 degrees half way down, the prediction by none: all pairs across the fold are 30 off."""
    fold = np.where(LOWER, plane(about_x(-15), 2), plane(about_x(15), 2))
    flat = plane(about_x(0), 2)
    normals = compare_normals(flat, fold, ALL, CAMERA)
    known = normals.chosen & (abs(ROWS - MIDDLE + 0.5) > 4)
    across = total = 0
    for distance, (down, right) in product(DISTANCES_PX, DIRECTIONS):
        for v, u in product(range(0, SHAPE[0], EVERY_PX), range(0, SHAPE[1], EVERY_PX)):
            w, x = v + down * distance, u + right * distance
            if w < SHAPE[0] and 0 <= x < SHAPE[1] and known[v, u] and known[w, x]:
                total += 1
                across += (v < MIDDLE) != (w < MIDDLE)
    assert across > 20
    assert relative_normal_error(normals._replace(chosen=known)) == pytest.approx(30 * across / total, rel=1e-5)


def test_a_tilt_of_the_whole_is_no_error_and_bumps_are() -> None:
    truth, tilted = plane(about_x(5), 2), plane(about_x(25), 2)
    assert relative(tilted, truth) == pytest.approx(0, abs=1e-3)
    assert compare_normals(tilted, truth, ALL, CAMERA).angles_deg.mean() == pytest.approx(20, abs=1e-3)
    wavy = truth * (1 + 0.005 * np.sin(ROWS / 3))  # less than 1 % of depth
    assert relative(wavy, truth) > 2
    assert relative(1.3 * wavy, truth) == pytest.approx(relative(wavy, truth), rel=1e-5)


@pytest.mark.parametrize("seed", [0, 1])
def test_relative_normals_agree_with_a_slow_reference(seed: int) -> None:
    pred, truth = bumpy(seed), bumpy(seed + 10)
    scored = np.random.default_rng(seed).random(SHAPE) < 0.999
    chosen = compare_normals(pred, truth, scored, CAMERA).chosen

    def normal(z: Map, v: int, u: int) -> NDArray[np.float64]:
        window = np.s_[v - 3 : v + 4, u - 3 : u + 4]
        return np.linalg.lstsq(RAYS[window].reshape(-1, 3), 1 / z[window].ravel(), rcond=None)[0]

    def angle(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
        return math.degrees(math.acos(min(1.0, one @ other / np.linalg.norm(one) / np.linalg.norm(other))))

    slow = []
    for distance, (down, right) in product(DISTANCES_PX, DIRECTIONS):
        for v, u in product(range(0, SHAPE[0] - down * distance, EVERY_PX), range(0, SHAPE[1], EVERY_PX)):
            w, x = v + down * distance, u + right * distance
            if 0 <= x < SHAPE[1] and chosen[v, u] and chosen[w, x]:
                slow.append(
                    abs(angle(normal(pred, v, u), normal(pred, w, x)) - angle(normal(truth, v, u), normal(truth, w, x)))
                )
    assert len(slow) > 50
    assert relative(pred, truth, scored) == pytest.approx(sum(slow) / len(slow), rel=1e-6)


# ---- planes


PLANES = np.where(COLUMNS < 30, 1, 2).astype(np.uint8) * (ROWS < 40)


def test_planes_by_hand() -> None:
    """Two planes that are turned by 10 and 20 degrees; flat ones stay flat, whatever their scale."""
    truth = np.where(COLUMNS < 30, plane(about_x(0), 2), plane(about_x(20), 3))
    pred = 1.4 * np.where(COLUMNS < 30, plane(about_x(10), 2), plane(about_x(0), 3))
    assert plane_errors(pred, truth, ALL, PLANES, CAMERA) == pytest.approx((0, 15), abs=1e-6)


def test_a_rough_plane_by_hand() -> None:
    """Depth of 1 m that is 1 cm nearer and farther in turns deviates by 1 cm."""
    truth = np.ones(SHAPE)
    pred = truth + 0.01 * (-1.0) ** (ROWS + COLUMNS)
    found = plane_errors(pred, truth, ALL, np.ones(SHAPE, np.uint8), CAMERA)
    assert found.flatness_cm == pytest.approx(1, abs=1e-3) and found.orientation_deg == pytest.approx(0, abs=0.01)


@pytest.mark.parametrize("seed", [0, 1])
def test_planes_agree_with_a_slow_reference(seed: int) -> None:
    pred, truth = bumpy(seed), bumpy(seed + 10)
    scored = np.random.default_rng(seed).random(SHAPE) < 0.9
    flatness, angles = [], []
    for number in (1, 2):
        pixels = [pixel for pixel in np.ndindex(SHAPE) if scored[pixel] and PLANES[pixel] == number]
        scale = np.median([truth[p] for p in pixels]) / np.median([pred[p] for p in pixels])
        fits = []
        for z, factor in ((pred, scale), (truth, 1)):
            points = np.array([factor * z[p] * RAYS[p] for p in pixels])
            _, _, axes = np.linalg.svd(points - points.mean(axis=0), full_matrices=False)
            fits.append((np.std((points - points.mean(axis=0)) @ axes[2]), axes[2]))
        flatness.append(100 * fits[0][0])
        angles.append(math.degrees(math.acos(abs(fits[0][1] @ fits[1][1]))))
    found = plane_errors(pred, truth, scored, PLANES, CAMERA)
    assert found == pytest.approx((np.mean(flatness), np.mean(angles)), rel=1e-6)
    assert plane_errors(0.7 * pred, truth, scored, PLANES, CAMERA) == pytest.approx(found)


def test_small_planes_do_not_count() -> None:
    corner = ((ROWS < 8) & (COLUMNS < 8)).astype(np.uint8)  # 2 % of the picture
    assert np.isnan(plane_errors(bumpy(0), bumpy(1), ALL, corner, CAMERA)).all()


# ---- points


def test_points_by_hand() -> None:
    """A wall at 2 m, half of which is predicted at 2.2 m: those points are .2 m off, and the true ones as far."""
    pixel, wide = Intrinsics(1e9, 1e9, 0, 0, "a test"), np.full((2, 4), 2.0)  # all points on the axis
    pred = np.where(np.arange(4) < 2, 2.0, 2.2) * np.ones((2, 1))
    found = cloud_distances(pred, wide, np.ones((2, 4), bool), pixel)
    assert found.chamfer_m == pytest.approx((0.1 + 0) / 2, abs=1e-6)
    assert found.f_score(0.1) == pytest.approx(2 * 0.5 * 1 / 1.5) and found.f_score(0.25) == 1
    assert cloud_distances(pred + 5, wide, np.ones((2, 4), bool), pixel).f_score(0.25) == 0


@pytest.mark.parametrize("seed", [0, 1])
def test_points_agree_with_a_slow_reference(seed: int) -> None:
    pred, truth = 1.05 * bumpy(seed), bumpy(seed + 10)
    scored = np.random.default_rng(seed).random(SHAPE) < 0.3
    clouds = [z[scored][:, None] * RAYS[scored] for z in (pred, truth)]
    apart = np.linalg.norm(clouds[0][:, None] - clouds[1][None], axis=-1)
    found = cloud_distances(pred, truth, scored, CAMERA)
    assert found.from_pred == pytest.approx(apart.min(axis=1), abs=1e-6)
    assert found.from_truth == pytest.approx(apart.min(axis=0), abs=1e-6)
    assert found.chamfer_m == pytest.approx((apart.min(axis=1).mean() + apart.min(axis=0).mean()) / 2, abs=1e-6)
    precision, recall = (np.mean(apart.min(axis=axis) < 0.1) for axis in (1, 0))
    assert found.f_score(0.1) == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-6)


def test_a_large_map_is_thinned_evenly_and_an_empty_one_unknown() -> None:
    large = np.full((130, 130), 3.0)
    found = cloud_distances(large, large, np.ones(large.shape, bool), CAMERA)
    assert MOST_POINTS / 2 < found.from_pred.size <= MOST_POINTS and found.chamfer_m == 0
    sample = sample_from("a wall", np.zeros((130, 130, 3), np.uint8), large.astype(np.float32))
    for every, points in ((False, MOST_POINTS), (True, large.size)):
        protocol = Protocol(name="a test", ground_truth="filled", all_points=every)
        assert apply_protocol(large, sample, protocol, accept_flat=True).most_points == points
    assert cloud_distances(large, large, np.ones(large.shape, bool), CAMERA, large.size).from_pred.size == large.size
    empty = cloud_distances(large, large, np.zeros(large.shape, bool), CAMERA)
    assert math.isnan(empty.chamfer_m) and math.isnan(empty.f_score(0.1))


# ---- fields of view, and stated errors


def test_fields_of_view_by_hand() -> None:
    camera = Intrinsics(320.0, 320.0, 320, 240, "a test")
    assert fov_of(320, 640) == pytest.approx(90)
    assert fov_error(fov_of(320 * math.sqrt(3), 640), camera, 640) == pytest.approx(30)
    assert math.isnan(fov_error(None, camera, 640)) and math.isnan(fov_error(60, None, 640))


def test_stated_errors_by_hand() -> None:
    """Three of four pixels are right, one 20 % too far: the scale is right, and one interval is too short."""
    truth, scored = np.full((2, 10), 2.0), np.ones((2, 10), bool)
    off = np.zeros((2, 10))
    off[1, 5:] = 0.2
    pred = truth * np.exp(off)
    sure, unsure = (np.full((2, 10), size, np.float32) for size in (0.1, 0.2))
    assert how_surely(pred, truth, scored, sure, 0.1)[1:] == (1, 0.75)
    assert how_surely(1.3 * pred, truth, scored, unsure, 0.1)[1:] == (0, 1)
    knows = np.where(off > 0, 0.2, 0.01).astype(np.float32)
    best, worst = (how_surely(pred, truth, scored, stated, 0.1).ause for stated in (knows, 0.3 - knows))
    assert best == 0 and worst > 1
    assert how_surely(3 * pred, truth, scored, knows, 0.1).ause == pytest.approx(best, abs=1e-9)
