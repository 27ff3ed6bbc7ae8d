"""The error over true depth: sums a bin, curves with intervals, and what is drawn of them."""

import numpy as np
import pytest

from hqmd_cli.evaluation.error_by_depth import BINS, EDGES_M, FEWEST_PICTURES, curve_of, sums_by_depth
from hqmd_cli.reporting.html.chart import charts, round_steps


def test_sums_by_depth_by_hand() -> None:
    sums = sums_by_depth(np.array([1.1, 1.8, 3.0, 0.02, 5000.0]), np.array([1.0, 2.0, 2.0, 0.01, 4000.0]))
    at = {place: sums[place] for place in np.flatnonzero(sums[:, 0])}
    one, two = np.searchsorted(EDGES_M, [1.0001, 2.0001]) - 1
    assert sums.shape == (BINS, 3) and set(at) == {0, one, two, BINS - 1}
    assert at[one] == pytest.approx([1, 0.1, 0.1])
    assert at[two] == pytest.approx([2, 0.6, 0.4])
    assert at[0] == pytest.approx([1, 1, 1]) and at[BINS - 1] == pytest.approx([1, 0.25, 0.25])


def test_a_curve_is_the_mean_over_all_pixels_of_a_bin() -> None:
    rng = np.random.default_rng(1)
    truths = rng.uniform(1, 6, (9, 500))
    preds = truths * rng.uniform(0.8, 1.1, truths.shape)
    curve = curve_of(np.stack([sums_by_depth(*each) for each in zip(preds, truths, strict=True)]))
    assert curve.pixels.sum() == truths.size and curve.left_out == 0
    for i, (near, far) in enumerate(zip(curve.edges_m[:-1], curve.edges_m[1:], strict=True)):
        inside = (truths >= near) & (truths < far)
        errors = (preds[inside] - truths[inside]) / truths[inside]
        assert curve.pixels[i] == inside.sum() and curve.pictures[i] == inside.any(axis=1).sum()
        assert curve.abs_rel[i, 0] == pytest.approx(np.abs(errors).mean())
        assert curve.signed[i, 0] == pytest.approx(errors.mean())
        for figure, low, high in (curve.abs_rel[i], curve.signed[i]):
            assert low < figure < high


def test_bins_that_few_pictures_have_are_left_out_and_counted() -> None:
    truths = np.full((FEWEST_PICTURES + 3, 10), 2.0)
    truths[: FEWEST_PICTURES - 1, 0] = 8.0
    curve = curve_of(np.stack([sums_by_depth(1.1 * truth, truth) for truth in truths]))
    assert curve.edges_m[0] <= 2 < curve.edges_m[-1] < 8 and len(curve.pixels) == 1
    assert curve.left_out == FEWEST_PICTURES - 1
    truths[:, 1] = 16.0  # beyond, so that the bin of the few lies between
    between = curve_of(np.stack([sums_by_depth(1.1 * truth, truth) for truth in truths]))
    assert between.left_out == FEWEST_PICTURES - 1 and between.pixels.sum() == truths.size
    assert np.count_nonzero(~np.isnan(between.abs_rel[:, 0])) == 2
    few = curve_of(np.stack([sums_by_depth(1.1 * truth, truth) for truth in truths[:2]]))
    assert few.left_out == 0 and few.pixels[-1] == 2 and few.pictures[-1] == 2


def test_a_curve_is_drawn_with_gaps_where_nothing_is_known() -> None:
    truths = np.array([[1.0, 1.5, 5.0]] * 6)
    curve = curve_of(np.stack([sums_by_depth(1.1 * truth, truth) for truth in truths]))
    relative, signed = charts({"a": curve})
    (line,) = relative.lines
    assert len(line.dots) == 3 and line.path.count("M") == 3 and "nan" not in line.path + line.band
    assert [tick.label for tick in relative.x_ticks] == ["1", "2", "3", "5"]
    assert len(relative.bars) == len(curve.pixels) and signed.title != relative.title


def test_charts_of_bins_that_no_picture_shares() -> None:
    truths = [1.0, 3.0, 9.0]
    curve = curve_of(np.stack([sums_by_depth(np.array([z]), np.array([z])) for z in truths]))
    assert charts({"a": curve}) == [] and curve.left_out == 3


@pytest.mark.parametrize(
    ("low", "high", "steps"),
    [
        (0, 0.87, [0, 0.25, 0.5, 0.75, 1]),
        (-0.4, 0.6, [-0.5, -0.25, 0, 0.25, 0.5, 0.75]),
        (0, 4000, [0, 1000, 2000, 3000, 4000]),
    ],
)
def test_axes_end_at_round_numbers(low: float, high: float, steps: list[float]) -> None:
    assert round_steps(low, high) == pytest.approx(steps)
    assert round_steps(0, 0)[0] <= 0 < round_steps(0, 0)[-1]  # a model without error
