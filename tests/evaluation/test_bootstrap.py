"""Bootstrap: right where the answer is known, equal to a slow loop, paired; Holm's correction by hand."""

import math
import time
from dataclasses import replace

import numpy as np
import pytest

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.aggregation import Average, average, resampled_figures
from hqmd_cli.evaluation.bootstrap import RESAMPLES, SEED, holm, percentile_interval, times_drawn, two_sided_p
from hqmd_cli.evaluation.metrics.registry import MAIN_METRICS
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.significance import PAIRED, comparisons_of


def interval(values: np.ndarray) -> tuple[float, float]:
    """Of the mean of (n,) values."""
    (drawn,) = resampled_figures([Average(values, np.ones(len(values)))])
    return percentile_interval(drawn)


def result(per_picture: dict[str, np.ndarray], protocol: str = "hqmd", pixels: np.ndarray | None = None) -> Result:
    """Metrics that are not given are 0.5 for all pictures."""
    n = len(next(iter(per_picture.values())))
    values = {name: per_picture.get(name, np.full(n, 0.5)) for name in MAIN_METRICS}
    pixels = np.full(n, 100) if pixels is None else pixels
    return Result(PROTOCOLS[protocol], "nyu.mat, test", "filled", [f"{i:04d}" for i in range(n)], values, pixels)


def test_the_interval_of_a_mean_is_that_of_theory_for_many_values():
    """For n values of deviation s it is mean +- 1.96 s / sqrt(n)."""
    values = np.random.default_rng(3).normal(5, 2, 500)
    half = 1.96 * values.std() / np.sqrt(500)
    assert interval(values) == pytest.approx((values.mean() - half, values.mean() + half), abs=0.02)


def test_it_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(5)
    intervals = [interval(rng.exponential(1, 60)) for _ in range(200)]
    covered = np.mean([low <= 1 <= high for low, high in intervals])
    assert 0.88 <= covered <= 0.98  # a skewed truth, where the percentile interval is known to fall a little short


def test_equal_values_leave_no_doubt_and_unknown_ones_no_interval():
    assert interval(np.full(20, 0.3)) == pytest.approx((0.3, 0.3))
    assert np.isnan(interval(np.full(20, np.nan))).all()


def test_the_same_data_gives_the_same_interval_and_scales_with_it():
    values = np.random.default_rng(1).random(40)
    low, high = interval(values)
    assert interval(values) == (low, high)
    assert interval(10 * values) == pytest.approx((10 * low, 10 * high))


def drawn_pictures(n: int) -> np.ndarray:
    """(RESAMPLES, n) pictures, drawn in the plainest way."""
    return np.random.default_rng(SEED).integers(n, size=(RESAMPLES, n))


def test_pictures_are_drawn_with_replacement():
    drawn = times_drawn(7)
    assert drawn.shape == (RESAMPLES, 7) and (drawn.sum(axis=1) == 7).all()
    assert drawn.tolist() == [np.bincount(row, minlength=7).tolist() for row in drawn_pictures(7)]


@pytest.mark.parametrize(("metric", "power"), [("AbsRel", 1), ("RMSE", 2)])
def test_resampled_figures_are_those_of_a_slow_loop(metric, power):
    rng = np.random.default_rng(2)
    values, pixels = rng.random(9), rng.integers(1, 100, 9)
    means, pooled = resampled_figures([average(metric, values, pixels, how) for how in ("mean", "pooled")])
    for i, pictures in enumerate(drawn_pictures(9)[:200]):
        assert means[i] == pytest.approx(np.mean(values[pictures]))
        of_pixels = np.repeat(values[pictures], pixels[pictures])
        assert pooled[i] == pytest.approx(np.mean(of_pixels**power) ** (1 / power))


def test_unknown_pictures_have_no_say():
    values = np.array([0.2, np.nan, 0.6, np.nan])
    known = average("edgeF1", values, np.array([1, 2, 3, 4]), "pooled")  # which has no pooled form
    assert known.figure == pytest.approx(0.4)
    (drawn,) = resampled_figures([known])
    for figure, pictures in zip(drawn[:200], drawn_pictures(4)[:200], strict=True):
        left = values[pictures][~np.isnan(values[pictures])]
        assert figure == pytest.approx(left.mean()) if left.size else np.isnan(figure)


