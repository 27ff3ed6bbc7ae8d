"""The metrics of the paper's section 4.2, the bias, and how well edges are kept: one pure function each.

`pred_m` and `depth_m` are (T,) arrays in metres, the valid pixels of one picture; all positive and finite, which
evaluation.py has checked before. Formulas: d the prediction, g the truth, sums over the T pixels. Edges need the
neighbours of a pixel, so their metrics take whole maps (H, W) and the mask of the pixels that count.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import cv2
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


def edge_f1(pred_m: Depths, depth_m: Depths, scored: NDArray[np.bool_], threshold_m: float) -> float:
    """F1 of edge pixels, (H, W) maps: those where the length of the Sobel gradient exceeds `threshold_m`.

    Hu et al. 2019 (https://arxiv.org/abs/1803.08673), section 4.3, and their released sobel.py: 3 x 3 kernels, not
    normalised. A stencil that touches a pixel that does not count has no say; where none is left (sparse truth), the
    score is NaN: not known. Where neither map has an edge it is 1, nothing missed and nothing invented.
    """
    whole = cv2.erode(scored.astype(np.uint8), np.ones((3, 3)), borderType=cv2.BORDER_CONSTANT, borderValue=0) > 0
    if not whole.any():
        return math.nan
    found, true = (sobel_length(z)[whole] > threshold_m for z in (pred_m, depth_m))
    hits, both = np.count_nonzero(found & true), np.count_nonzero(found) + np.count_nonzero(true)
    return 2 * hits / both if both else 1.0


def sobel_length(z_m: Depths) -> Depths:
    """Length of the Sobel gradient of an (H, W) map, eight times the slope in metres per pixel."""
    z = z_m.astype(np.float64)
    return np.hypot(cv2.Sobel(z, cv2.CV_64F, 1, 0, ksize=3), cv2.Sobel(z, cv2.CV_64F, 0, 1, ksize=3))


@dataclass(frozen=True)
class Metric:
    """A metric and which way is good."""

    compute: Callable[..., float]  # (pred_m, depth_m) of pixels, or (pred_m, depth_m, scored) of maps
    arrow: str  # "↓" lower is better, "↑" higher is better, "→1" nearer to 1 is better

    def badness(self, value: float) -> float:
        """Lower is better, for every metric: what a ranking sorts by."""
        return {"↓": value, "↑": -value, "→1": abs(value - 1)}[self.arrow]


PIXEL_METRICS = {
    "AbsRel": Metric(abs_rel, "↓"),
    "log10": Metric(log10, "↓"),
    "RMSE": Metric(rmse, "↓"),
    "RMSElog": Metric(rmse_log, "↓"),
    "delta1": Metric(partial(delta, power=1), "↑"),
    "delta2": Metric(partial(delta, power=2), "↑"),
    "delta3": Metric(partial(delta, power=3), "↑"),
    "bias": Metric(bias, "→1"),
}
MAP_METRICS = {
    "edgeF1": Metric(partial(edge_f1, threshold_m=0.25), "↑"),  # the threshold of Hu et al.'s released code
}
METRICS = PIXEL_METRICS | MAP_METRICS
