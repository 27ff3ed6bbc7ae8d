"""The metrics of the paper's section 4.2 against numbers worked by hand and a slow reference."""

import math
import statistics
from collections.abc import Callable
from typing import get_args

import numpy as np
import pytest

from hqmd_cli.evaluation.metrics.boundaries import EdgeScores, edge_scores
from hqmd_cli.evaluation.metrics.pixels import Depths
from hqmd_cli.evaluation.metrics.registry import (
    DETAIL_METRICS,
    MAIN_METRICS,
    METRICS,
    Arrow,
    MapPair,
    Unit,
)

PIXELS = {name: metric for name, metric in METRICS.items() if metric.of == "pixels"}

PRED = np.array([2.0, 2.0, 2.0, 10.0, 8.0])
DEPTH = np.array([1.0, 2.0, 4.0, 8.0, 5.0])  # d/g = 2, 1, 1/2, 1.25, 1.6

BY_HAND = {
    "AbsRel": (1 + 0 + 0.5 + 0.25 + 0.6) / 5,
    "log10": (math.log10(2) + 0 + math.log10(2) + math.log10(1.25) + math.log10(1.6)) / 5,
    "RMSE": math.sqrt((1 + 0 + 4 + 4 + 9) / 5),
    "RMSElog": math.sqrt((2 * math.log(2) ** 2 + 0 + math.log(1.25) ** 2 + math.log(1.6) ** 2) / 5),
    "delta1": 1 / 5,  # 1.25 is not below 1.25
    "delta2": 2 / 5,  # below 1.5625
    "delta3": 3 / 5,  # below 1.953125
    "bias": 1.25,  # the middle of 1/2, 1, 1.25, 1.6, 2
    "SqRel": (1 / 1 + 0 + 4 / 4 + 4 / 8 + 9 / 5) / 5,
    # The logarithms are ln 2, 0, -ln 2, ln 1.25 and ln 1.6; the last two together are ln 2, so the mean is ln 2 / 5.
    "SILog": 100
    * math.sqrt((2 * math.log(2) ** 2 + math.log(1.25) ** 2 + math.log(1.6) ** 2) / 5 - (math.log(2) / 5) ** 2),
    "delta@1.05": 1 / 5,
    "delta@1.1": 1 / 5,
    "AbsRelNear": 1.0,  # of the truth of 1 m alone
    "AbsRelMiddle": (0 + 0.5) / 2,  # from 2 m, which counts, to 5 m, which does not
    "AbsRelFar": (0.25 + 0.6) / 2,
    "AbsRelBeyond": math.nan,
}


Slow = Callable[[list[float], list[float]], float]


def reference_within(limit: float) -> Slow:
    def share(pred: list[float], depth: list[float]) -> float:
        return sum(max(d / g, g / d) < limit for d, g in zip(pred, depth, strict=True)) / len(depth)

    return share


def reference_between(near_m: float, far_m: float) -> Slow:
    def abs_rel(pred: list[float], depth: list[float]) -> float:
        errors = [abs(d - g) / g for d, g in zip(pred, depth, strict=True) if near_m <= g < far_m]
        return math.fsum(errors) / len(errors) if errors else math.nan

    return abs_rel


def reference_mean(error: Callable[[float, float], float]) -> Callable[[list[float], list[float]], float]:
    def mean(pred: list[float], depth: list[float]) -> float:
        return math.fsum(error(d, g) for d, g in zip(pred, depth, strict=True)) / len(depth)

    return mean


