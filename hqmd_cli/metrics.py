"""The metrics of the paper's section 4.2, and the bias: one pure function each.

`pred_m` and `depth_m` are (T,) arrays in metres, the valid pixels of one picture; all positive and finite, which
evaluation.py has checked before. Formulas: d the prediction, g the truth, sums over the T pixels.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import NDArray

Depths = NDArray[np.floating]

DIGITS = 4  # behind the point, wherever a figure is printed


def abs_rel(pred_m: Depths, depth_m: Depths) -> float:
    """Mean absolute relative error, 1/T sum |d - g| / g."""
    return float(np.mean(np.abs(pred_m - depth_m) / depth_m))


def log10(pred_m: Depths, depth_m: Depths) -> float:
    """Mean log10 error, 1/T sum |log10 d - log10 g|."""
    return float(np.mean(np.abs(np.log10(pred_m) - np.log10(depth_m))))


def rmse(pred_m: Depths, depth_m: Depths) -> float:
    """Root mean squared error in metres, sqrt(1/T sum (d - g)^2)."""
    return float(np.sqrt(np.mean(np.square(pred_m - depth_m))))


def rmse_log(pred_m: Depths, depth_m: Depths) -> float:
    """Root mean squared error of natural logarithms, sqrt(1/T sum (ln d - ln g)^2)."""
    return float(np.sqrt(np.mean(np.square(np.log(pred_m) - np.log(depth_m)))))


def delta(pred_m: Depths, depth_m: Depths, power: int) -> float:
    """Share of pixels with max(d/g, g/d) < 1.25^power."""
    return float(np.mean(np.maximum(pred_m / depth_m, depth_m / pred_m) < 1.25**power))


def bias(pred_m: Depths, depth_m: Depths) -> float:
    """Median of d/g: 1 is right, 1.1 is typically ten percent too far."""
    return float(np.median(pred_m / depth_m))


@dataclass(frozen=True)
class Metric:
    """A metric and which way is good."""

    compute: Callable[[Depths, Depths], float]
    arrow: str  # "↓" lower is better, "↑" higher is better, "→1" nearer to 1 is better

    def badness(self, value: float) -> float:
        """Lower is better, for every metric: what a ranking sorts by."""
        return {"↓": value, "↑": -value, "→1": abs(value - 1)}[self.arrow]


METRICS = {
    "AbsRel": Metric(abs_rel, "↓"),
    "log10": Metric(log10, "↓"),
    "RMSE": Metric(rmse, "↓"),
    "RMSElog": Metric(rmse_log, "↓"),
    "delta1": Metric(partial(delta, power=1), "↑"),
    "delta2": Metric(partial(delta, power=2), "↑"),
    "delta3": Metric(partial(delta, power=3), "↑"),
    "bias": Metric(bias, "→1"),
}