def test_a_mean_over_pictures_is_exactly_numpys():
    values = np.random.default_rng(4).random(654)
    assert average("RMSE", values, np.arange(654), "mean").figure == values.mean()


@pytest.mark.parametrize("protocol", ["hqmd", "fcrn"])
def test_a_comparison_is_that_of_a_slow_loop(protocol):
    rng = np.random.default_rng(6)
    first, second = rng.normal(0.50, 0.1, 12), rng.normal(0.54, 0.1, 12)
    pixels = rng.integers(50, 100, 12)
    results = {"a": result({"RMSE": first}, protocol, pixels), "b": result({"RMSE": second}, protocol, pixels)}

    def rmse(values: np.ndarray, pictures: np.ndarray) -> float:
        if protocol == "hqmd":
            return values[pictures].mean()
        return np.sqrt(np.average(values[pictures] ** 2, weights=pixels[pictures]))

    differences = np.array([rmse(first, pictures) - rmse(second, pictures) for pictures in drawn_pictures(12)])
    (comparison,) = (found for found in comparisons_of(results) if found.metric == "RMSE")
    everyone = np.arange(12)
    assert comparison.difference == pytest.approx(rmse(first, everyone) - rmse(second, everyone))
    assert (comparison.low, comparison.high) == pytest.approx(tuple(np.quantile(differences, [0.025, 0.975])))
    beyond = min((differences <= 0).sum(), (differences >= 0).sum())
    assert comparison.p == comparison.p_holm == pytest.approx(2 * (beyond + 1) / (RESAMPLES + 1))
    assert (comparison.won, comparison.lost, comparison.n) == (np.mean(first < second), np.mean(first > second), 12)


def test_pairing_sees_what_single_intervals_do_not():
    """Pictures differ much, the models little, but always in one direction."""
    hard = np.random.default_rng(8).uniform(0.1, 1, 50)
    results = {"a": result({"AbsRel": hard}), "b": result({"AbsRel": hard + 0.01})}
    assert results["a"].intervals["AbsRel"][1] > results["b"].intervals["AbsRel"][0]
    (comparison,) = (found for found in comparisons_of(results) if found.metric == "AbsRel")
    assert (comparison.won, comparison.p) == (1, pytest.approx(2 / (RESAMPLES + 1)))
    assert (comparison.low, comparison.high) == pytest.approx((-0.01, -0.01))


def test_who_wins_goes_by_the_metrics_own_direction_and_equals_are_neither():
    better = {"RMSE": np.array([0.4, 0.5]), "delta1": np.array([0.9, 0.8])}
    worse = {"RMSE": np.array([0.6, 0.5]), "delta1": np.array([0.7, 0.8])}
    comparisons = {
        comparison.metric: comparison
        for comparison in comparisons_of({"better": result(better), "worse": result(worse)})
    }
    assert {metric: (comparison.won, comparison.lost) for metric, comparison in comparisons.items()} == {
        "RMSE": (0.5, 0.0),
        "AbsRel": (0.0, 0.0),
        "delta1": (0.5, 0.0),
        "edgeF1": (0.0, 0.0),
    }
    assert comparisons["AbsRel"].p == 1


def test_a_picture_that_is_unknown_for_one_is_left_out_for_all():
    first, second = np.array([0.1, 0.2, np.nan, 0.9]), np.array([0.3, 0.3, 0.3, np.nan])
    comparisons = comparisons_of({"a": result({"edgeF1": first}), "b": result({"edgeF1": second})})
    (comparison,) = (found for found in comparisons if found.metric == "edgeF1")
    assert (comparison.n, comparison.difference) == (2, pytest.approx(-0.15))


def test_models_under_different_protocols_are_not_compared():
    values = {"RMSE": np.array([0.4, 0.5])}
    with pytest.raises(HqmdError, match="same protocol"):
        comparisons_of({"a": result(values), "b": result(values, "fcrn")})