REFERENCE = {
    "AbsRel": reference_mean(lambda d, g: abs(d - g) / g),
    "log10": reference_mean(lambda d, g: abs(math.log10(d) - math.log10(g))),
    "RMSE": lambda pred, depth: math.sqrt(reference_mean(lambda d, g: (d - g) ** 2)(pred, depth)),
    "RMSElog": lambda pred, depth: math.sqrt(
        reference_mean(lambda d, g: (math.log(d) - math.log(g)) ** 2)(pred, depth)
    ),
    "delta1": reference_within(1.25),
    "delta2": reference_within(1.25**2),
    "delta3": reference_within(1.25**3),
    "bias": lambda pred, depth: statistics.median(d / g for d, g in zip(pred, depth, strict=True)),
    "SqRel": reference_mean(lambda d, g: (d - g) ** 2 / g),
    "SILog": lambda pred, depth: (
        100 * statistics.pstdev(math.log(d) - math.log(g) for d, g in zip(pred, depth, strict=True))
    ),
    "delta@1.05": reference_within(1.05),
    "delta@1.1": reference_within(1.1),
}
REFERENCE |= {
    "AbsRelNear": reference_between(0, 2),
    "AbsRelMiddle": reference_between(2, 5),
    "AbsRelFar": reference_between(5, 20),
    "AbsRelBeyond": reference_between(20, math.inf),
}
BY_TRUE_DEPTH = {"AbsRelNear", "AbsRelMiddle", "AbsRelFar", "AbsRelBeyond"}


def random_pair(seed: int, count: int = 401) -> tuple[Depths, Depths]:
    """A prediction about 30 % off and its truth in 0.5..10 m."""
    generator = np.random.default_rng(seed)
    depth = generator.uniform(0.5, 10, count)
    return depth * np.exp(0.3 * generator.standard_normal(count)), depth


def test_every_metric_is_tested() -> None:
    assert list(PIXELS) == list(BY_HAND) == list(REFERENCE)


