"""Errors that are known: what is fitted finds them, and what is judged says so."""

from dataclasses import replace

import numpy as np
import pytest

from hqmd_cli.config.view import ERROR_TERMS, View
from hqmd_cli.data.sample import sample_from
from hqmd_cli.evaluation.how_sure import Picture, ause, cross_fitted, fit, fitted, judge, picture_of, sparsified
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.inference.uncertainty import terms_of

SCALE, SHAPE = (len(ERROR_TERMS[name]) for name in ("scale_error", "shape_error"))
KNOWN = View(scale_error=(0.1, 0, 0.3, 0), shape_error=(0.05, 0.5, 0, 0.2, 0, 0, 0))


def drawn(count: int, seed: int = 0, factor: float = 1.0) -> list[Picture]:
    """Pictures with normal errors of the size that KNOWN says, times a factor."""
    rng = np.random.default_rng(seed)
    pictures = []
    for _ in range(count):
        terms = rng.uniform(0, 1, (SHAPE, 400)).astype(np.float32)
        of_photo = rng.uniform(0, 1, SCALE).astype(np.float32)
        terms[0] = of_photo[0] = 1
        blank = Picture(of_photo, 0, terms, np.zeros(400, np.float32), rng.uniform(1, 5, 400).astype(np.float32))
        scale, shape = blank.errors(KNOWN)
        off = (factor * shape * rng.normal(size=400)).astype(np.float32)
        pictures.append(replace(blank, scale_off=factor * scale * rng.normal(), shape_off=off))
    return pictures


def test_the_coefficients_come_back() -> None:
    view = fitted(KNOWN, [drawn(200)])
    np.testing.assert_allclose(view.shape_error, KNOWN.shape_error, atol=0.02)
    np.testing.assert_allclose(view.scale_error, KNOWN.scale_error, atol=0.08)


def test_intervals_hold_what_they_promise_on_other_pictures() -> None:
    (verdict,) = cross_fitted(View(), [drawn(150)])
    assert verdict.scale_coverage == pytest.approx(0.9, abs=0.05)
    assert verdict.shape_coverage == pytest.approx(0.9, abs=0.01)
    own, even, by_depth = verdict.sparsification[0]
    assert own < even - 0.1 and own < by_depth - 0.1
    assert verdict.pictures == 150 and any("90 %" in line for line in verdict.lines)


def test_errors_that_are_stated_too_small_hold_less() -> None:
    verdict = judge(drawn(100, factor=3), [KNOWN] * 100)
    assert verdict.scale_coverage < 0.6 and verdict.shape_coverage < 0.5


def test_each_set_counts_the_same() -> None:
    """A set of many sure pictures does not hide a set of few that are off."""
    off = drawn(40, seed=1, factor=4)
    alone, both = fitted(View(), [drawn(150)]), fitted(View(), [drawn(150), off])
    assert sum(both.scale_error) > 1.5 * sum(alone.scale_error) and sum(both.shape_error) > 1.5 * sum(alone.shape_error)
    assert [verdict.pictures for verdict in cross_fitted(View(), [drawn(50), off])] == [50, 40]


def test_a_term_that_is_never_there_gets_nothing() -> None:
    rng = np.random.default_rng(0)
    found = fit(np.stack([np.ones(100), np.zeros(100)]), rng.normal(0, 0.2, 100), np.ones(100))
    assert found[1] == 0 and found[0] == pytest.approx(0.2, rel=0.2)


def test_a_picture_is_split_into_scale_and_shape() -> None:
    rng = np.random.default_rng(2)
    depth_m = rng.uniform(1, 4, (30, 40)).astype(np.float32)
    sample = sample_from("a", np.zeros((30, 40, 3), np.uint8), depth_m)
    logs = np.log(depth_m)[None]
    pred_m = depth_m * np.float32(np.exp(0.2))
    pred_m[:, :10] *= np.float32(np.exp(0.1))
    picture = picture_of(pred_m, logs, sample, find_protocol("hqmd"))
    assert picture.scale_off == pytest.approx(0.2, abs=1e-5)
    assert np.count_nonzero(abs(picture.shape_off - 0.1) < 1e-5) == 300 and abs(picture.shape_off).max() < 0.101
    np.testing.assert_allclose(picture.shape_terms, terms_of(logs).shape.reshape(SHAPE, -1), atol=1e-6)


def test_sparsification_by_hand() -> None:
    errors = np.arange(20, dtype=np.float32)
    assert ause(errors, errors) == 0
    worst = ause(errors, -errors)
    by_worst = [errors[20 - left :].mean() for left in range(1, 21)]
    by_best = [errors[:left].mean() for left in range(1, 21)]
    assert worst == pytest.approx(np.mean(np.subtract(by_worst, by_best)) / errors.mean())
    (relative, _) = sparsified(drawn(1)[0], np.ones(400, np.float32))
    assert relative[0] == relative[1]  # constant, as stated
