"""The metrics of the paper's section 4.2, the bias, and how well edges are kept: one pure function each.

`pred_m` and `depth_m` are (T,) arrays in metres, the valid pixels of one picture; all positive and finite, which
evaluate.py has checked before. Formulas: d the prediction, g the truth, sums over the T pixels. Edges need the
neighbours of a pixel, so their metrics take whole maps (H, W) and the mask of the pixels that count. Further metrics of
whole maps are in boundaries.py.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.pixels import Depths


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