@pytest.mark.parametrize("name", PIXELS)
def test_worked_by_hand(name: str) -> None:
    assert PIXELS[name].compute(PRED, DEPTH) == pytest.approx(BY_HAND[name], abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", PIXELS)
@pytest.mark.parametrize("count", [1, 2, 400, 401])  # an even count has two middle values
def test_agrees_with_a_slow_reference(name: str, count: int) -> None:
    pred, depth = random_pair(seed=count, count=count)
    slow = REFERENCE[name](pred.tolist(), depth.tolist())
    assert PIXELS[name].compute(pred, depth) == pytest.approx(slow, abs=1e-9, nan_ok=True)


@pytest.mark.parametrize("name", PIXELS)
def test_perfect_prediction(name: str) -> None:
    _, depth = random_pair(seed=0)
    depth[:9] = 30
    perfect = {"↓": 0.0, "↑": 1.0, "→1": 1.0}[PIXELS[name].arrow]
    assert PIXELS[name].compute(depth.copy(), depth) == pytest.approx(perfect, abs=1e-12)


@pytest.mark.parametrize("name", PIXELS)
def test_result_is_a_plain_float(name: str) -> None:
    assert type(PIXELS[name].compute(PRED.astype(np.float32), DEPTH.astype(np.float32))) is float


@pytest.mark.parametrize("name", sorted(PIXELS.keys() - BY_TRUE_DEPTH))
def test_common_scale(name: str) -> None:
    """What is in metres grows with them; 4 is a power of two, so the ratios stay exact."""
    pred, depth = random_pair(seed=1)
    before, after = PIXELS[name].compute(pred, depth), PIXELS[name].compute(4 * pred, 4 * depth)
    assert after == pytest.approx(4 * before if PIXELS[name].unit == "m" else before, abs=1e-12)


@pytest.mark.parametrize("scale", [0.5, 1.3])
def test_silog_forgives_a_common_scale(scale: float) -> None:
    pred, depth = random_pair(seed=6)
    silog = PIXELS["SILog"].compute
    assert silog(scale * pred, depth) == pytest.approx(silog(pred, depth), abs=1e-9)
    assert silog(scale * depth, depth) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("name", PIXELS)
def test_order_of_pixels_does_not_matter(name: str) -> None:
    pred, depth = random_pair(seed=2)
    forwards = PIXELS[name].compute(pred, depth)
    assert PIXELS[name].compute(pred[::-1], depth[::-1]) == pytest.approx(forwards, abs=1e-12, nan_ok=True)


@pytest.mark.parametrize("name", ["log10", "RMSE", "RMSElog", "delta1", "delta2", "delta3", "SILog"])
def test_prediction_and_truth_may_change_places(name: str) -> None:
    pred, depth = random_pair(seed=3)
    assert PIXELS[name].compute(depth, pred) == pytest.approx(PIXELS[name].compute(pred, depth), abs=1e-12)


def test_abs_rel_divides_by_the_truth() -> None:
    pred, depth = np.array([1.0]), np.array([4.0])
    assert MAIN_METRICS["AbsRel"].compute(pred, depth) == 0.75
    assert MAIN_METRICS["AbsRel"].compute(depth, pred) == 3


@pytest.mark.parametrize("scale", [0.5, 1.0, 1.3])
def test_bias_is_the_scale_of_a_scaled_truth(scale: float) -> None:
    _, depth = random_pair(seed=4)
    assert MAIN_METRICS["bias"].compute(scale * depth, depth) == pytest.approx(scale, abs=1e-12)


@pytest.mark.parametrize(("ratio", "passed"), [(1.249, "111"), (1.25, "011"), (1.5625, "001"), (1.953125, "000")])
@pytest.mark.parametrize("too_near", [False, True])
def test_delta_thresholds_are_exclusive_both_ways(ratio: float, passed: str, too_near: bool) -> None:
    pair = np.array([ratio * 2]), np.array([2.0])
    pred, depth = reversed(pair) if too_near else pair
    assert "".join(f"{MAIN_METRICS[f'delta{power}'].compute(pred, depth):.0f}" for power in (1, 2, 3)) == passed


@pytest.mark.parametrize("name", sorted(PIXELS.keys() - {"SILog"}))
def test_a_better_prediction_is_less_bad(name: str) -> None:
    _, depth = random_pair(seed=5)
    depth[:9] = 30
    worse, better = (PIXELS[name].badness(PIXELS[name].compute(s * depth, depth)) for s in (2.1, 1.001))
    assert better < worse
    too_near = PIXELS[name].badness(PIXELS[name].compute(0.45 * depth, depth))
    assert better < too_near


# ---- edges ----

ALL = np.ones((6, 8), bool)


def edge_f1(pred_m: Depths, depth_m: Depths, scored: np.ndarray, threshold_m: float) -> float:
    return edge_scores(pred_m, depth_m, scored, threshold_m)[0].f1


def step(column: int, height_m: float = 1.0) -> np.ndarray:
    """A wall at 2 m, `height_m` farther from `column` on, (6, 8)."""
    return np.where(np.arange(8) < column, 2.0, 2.0 + height_m) * np.ones((6, 1))


def test_edges_in_the_right_place_score_1_and_elsewhere_0() -> None:
    assert edge_f1(step(4), step(4), ALL, 0.25) == 1
    assert edge_f1(step(2), step(6), ALL, 0.25) == 0  # columns 1, 2 against 5, 6


def test_edge_f1_by_hand() -> None:
    """A step at column 4 makes edges of columns 3 and 4, one at 5 of columns 4 and 5: one of two is hit, F1 = 1/2."""
    assert edge_f1(step(4), step(5), ALL, 0.25) == pytest.approx(0.5)


@pytest.mark.parametrize(("height_m", "expected"), [(0.06, 0.0), (0.0626, 1.0)])
def test_the_threshold_is_of_the_unnormalised_sobel(height_m: float, expected: float) -> None:
    """A step of h metres has a Sobel gradient of 4 h: 0.25 lies at h = 0.0625."""
    assert edge_f1(step(4, height_m), step(4), ALL, 0.25) == expected


def test_no_edges_anywhere_is_right_and_invented_edges_are_wrong() -> None:
    flat = np.full((6, 8), 2.0)
    assert edge_f1(flat, flat, ALL, 0.25) == 1
    assert edge_f1(step(4), flat, ALL, 0.25) == edge_f1(flat, step(4), ALL, 0.25) == 0


def test_a_stencil_that_touches_a_hole_has_no_say() -> None:
    truth, holes = step(4), ALL.copy()
    truth[:, 6], holes[:, 6] = 0, False  # an edge of 3 m that is none
    assert edge_f1(step(4), truth, holes, 0.25) == 1


def test_no_stencil_left_is_not_a_perfect_score() -> None:
    sparse = np.zeros((6, 8), bool)
    sparse[::3, ::3] = True
    assert np.isnan(edge_f1(step(4), step(4), sparse, 0.25))


def test_precision_and_recall_by_hand() -> None:
    """Steps at columns 2 and 6 are edges of columns 1, 2, 5, 6; the truth has only the second."""
    two = step(2) + step(6)
    assert edge_scores(two, step(6), ALL, 0.25) == [EdgeScores(precision=1 / 2, recall=1, f1=pytest.approx(2 / 3))]
    assert edge_scores(step(6), two, ALL, 0.25) == [EdgeScores(precision=1, recall=1 / 2, f1=pytest.approx(2 / 3))]


def test_each_threshold_has_its_edges() -> None:
    """A step of h has a gradient of 4 h: 0.1 m is an edge above 0.25 only, 0.2 m above 0.5 too, neither above 1."""
    scores = edge_scores(step(4, 0.1), step(4, 0.2), ALL, 0.25, 0.5, 1)
    assert scores == [EdgeScores(1, 1, 1), EdgeScores(0, 0, 0), EdgeScores(1, 1, 1)]


def test_edges_of_one_map_only_score_0_in_all() -> None:
    flat = np.full((6, 8), 2.0)
    assert edge_scores(flat, step(4), ALL, 0.25) == edge_scores(step(4), flat, ALL, 0.25) == [EdgeScores(0, 0, 0)]


def reference_edges(z: np.ndarray, scored: np.ndarray, threshold_m: float) -> set[tuple[int, int]]:
    """Pixels whose Sobel gradient is longer, one by one."""
    edges, weights = set(), ((-1, 1), (0, 2), (1, 1))
    for v in range(1, z.shape[0] - 1):
        for u in range(1, z.shape[1] - 1):
            if all(scored[v + dv, u + du] for dv in (-1, 0, 1) for du in (-1, 0, 1)):
                across = sum(weight * (float(z[v + d, u + 1]) - float(z[v + d, u - 1])) for d, weight in weights)
                down = sum(weight * (float(z[v + 1, u + d]) - float(z[v - 1, u + d])) for d, weight in weights)
                if math.hypot(across, down) > threshold_m:
                    edges.add((v, u))
    return edges


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_edge_scores_agree_with_a_slow_reference(seed: int) -> None:
    """Whole millimetres, as files have them, so that gradients of just the threshold occur."""
    generator = np.random.default_rng(seed)
    depth = (generator.integers(2000, 2120, (30, 40)) / 1000).astype(np.float32)
    pred = (depth + generator.integers(-20, 20, depth.shape) / 1000).astype(np.float32)
    scored = generator.random(depth.shape) < 0.97
    thresholds = (0.1, 0.125, 0.25)
    for threshold_m, scores in zip(thresholds, edge_scores(pred, depth, scored, *thresholds), strict=True):
        found, true = (reference_edges(z, scored, threshold_m) for z in (pred, depth))
        hits = len(found & true)
        assert 0 < hits < min(len(found), len(true))  # else it would say little
        precision, recall = hits / len(found), hits / len(true)
        expected = (precision, recall, 2 * precision * recall / (precision + recall))
        assert scores == pytest.approx(expected, abs=1e-12)
        assert edge_f1(pred, depth, scored, threshold_m) == scores.f1


def test_edge_f1_is_a_column_of_the_main_table() -> None:
    assert list(MAIN_METRICS) == [*(name for name in PIXELS if name in MAIN_METRICS), "edgeF1"]
    for column in (4, 5):
        maps = MapPair(step(4), step(column), ALL)
        assert METRICS["edgeF1"].compute(maps) == edge_f1(step(4), step(column), ALL, 0.25)


def test_every_metric_is_registered_once_and_explains_itself() -> None:
    assert not MAIN_METRICS.keys() & DETAIL_METRICS.keys()
    for metric in METRICS.values():
        assert metric.arrow in get_args(Arrow) and metric.unit in get_args(Unit)
        assert metric.formula and metric.source
