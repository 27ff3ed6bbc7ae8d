"""Metrics of single pixels: those of the paper's section 4.2, SqRel, SILog, the bias, and what fits.

`pred_m` and `depth_m` are (T,) arrays in metres, the scored pixels of one picture, all positive and finite (scoring.py
has checked that). In formulas, d is the prediction, g the truth, and sums run over the T pixels.
"""

import math

import numpy as np
from numpy.typing import NDArray

Depths = NDArray[np.floating]


def abs_rel(pred_m: Depths, depth_m: Depths) -> float:
    """Mean absolute relative error, 1/T sum |d - g| / g."""
    return float(np.mean(np.abs(pred_m - depth_m) / depth_m))


def abs_rel_between(pred_m: Depths, depth_m: Depths, near_m: float, far_m: float) -> float:
    """AbsRel of the pixels whose truth is from `near_m` up to, without, `far_m`; NaN if there are none."""
    inside = (depth_m >= near_m) & (depth_m < far_m)
    return abs_rel(pred_m[inside], depth_m[inside]) if inside.any() else math.nan


def log10(pred_m: Depths, depth_m: Depths) -> float:
    """Mean log10 error, 1/T sum |log10 d - log10 g|."""
    return float(np.mean(np.abs(np.log10(pred_m) - np.log10(depth_m))))


def sq_rel(pred_m: Depths, depth_m: Depths) -> float:
    """Mean squared relative error in metres, 1/T sum (d - g)^2 / g.

    Eigen et al. 2014 (https://arxiv.org/abs/1406.2283), as all papers print it. KITTI's devkit divides by g^2 instead.
    """
    return float(np.mean(np.square(pred_m - depth_m) / depth_m))


def rmse(pred_m: Depths, depth_m: Depths) -> float:
    """Root mean squared error in metres, sqrt(1/T sum (d - g)^2)."""
    return float(np.sqrt(np.mean(np.square(pred_m - depth_m))))


def rmse_log(pred_m: Depths, depth_m: Depths) -> float:
    """Root mean squared error of natural logarithms, sqrt(1/T sum (ln d - ln g)^2)."""
    return float(np.sqrt(np.mean(np.square(np.log(pred_m) - np.log(depth_m)))))


def si_log(pred_m: Depths, depth_m: Depths) -> float:
    """Scale-invariant logarithmic error, 100 sqrt(1/T sum l^2 - (1/T sum l)^2) with l = ln d - ln g.

    KITTI's devkit (depthError in evaluate_depth.cpp; 100 as on its leaderboard): the standard deviation of l, which is
    RMSElog after the best common scale. The training loss of Eigen et al. 2014 subtracts only half of the second term
    and takes no root.
    """
    return float(100 * np.std(np.log(pred_m) - np.log(depth_m)))


def delta(pred_m: Depths, depth_m: Depths, power: int) -> float:
    """Share of pixels with max(d/g, g/d) < 1.25^power."""
    return share_within(pred_m, depth_m, 1.25**power)


def share_within(pred_m: Depths, depth_m: Depths, limit: float) -> float:
    """Share of pixels with max(d/g, g/d) < limit."""
    return float(np.mean(np.maximum(pred_m / depth_m, depth_m / pred_m) < limit))


def bias(pred_m: Depths, depth_m: Depths) -> float:
    """Median of d/g: 1 is right, 1.1 means typically ten percent too far."""
    return float(np.median(pred_m / depth_m))


# ---- fits to the truth of the same picture, for scoring.py and spaces.py


def median_ratio(pred_m: Depths, depth_m: Depths) -> float:
    """Divide the medians: Zhou et al. 2017, https://arxiv.org/abs/1704.07813, section 4.1."""
    return float(np.median(depth_m) / np.median(pred_m))


def no_farther(inverse: Depths, farthest_m: float) -> Depths:
    """Turn 1 / m into metres, at most `farthest_m`.

    Without this clamp a value near 0 becomes a depth of kilometres, and a few such pixels decide AbsRel. MoGe:
    compute_metrics in moge/test/metrics.py of https://github.com/microsoft/MoGe at 0744441.
    """
    return 1 / np.maximum(inverse, 1 / farthest_m)


def scale_and_shift(values: Depths, targets: Depths) -> tuple[float, float]:
    """Find a, b that minimise sum (a v + b - t)^2 over (T,) values; a is 0 if all values are the same."""
    mean, spread = values.mean(), values.var()
    scale = np.mean((values - mean) * (targets - targets.mean())) / spread if spread else 0.0
    return float(scale), float(targets.mean() - scale * mean)
