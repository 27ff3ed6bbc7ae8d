"""The bootstrap over pictures or scenes: intervals of figures, and p-values of differences.

Every call draws the same resamples of n pictures, so that differences between metrics and models are paired (Efron and
Tibshirani 1993, chapters 13 and 15). Pictures of one scene depend on each other, so scenes are resampled, too, where
they are known: all pictures of a scene are drawn together.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RESAMPLES, SEED, LEVEL = 10_000, 0, 0.95
METHOD = f"{LEVEL:.0%} intervals: bootstrap over pictures, {RESAMPLES:,} resamples, seed {SEED}"
FEWEST_SCENES = 2  # of fewer, no resample differs from another
BLOCK = 500  # resamples at a time, which bounds the memory; RESAMPLES is a multiple of it


def summed_by(groups: Sequence[str], columns: Values) -> Values:
    """Sum (n, k) columns over the rows of each group: (groups, k), in the order of their names."""
    names, group_of = np.unique(np.array(groups), return_inverse=True)
    sums = np.zeros((len(names), columns.shape[1]))
    np.add.at(sums, group_of, columns)
    return sums


def resampled_sums(columns: Values) -> Values:
    """Sum (n, k) columns, one row a picture, over each resample of the pictures: (RESAMPLES, k)."""
    drawn = times_drawn(len(columns))
    return np.concatenate([drawn[i : i + BLOCK].astype(np.float64) @ columns for i in range(0, RESAMPLES, BLOCK)])


@lru_cache(maxsize=2)  # pictures and scenes
def times_drawn(n: int) -> NDArray[np.uint8]:
    """Count how often each of n pictures is drawn in n draws with replacement: (RESAMPLES, n).

    More than 255 times does not happen.
    """
    rng = np.random.default_rng(SEED)
    offsets = np.arange(BLOCK)[:, None] * n
    times = np.empty((RESAMPLES, n), np.uint8)
    for start in range(0, RESAMPLES, BLOCK):
        drawn = rng.integers(n, size=(BLOCK, n)) + offsets
        times[start : start + BLOCK] = np.bincount(drawn.ravel(), minlength=BLOCK * n).reshape(BLOCK, n)
    return times


def percentile_interval(draws: Values) -> tuple[float, float]:
    """Return the ends of the middle LEVEL of (R,) resampled figures, ignoring NaN; NaN, NaN if all are."""
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return np.nan, np.nan
    low, high = np.quantile(draws, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def two_sided_p(draws: Values) -> float:
    """Test (R,) resampled differences against 0: twice the share on the rarer side of 0, at most 1.

    Numerator and denominator are one larger than counted, so that a p-value from R draws is never 0 (Davison and
    Hinkley 1997, 4.2).
    """
    draws = draws[~np.isnan(draws)]
    rarer = min(np.count_nonzero(draws <= 0), np.count_nonzero(draws >= 0))
    return min(1.0, 2 * (rarer + 1) / (draws.size + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct p-values for multiple tests: Holm 1979, step-down.

    The k-th smallest of m is multiplied by m - k + 1, is no less than any before it, and at most 1.
    """
    corrected = [1.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(np.argsort(p_values, kind="stable")):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        corrected[index] = highest
    return corrected
