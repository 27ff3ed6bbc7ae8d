"""Three spaces: what each forgives, what is clamped, and which a model's kind has."""

import math
import statistics

import numpy as np
import pytest

from hqmd_cli.evaluation.metrics.pixels import Depths, abs_rel, scale_and_shift
from hqmd_cli.evaluation.metrics.registry import METRICS, SPACES, MapPair, measure
from hqmd_cli.evaluation.metrics.spaces import fitted_in_disparity, in_spaces
from hqmd_cli.units import Kind

PRED = np.array([2.0, 2.0, 2.0, 10.0, 8.0])
DEPTH = np.array([1.0, 2.0, 4.0, 8.0, 5.0])


def by_name(given: Depths, depth_m: Depths, kind: Kind = "depth") -> dict[str, float]:
    """Figures of the three spaces, of maps of one row."""
    as_map, truth = np.atleast_2d(given), np.atleast_2d(depth_m)
    maps = MapPair(truth, truth, np.ones(truth.shape, bool), given=as_map, kind=kind)
    return measure(maps, {name: METRICS[name] for name in SPACES})


def drawn(seed: int, count: int = 301) -> tuple[Depths, Depths]:
    """A prediction about 20 % off and its truth in 0.5..10 m."""
    generator = np.random.default_rng(seed)
    depth = generator.uniform(0.5, 10, count)
    return depth * np.exp(0.2 * generator.standard_normal(count)), depth


def test_spaces_by_hand() -> None:
    """The medians are 2 and 4. Least squares: covariance 7.6, variance 12.16, so 0.625 d + 1."""
    assert by_name(PRED, DEPTH) == pytest.approx(
        {
            "AbsRelNative": (1 + 0 + 0.5 + 0.25 + 0.6) / 5,
            "AbsRelScaled": (3 + 1 + 0 + 1.5 + 2.2) / 5,
            "AbsRelFitted": (1.25 + 0.125 + 0.4375 + 0.09375 + 0.2) / 5,
            "delta1Native": 1 / 5,
            "delta1Scaled": 1 / 5,
            "delta1Fitted": 3 / 5,
        },
        abs=1e-12,
    )


@pytest.mark.parametrize("seed", [0, 1])
def test_they_agree_with_a_slow_reference(seed: int) -> None:
    pred, depth = (values.tolist() for values in drawn(seed))

    def slow(values: list[float]) -> float:
        return math.fsum(abs(d - g) / g for d, g in zip(values, depth, strict=True)) / len(depth)

    ratio = statistics.median(depth) / statistics.median(pred)
    law = statistics.linear_regression(pred, depth)
    inverse = statistics.linear_regression([1 / d for d in pred], [1 / g for g in depth])
    found = by_name(*drawn(seed))
    assert found["AbsRelNative"] == pytest.approx(slow(pred), abs=1e-9)
    assert found["AbsRelScaled"] == pytest.approx(slow([ratio * d for d in pred]), abs=1e-9)
    by_depth = [max(law.slope * d + law.intercept, 0.001) for d in pred]
    assert found["AbsRelFitted"] == pytest.approx(slow(by_depth), abs=1e-9)
    by_disparity = [1 / max(inverse.slope / d + inverse.intercept, 1 / max(depth)) for d in pred]
    of_disparity = by_name(1 / np.array(pred), np.array(depth), "disparity")
    assert of_disparity["AbsRelFitted"] == pytest.approx(slow(by_disparity), abs=1e-9)


def test_each_space_forgives_what_it_says() -> None:
    pred, depth = drawn(7)
    before, scaled, shifted = (by_name(values, depth) for values in (pred, 1.3 * pred, 1.3 * pred + 0.4))
    assert abs(scaled["AbsRelNative"] - before["AbsRelNative"]) > 0.05
    assert scaled["AbsRelScaled"] == pytest.approx(before["AbsRelScaled"], abs=1e-12)
    assert abs(shifted["AbsRelScaled"] - before["AbsRelScaled"]) > 0.005
    assert shifted["AbsRelFitted"] == pytest.approx(before["AbsRelFitted"], abs=1e-12)


@pytest.mark.parametrize(("kind", "turned"), [("disparity", lambda d: 3 / d + 0.2), ("relative", lambda d: 5 * d - 1)])
def test_maps_without_metres_have_one_space(kind: Kind, turned) -> None:
    _, depth = drawn(3)
    found = by_name(turned(depth), depth, kind)
    assert found["AbsRelFitted"] == pytest.approx(0, abs=1e-9) and found["delta1Fitted"] == 1
    assert all(math.isnan(found[name]) for name in SPACES if "Fitted" not in name)


def test_a_clamp_keeps_a_few_pixels_from_deciding() -> None:
    """Of 2,000 pixels two have a disparity that the fit puts just above 0: unclamped they are 4 km away."""
    depth = np.linspace(1, 4, 2000)
    disparity = 1 / depth
    disparity[-2:] = -0.0015
    scale, shift = scale_and_shift(disparity, 1 / depth)
    unclamped, clamped = 1 / (scale * disparity + shift), fitted_in_disparity(disparity, depth)
    assert unclamped.max() > 4000 and clamped.max() <= depth.max()
    assert abs_rel(unclamped, depth) > 1.1 and abs_rel(clamped, depth) < 0.002


def test_a_fit_in_depth_never_gives_depth_of_0() -> None:
    """Least squares puts the first pixel at -0.3 m."""
    pred, depth = np.array([1.0, 2.0, 3.0]), np.array([0.2, 0.2, 3.2])
    assert in_spaces(pred, depth, "depth").abs_rel_fitted == pytest.approx((0.995 + 5 + 0.5 / 3.2) / 3)
