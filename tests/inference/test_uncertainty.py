"""Terms and errors of a prediction, compared with values worked out by hand."""

import math

import numpy as np
import pytest

from hqmd_cli.config.view import ERROR_TERMS
from hqmd_cli.geometry.camera import ASSUMED_FOCAL_ERROR, find_intrinsics
from hqmd_cli.inference.uncertainty import FLAT_STD, NEAR_M, Uncertainty, box_mean, terms_of, uncertainty

SCALE, SHAPE = (ERROR_TERMS[name] for name in ("scale_error", "shape_error"))


def named(logs: np.ndarray) -> dict[str, np.ndarray]:
    terms = terms_of(logs.astype(np.float32))
    assert (len(terms.scale), len(terms.shape)) == (len(SCALE), len(SHAPE))
    return {f"scale {n}": t for n, t in zip(SCALE, terms.scale, strict=True)} | dict(
        zip(SHAPE, terms.shape, strict=True)
    )


def test_a_flat_wall_that_all_views_agree_on() -> None:
    terms = named(np.full((2, 30, 40), np.log(1.5)))
    for name in ("views", "relief", "far", "scale views"):
        np.testing.assert_allclose(terms[name], 0, atol=1e-6)
    assert terms["scale near"] == pytest.approx(math.log(NEAR_M / 1.5), abs=1e-6)
    assert terms["scale flat"] == pytest.approx(FLAT_STD, abs=1e-6) and (terms["constant"] == 1).all()


def test_views_that_differ_by_a_factor_doubt_the_scale_alone() -> None:
    terms = named(np.stack([np.full((30, 40), 1.0), np.full((30, 40), 1.2)]))
    assert terms["scale views"] == pytest.approx(0.1, abs=1e-6)
    np.testing.assert_allclose(terms["views"], 0, atol=1e-6)


def test_views_that_differ_in_one_place_doubt_the_shape_there() -> None:
    logs = np.zeros((2, 40, 40))
    logs[1, 5:15, 5:15] = 0.4
    views = named(logs)["views"]
    assert views[10, 10] > 5 * views[30, 30] and views[10, 10] == pytest.approx(0.2 - 0.2 / 16, abs=1e-3)


def test_one_view_has_no_spread() -> None:
    terms = named(np.random.default_rng(0).normal(size=(1, 30, 40)))
    assert terms["scale views"] == 0 and not terms["views"].any()


def test_a_step_has_relief_on_both_sides_and_a_far_half() -> None:
    step = np.zeros((1, 40, 40))
    step[..., 20:] = 1
    terms = named(step)
    assert terms["relief"][20, 19] == pytest.approx(math.sqrt(2 / 5 * 3 / 5), abs=1e-5)  # window of 5: 3 near, 2 far
    assert not terms["relief"][:, :16].any() and not terms["far"][:, :20].any()
    np.testing.assert_allclose(terms["far"][:, 20:], 0.5, atol=1e-6)


def test_places_in_the_picture() -> None:
    terms = named(np.zeros((1, 4, 6)))
    assert terms["top"][:, 0].tolist() == [0.75, 0.25, 0, 0]
    np.testing.assert_allclose(terms["side"][2], np.abs(np.arange(-5, 6, 2)) / 6, atol=1e-6)
    assert terms["rim"][0, 2] == pytest.approx(0.75**4) and terms["rim"][1, 0] == pytest.approx((5 / 6) ** 4)


def test_a_mean_over_a_window_stops_at_the_border() -> None:
    values = np.arange(20, dtype=np.float32).reshape(4, 5)
    mean = box_mean(values, 3)
    assert mean[0, 0] == values[:2, :2].mean() and mean[2, 2] == pytest.approx(values[1:4, 1:4].mean())


def test_errors_are_sums_of_terms() -> None:
    logs = np.random.default_rng(1).normal(0.5, 0.1, (2, 24, 32)).astype(np.float32)
    terms = terms_of(logs)
    scale, shape = (0.1, 1.0, 0.2, 0.3), (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
    both = uncertainty(logs, scale, shape)
    assert both.scale == pytest.approx(sum(c * t for c, t in zip(scale, terms.scale, strict=True)))
    expected = sum(c * t for c, t in zip(shape, terms.shape, strict=True))
    np.testing.assert_allclose(both.shape, expected, rtol=1e-5)
    assert both.at((48, 64)).shape == (48, 64)


def test_the_camera_and_a_measured_distance() -> None:
    shape = np.linspace(0.1, 0.4, 12, dtype=np.float32).reshape(3, 4)
    sure = Uncertainty(0.16, shape)
    assert sure.with_camera(find_intrinsics(3, 4, fx=5).metres_error).scale == 0.16
    assert sure.with_camera(find_intrinsics(3, 4).metres_error).scale == pytest.approx(
        math.hypot(0.16, ASSUMED_FOCAL_ERROR)
    )
    assert sure.measured_at(2, 1, (3, 4)).scale == pytest.approx(float(shape[1, 2]))