def test_ten_models_on_654_pictures_take_seconds():
    rng = np.random.default_rng(9)
    results = {f"m{i}": result({metric: rng.random(654) for metric in PAIRED}) for i in range(10)}
    began = time.process_time()  # of this process: the machine may be busy with others
    comparisons = comparisons_of(results)
    assert len(comparisons) == 45 * len(PAIRED)
    assert all(comparison.p <= comparison.p_holm for comparison in comparisons)
    assert time.process_time() - began < 10


def test_p_values_by_hand():
    draws = np.concatenate([np.full(3, -1.0), np.full(97, 1.0), np.full(5, np.nan)])  # NaN: not known
    assert two_sided_p(draws) == two_sided_p(-draws) == pytest.approx(2 * (3 + 1) / 101)
    assert two_sided_p(np.zeros(10)) == 1


def test_holm_by_hand():
    """Of four: .01 x 4, .02 x 3, .03 x 2 raised to the .06 before it, .04 x 1 likewise; in the order given."""
    assert holm([0.03, 0.01, 0.04, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert holm([0.5, 0.4]) == pytest.approx([0.8, 0.8])
    assert holm([0.9, 0.8]) == [1, 1]
    assert holm([0.2]) == [0.2] and holm([]) == []


# ---- scenes


def test_whole_scenes_are_drawn_as_in_a_slow_loop():
    rng = np.random.default_rng(12)
    values, scenes = rng.random(9), ["b", "a", "a", "c", "c", "c", "b", "d", "a"]
    (drawn,) = resampled_figures([Average(values, np.ones(9))], scenes)
    pictures_of = {scene: [i for i in range(9) if scenes[i] == scene] for scene in "abcd"}
    for figure, chosen in zip(drawn[:200], drawn_pictures(4)[:200], strict=False):
        pictures = [i for place in chosen for i in pictures_of["abcd"[place]]]
        assert figure == pytest.approx(values[pictures].mean())


def with_scenes(values: dict[str, np.ndarray], per_scene: int) -> Result:
    plain = result(values)
    return replace(plain, scenes=tuple(str(i // per_scene) for i in range(len(plain.names))))


def test_pictures_that_depend_on_their_scene_widen_the_interval():
    """Ten equal pictures of each of twelve scenes: of 120 pictures, only twelve say something."""
    values = np.repeat(np.random.default_rng(3).normal(0.5, 0.1, 12), 10)
    both = with_scenes({"RMSE": values}, 10)
    (low, high), (scene_low, scene_high) = both.intervals["RMSE"], both.scene_intervals["RMSE"]
    assert (scene_high - scene_low) / (high - low) == pytest.approx(math.sqrt(10), rel=0.1)
    assert both.shown_intervals["RMSE"] == (scene_low, scene_high) and both.wider_by_scene == {"RMSE"}
    plain = both.to_dict()
    assert (plain["scenes"], plain["intervals"]["RMSE"]) == (12, [low, high])
    assert plain["intervals_over_scenes"]["RMSE"] == [scene_low, scene_high]
    assert result({"RMSE": values}).to_dict()["intervals_over_scenes"] is None


def test_scenes_decide_where_pictures_say_too_much():
    """The first model is better in each picture of three scenes of four: for pictures a proof, for scenes no such."""
    gain = np.repeat([0.02, 0.02, 0.02, -0.02], 15)
    hard = np.random.default_rng(8).uniform(0.1, 1, 60)
    results = {"a": with_scenes({"AbsRel": hard}, 15), "b": with_scenes({"AbsRel": hard + gain}, 15)}
    (by_scene,) = (found for found in comparisons_of(results) if found.metric == "AbsRel")
    pictures = {name: replace(each, scenes=()) for name, each in results.items()}
    (by_picture,) = (found for found in comparisons_of(pictures) if found.metric == "AbsRel")
    assert by_picture.over == "pictures" and by_picture.p < 0.01
    assert by_scene.over == "scenes" and by_scene.p > 0.2
