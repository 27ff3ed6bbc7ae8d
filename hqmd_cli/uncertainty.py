"""How far a mean over pictures would move with other pictures."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

RESAMPLES, SEED, LEVEL = 10_000, 0, 0.95
METHOD = f"{LEVEL:.0%} intervals: bootstrap over pictures, {RESAMPLES:,} resamples, seed {SEED}"


def bootstrap_interval(values: NDArray[np.float64]) -> tuple[float, float]:
    """The percentile interval of the mean of (n,) values, one a picture (Efron and Tibshirani 1993, chapter 13).

    NaN, NaN where there is no value. One seed for all, so every metric and model sees the same resamples.
    """
    if not values.size:
        return np.nan, np.nan
    means = values[resampled(values.size)].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@cache
def resampled(n: int) -> NDArray[np.int64]:
    """(RESAMPLES, n) indices of n pictures drawn with replacement."""
    return np.random.default_rng(SEED).integers(n, size=(RESAMPLES, n))
