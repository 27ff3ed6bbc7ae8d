"""Ranks in place of numbers: what they say does not depend on unit, scale or any other growing change."""

import numpy as np
from numpy.typing import NDArray


def spearman(values: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Rank correlation of two (N,) arrays, ties at their mean rank; 0 where one is constant."""
    a, b = (ranks_of(array) - 0.5 for array in (values, others))
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0


def ranks_of(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ranks of (N,) values scaled into 0..1 with mean 1/2, ties at their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts / 2)[places] / values.size).astype(np.float32)
