"""The metrics of the paper's section 4.2, the bias, and how well edges are kept: one pure function each.

`pred_m` and `depth_m` are (T,) arrays in metres, the valid pixels of one picture; all positive and finite, which
evaluation.py has checked before. Formulas: d the prediction, g the truth, sums over the T pixels. Edges need the
neighbours of a pixel, so their metrics take whole maps (H, W) and the mask of the pixels that count. Further metrics of
whole maps are in detail.py.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

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

    KITTI's devkit (depthError in evaluate_depth.cpp; 100 as on its leaderboard): the standard deviation of l, that is
    RMSElog after the best common scale. The training loss of Eigen et al. 2014 takes half of the second term away, and
    no root.
    """
    return float(100 * np.std(np.log(pred_m) - np.log(depth_m)))


def delta(pred_m: Depths, depth_m: Depths, power: int) -> float:
    """Share of pixels with max(d/g, g/d) < 1.25^power."""
    return float(np.mean(np.maximum(pred_m / depth_m, depth_m / pred_m) < 1.25**power))


def bias(pred_m: Depths, depth_m: Depths) -> float:
    """Median of d/g: 1 is right, 1.1 is typically ten percent too far."""
    return float(np.median(pred_m / depth_m))


class EdgeScores(NamedTuple):
    """How well the edge pixels of a prediction are those of the truth, 0..1."""

    precision: float
    recall: float
    f1: float


def edge_scores(pred_m: Depths, depth_m: Depths, scored: NDArray[np.bool_], *thresholds_m: float) -> list[EdgeScores]:
    """Edge pixels of (H, W) maps, for each threshold: those where the length of the Sobel gradient exceeds it.

    Precision is the share of predicted edge pixels that are true ones, recall the share of true ones that were
    predicted. Hu et al. 2019 (https://arxiv.org/abs/1803.08673), section 4.3, and their released test.py and sobel.py:
    3 x 3 kernels, not normalised. A stencil that touches a pixel that does not count has no say; where none is left
    (sparse truth), the scores are NaN: not known. Where neither map has an edge all are 1, nothing missed and nothing
    invented, and where only one has, all are 0 (the released code divides by zero in both cases). So which pictures
    have a score depends on their truth alone, and models are averaged over the same ones.
    """
    whole = whole_windows(scored, 3)
    if not whole.any():
        return [EdgeScores(math.nan, math.nan, math.nan) for _ in thresholds_m]
    found_at, true_at = (edges_of(z_m, whole, thresholds_m) for z_m in (pred_m, depth_m))
    scores = []
    for found, true in zip(found_at, true_at, strict=True):
        n_found, n_true, n_hits = (int(np.count_nonzero(edges)) for edges in (found, true, found & true))
        if n_found + n_true == 0:
            scores.append(EdgeScores(1.0, 1.0, 1.0))
        else:
            f1 = 2 * n_hits / (n_found + n_true)
            scores.append(EdgeScores(n_hits / max(n_found, 1), n_hits / max(n_true, 1), f1))
    return scores


def edge_f1(pred_m: Depths, depth_m: Depths, scored: NDArray[np.bool_], threshold_m: float) -> float:
    """F1 of edge pixels, (H, W) maps: the harmonic mean of precision and recall, see edge_scores."""
    return edge_scores(pred_m, depth_m, scored, threshold_m)[0].f1


def whole_windows(scored: NDArray[np.bool_], side: int) -> NDArray[np.bool_]:
    """(H, W), the middles of those side x side windows that lie in the map and of which every pixel counts."""
    block = np.ones((side, side), np.uint8)
    return cv2.erode(scored.view(np.uint8), block, borderType=cv2.BORDER_CONSTANT, borderValue=0).view(np.bool_)


def edges_of(z_m: Depths, whole: NDArray[np.bool_], thresholds_m: Sequence[float]) -> list[NDArray[np.bool_]]:
    """(H, W) map -> (H, W) edges for each threshold, those among `whole`. A Sobel gradient is eight times the slope."""
    across, down = (np.asarray(cv2.Sobel(z_m, cv2.CV_64F, dx, dy, ksize=3)) for dx, dy in ((1, 0), (0, 1)))
    np.square(across, out=across)  # in place, as fresh memory costs more than the arithmetic
    np.square(down, out=down)
    np.add(across, down, out=across)
    return [whole & (across > threshold_m**2) for threshold_m in thresholds_m]


@dataclass(frozen=True)
class Metric:
    """A metric, which way is good, and where it is from."""

    compute: Callable[..., float]  # (pred_m, depth_m) of pixels, or (pred_m, depth_m, scored) of maps
    arrow: str  # "↓" lower is better, "↑" higher is better, "→1" nearer to 1 is better
    unit: str  # "m", "px", "degrees"; "1" for a pure number
    formula: str  # d the prediction, g the truth
    source: str

    def badness(self, value: float) -> float:
        """Lower is better, for every metric: what a ranking sorts by."""
        return {"↓": value, "↑": -value, "→1": abs(value - 1)}[self.arrow]


EIGEN = "Eigen et al. 2014, https://arxiv.org/abs/1406.2283"
HU = "Hu et al. 2019, section 4.3, https://arxiv.org/abs/1803.08673, and their released code"

PIXEL_METRICS = {
    "AbsRel": Metric(abs_rel, "↓", "1", "mean of |d - g| / g", EIGEN),
    "log10": Metric(log10, "↓", "1", "mean of |log10 d - log10 g|", "Saxena et al. 2009, Make3D"),
    "RMSE": Metric(rmse, "↓", "m", "root of the mean of (d - g)^2", EIGEN),
    "RMSElog": Metric(rmse_log, "↓", "1", "root of the mean of (ln d - ln g)^2", EIGEN),
    "delta1": Metric(partial(delta, power=1), "↑", "1", "share of pixels with max(d/g, g/d) < 1.25", EIGEN),
    "delta2": Metric(partial(delta, power=2), "↑", "1", "share of pixels with max(d/g, g/d) < 1.25^2", EIGEN),
    "delta3": Metric(partial(delta, power=3), "↑", "1", "share of pixels with max(d/g, g/d) < 1.25^3", EIGEN),
    "bias": Metric(bias, "→1", "1", "median of d/g", "hqmd"),
}
EXTRA_PIXEL_METRICS = {  # computed like PIXEL_METRICS; not among the columns of the tables
    "SqRel": Metric(sq_rel, "↓", "m", "mean of (d - g)^2 / g", EIGEN),
    "SILog": Metric(
        si_log,
        "↓",
        "1",
        "100 times the standard deviation of ln d - ln g",
        "KITTI depth devkit, evaluate_depth.cpp, https://www.cvlibs.net/datasets/kitti/eval_depth.php",
    ),
}
MAP_METRICS = {
    "edgeF1": Metric(
        partial(edge_f1, threshold_m=0.25),  # the threshold of Hu et al.'s released code
        "↑",
        "1",
        "2 P R / (P + R) of the pixels whose Sobel gradient is longer than 0.25 m",
        HU,
    ),
}
METRICS = PIXEL_METRICS | MAP_METRICS
