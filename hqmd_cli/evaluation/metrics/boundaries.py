"""How well a depth map keeps edges and occluding contours.

All functions take `pred_m` and `depth_m`, the prediction and its truth, (H, W) metres along the optical axis, and
`scored`, the (H, W) mask of the pixels that count, where both are positive and finite (scoring.py has checked that).
Values outside the mask are ignored. NaN means unknown: no pixel could be scored. That depends on truth and mask alone,
so all models are averaged over the same pictures.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.pixels import Depths

Mask = NDArray[np.bool_]

# ---- edge pixels, Hu et al.


class EdgeScores(NamedTuple):
    """How well the edge pixels of a prediction agree with those of the truth, 0..1."""

    precision: float
    recall: float
    f1: float


def edge_scores(pred_m: Depths, depth_m: Depths, scored: Mask, *thresholds_m: float) -> list[EdgeScores]:
    """Compare the edge pixels of two (H, W) maps: pixels whose Sobel gradient is longer than a threshold.

    Precision is the share of predicted edge pixels that are true edges, recall the share of true edge pixels that were
    predicted. Hu et al. 2019 (https://arxiv.org/abs/1803.08673), section 4.3, and their released test.py and sobel.py:
    3 x 3 kernels, not normalised. A 3 x 3 window counts if all its pixels do; without any (sparse truth) the scores
    are NaN. If neither map has an edge, all scores are 1; if only one has, all are 0. The released code divides by zero
    in both cases.
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


def whole_windows(scored: Mask, side: int) -> Mask:
    """Mark the middles of the side x side windows that lie in the (H, W) map and consist of scored pixels only."""
    block = np.ones((side, side), np.uint8)
    return cv2.erode(scored.view(np.uint8), block, borderType=cv2.BORDER_CONSTANT, borderValue=0).view(np.bool_)


def edges_of(z_m: Depths, whole: Mask, thresholds_m: Sequence[float]) -> list[Mask]:
    """Find the edge pixels of an (H, W) map among `whole`, (H, W), for each threshold of the Sobel gradient.

    The gradient is eight times the slope in metres per pixel.
    """
    across, down = (np.asarray(cv2.Sobel(z_m, cv2.CV_64F, dx, dy, ksize=3)) for dx, dy in ((1, 0), (0, 1)))
    np.square(across, out=across)  # in place, as fresh memory costs more than the arithmetic
    np.square(down, out=down)
    np.add(across, down, out=across)
    return [whole & (across > threshold_m**2) for threshold_m in thresholds_m]


# ---- occluding contours, Depth Pro

CONTOUR_RATIOS = np.linspace(1.05, 1.25, 10)  # t = 5 .. 25 percent; their number is from the released code
CONTOUR_WEIGHTS = CONTOUR_RATIOS / CONTOUR_RATIOS.sum()  # as released; the paper says "stronger towards high"
CANDIDATE_GAP = 0.04  # of the nearer depth; below the smallest ratio, so that float32 rounding loses no contour


def boundary_f1(pred_m: Depths, depth_m: Depths, scored: Mask) -> float:
    """Scale-invariant boundary F1, 0..1: do the same pixels occlude their neighbours, on the same side?

    From pixel i to its neighbour j (left, right, above, below) depth d has an occluding contour if d(j) / d(i) > 1 +
    t / 100. For each t, precision and recall are over all ordered pairs of neighbours; the F1 of all t are averaged
    with weights. Bochkovskii et al. 2024, Depth Pro (https://arxiv.org/abs/2410.02073), section 3.2, eq. 3.

    Pairs with an unscored pixel are ignored; without any pair the F1 is NaN. The authors' boundary_metrics.py differs
    in two ways: it averages precision and recall over the four directions, while the paper sums over all pairs (on
    blurred NYU maps its figures are 10 to 13 % lower), and a t for which neither map has a contour scores 0; here it
    scores 1. As in their script, the contours of depth maps are not thinned (they thin only to compare with mattes).
    """
    n_pairs, counts = 0, np.zeros((3, len(CONTOUR_RATIOS)), np.intp)
    for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
        pairs = scored[here] & scored[there]
        n_pairs += int(np.count_nonzero(pairs))
        candidates = pairs & (far_apart(pred_m[here], pred_m[there]) | far_apart(depth_m[here], depth_m[there]))
        found, true = (contour_levels(z_m[here][candidates], z_m[there][candidates]) for z_m in (pred_m, depth_m))
        hits = np.where(found * true > 0, np.minimum(abs(found), abs(true)), 0)
        counts += [reached(levels) for levels in (hits, abs(found), abs(true))]
    if n_pairs == 0:
        return math.nan
    n_hits, n_both = counts[0], counts[1] + counts[2]
    return float(CONTOUR_WEIGHTS @ np.where(n_both > 0, 2 * n_hits / np.maximum(n_both, 1), 1.0))


def far_apart(z_m: Depths, neighbour_m: Depths) -> Mask:
    """Find the pairs that may have a contour in either direction, by a cheap test; most have none."""
    with np.errstate(invalid="ignore"):  # values outside the mask may be anything
        return np.abs(z_m - neighbour_m) > CANDIDATE_GAP * np.minimum(z_m, neighbour_m)


def contour_levels(z_m: Depths, neighbour_m: Depths) -> NDArray[np.intp]:
    """Count the CONTOUR_RATIOS that (N,) depths exceed beside their neighbours, negative where these are nearer."""
    z, neighbour = z_m.astype(np.float64), neighbour_m.astype(np.float64)
    return np.searchsorted(CONTOUR_RATIOS, neighbour / z) - np.searchsorted(CONTOUR_RATIOS, z / neighbour)


def reached(levels: NDArray[np.intp]) -> NDArray[np.intp]:
    """Count the (N,) levels, each 0..10, that are at least 1, 2 .. 10: (10,)."""
    histogram = np.bincount(levels, minlength=len(CONTOUR_RATIOS) + 1)
    return histogram[:0:-1].cumsum()[::-1]


# ---- depth boundary errors, iBims-1

CANNY_SIGMA_PX = math.sqrt(2)
CANNY_LOW, CANNY_HIGH = 0.15, 0.3  # length of the Sobel gradient of a map that goes from 0 to 1
GRADIENT_STEPS = 4096  # cv2.Canny takes gradients as int16; a gradient is below 4
NEAR_PX = 10.0  # the search radius for an edge


class BoundaryErrors(NamedTuple):
    """Distances between the edges of a prediction and those of the truth, in pixels, 0..10."""

    accuracy_px: float
    completeness_px: float


def boundary_errors(pred_m: Depths, depth_m: Depths, scored: Mask, annotated: Mask | None = None) -> BoundaryErrors:
    """Depth boundary errors: the distance of predicted edges from true ones, with and without missing edges.

    accuracy = mean of D_true over the predicted edge pixels that are nearer than 10 px; completeness = mean of
    min(D, 10 px) over the edge pixels of both maps, D from each to the nearest of the other map. Both are 10 px if no
    predicted edge is nearer than that, NaN if the truth has no edge. Koch et al. 2018, Evaluation of CNN-based
    Single-Image Depth Estimation Methods (https://arxiv.org/abs/1805.01328), as in T. Koch's
    evaluate_ibims_error_metrics.py for iBims-1. Older copies of that script use Canny at .1 and .2, and completeness
    over true edges only, without a limit.

    NOT COMPARABLE with iBims-1's published numbers unless `annotated` is given, the (H, W) edges that people drew
    there. Without it, Canny finds the edges of the truth as it finds those of the prediction (see canny_edges). Edges
    count at pixels whose 3 x 3 neighbours are scored. In both maps, unscored pixels take the depth of the nearest
    scored one, so that the rim of a hole is no edge; an edge that crosses a hole may still be the nearest to another.
    """
    whole = whole_windows(scored, 3)
    if not whole.any():
        return BoundaryErrors(math.nan, math.nan)
    pred_filled_m, depth_filled_m = filled_from_nearest((pred_m, depth_m), scored)
    true_edges = canny_edges(depth_filled_m) if annotated is None else annotated
    true = true_edges & whole
    if not true.any():
        return BoundaryErrors(math.nan, math.nan)
    found_edges = canny_edges(pred_filled_m)
    found_to_true_px = distances_px(true_edges, at=found_edges & whole)
    near_px = found_to_true_px[found_to_true_px < NEAR_PX]
    if near_px.size == 0:
        return BoundaryErrors(NEAR_PX, NEAR_PX)
    all_px = np.concatenate([found_to_true_px, distances_px(found_edges, at=true)])
    return BoundaryErrors(float(near_px.mean()), float(np.minimum(all_px, NEAR_PX).mean()))


def canny_edges(z_m: Depths) -> Mask:
    """Find the edges of an (H, W) map by Canny 1986: scaled to 0..1, blurred by sqrt(2) px, thresholds .15 and .3.

    A single step is an edge if it is higher than about 1/7 of the map's range. iBims-1's script uses skimage's Canny,
    which finds nearly the same edges, at most a pixel aside: on NYU both errors differ by less than 0.1 px on average.
    """
    nearest_m, farthest_m = z_m.min(), z_m.max()
    if nearest_m == farthest_m:
        return np.zeros(z_m.shape, bool)
    scaled = ((z_m - nearest_m) / (farthest_m - nearest_m)).astype(np.float32, copy=False)
    blurred = cv2.GaussianBlur(scaled, (0, 0), CANNY_SIGMA_PX, borderType=cv2.BORDER_REPLICATE)
    across, down = (
        cv2.Sobel(blurred, cv2.CV_32F, dx, dy, scale=GRADIENT_STEPS, borderType=cv2.BORDER_REPLICATE).astype(np.int16)
        for dx, dy in ((1, 0), (0, 1))
    )
    return cv2.Canny(across, down, CANNY_LOW * GRADIENT_STEPS, CANNY_HIGH * GRADIENT_STEPS, L2gradient=True) > 0


def filled_from_nearest(maps: Sequence[Depths], scored: Mask) -> list[Depths]:
    """Copy (H, W) maps, with unscored pixels set to the value of the nearest scored pixel. Some must be scored.

    The distance is OpenCV's DIST_MASK_5, Euclidean to a few percent.
    """
    holes = ~scored
    if not holes.any():
        return list(maps)
    # Each scored pixel has its own label, each other pixel the label of its nearest, which lies on the rim of a hole.
    _, label_of = cv2.distanceTransformWithLabels(
        holes.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    rim = scored & cv2.dilate(holes.view(np.uint8), np.ones((5, 5), np.uint8)).view(np.bool_)
    rim_labels, hole_labels = label_of[rim], label_of[holes]
    filled = []
    for z in maps:
        value_of = np.empty(scored.size + 1, z.dtype)
        value_of[rim_labels] = z[rim]
        filled.append(z.copy())
        filled[-1][holes] = value_of[hole_labels]
    return filled


def distances_px(edges: Mask, at: Mask) -> NDArray[np.float64]:
    """Measure the Euclidean distances, (K,), from the K pixels of `at` to the nearest of the (H, W) `edges`."""
    roughly_px = cv2.distanceTransform((~edges).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[at]
    # Squared distances are whole numbers; OpenCV's roots differ in the last digit from call to call.
    return np.sqrt(np.rint(np.square(roughly_px, dtype=np.float64)))
