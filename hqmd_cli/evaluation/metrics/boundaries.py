"""How well a depth map keeps what a scene is made of: edges, occluding contours and the tilt of surfaces.

All functions take `pred_m` and `depth_m`, the prediction and its truth, (H, W) metres along the optical axis, and
`scored`, the (H, W) mask of the pixels that count, where both are positive and finite (evaluate.py has checked that).
Nothing that lies outside the mask matters, whatever is written there. NaN means not known: no pixel could be scored.
Whether that is so depends on truth and mask alone, so that models are compared on the same pictures.

Several metrics share most of their work. `detail_scores` does it once and returns them all by name.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.edges import whole_windows
from hqmd_cli.evaluation.metrics.pixels import Depths

Mask = NDArray[np.bool_]

# ---- occluding contours, Depth Pro

CONTOUR_RATIOS = np.linspace(1.05, 1.25, 10)  # t = 5 .. 25 percent; the paper leaves their number unsaid, the code not
CONTOUR_WEIGHTS = CONTOUR_RATIOS / CONTOUR_RATIOS.sum()  # as released; the paper says "stronger towards high"
CANDIDATE_GAP = 0.04  # of the nearer depth: below the least ratio, so that rounding in float32 loses no contour


def boundary_f1(pred_m: Depths, depth_m: Depths, scored: Mask) -> float:
    """Scale-invariant boundary F1, 0..1: are the pixels that hide others the same, and on the same side?

    From pixel i to its neighbour j (left, right, above, below) depth d has an occluding contour if d(j) / d(i) > 1 +
    t / 100. For each t, precision and recall are over all ordered pairs of neighbours; their F1 are averaged over t,
    weighted. Bochkovskii et al. 2024, Depth Pro (https://arxiv.org/abs/2410.02073), section 3.2, eq. 3.

    A pair with a pixel that does not count has no say; NaN where no pair is left. The authors' boundary_metrics.py
    differs in two ways: it averages precision and recall over the four directions, where the paper sums over all pairs
    (of blurred NYU maps its figures are 10 to 13 % lower), and gives 0 to a t for which neither map has a contour. Here
    that is 1, nothing missed and nothing invented. Like it, we do not thin the contours of depth maps (only those to be
    compared with mattes).
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
    """Pairs that may have a contour one way or the other, by a cheap test; most have none."""
    with np.errstate(invalid="ignore"):  # what lies outside the mask may be anything
        return np.abs(z_m - neighbour_m) > CANDIDATE_GAP * np.minimum(z_m, neighbour_m)


def contour_levels(z_m: Depths, neighbour_m: Depths) -> NDArray[np.intp]:
    """(N,) depths and their neighbours' -> how many CONTOUR_RATIOS are exceeded, negative towards nearer ones."""
    z, neighbour = z_m.astype(np.float64), neighbour_m.astype(np.float64)
    return np.searchsorted(CONTOUR_RATIOS, neighbour / z) - np.searchsorted(CONTOUR_RATIOS, z / neighbour)


def reached(levels: NDArray[np.intp]) -> NDArray[np.intp]:
    """(N,) levels 0..10 -> (10,) how many are at least 1, 2 .. 10."""
    histogram = np.bincount(levels, minlength=len(CONTOUR_RATIOS) + 1)
    return histogram[:0:-1].cumsum()[::-1]


# ---- depth boundary errors, iBims-1

CANNY_SIGMA_PX = math.sqrt(2)
CANNY_LOW, CANNY_HIGH = 0.15, 0.3  # length of the Sobel gradient of a map that goes from 0 to 1
GRADIENT_STEPS = 4096  # cv2.Canny takes gradients as int16; such ones are below 4
NEAR_PX = 10.0  # how far an edge is looked for


class BoundaryErrors(NamedTuple):
    """Distances between the edges of a prediction and those of the truth, in pixels, 0..10."""

    accuracy_px: float
    completeness_px: float


def boundary_errors(pred_m: Depths, depth_m: Depths, scored: Mask, annotated: Mask | None = None) -> BoundaryErrors:
    """Depth boundary errors: how far from the true edges predicted ones lie, and how much is missing or invented.

    accuracy = mean of D_true over predicted edge pixels, those nearer than 10 px; completeness = mean of min(D, 10 px)
    over the edge pixels of both maps, D from each to the nearest of the other map. 10 px both if no predicted edge is
    nearer than that; NaN if the truth has no edge. Koch et al. 2018, Evaluation of CNN-based Single-Image Depth
    Estimation Methods (https://arxiv.org/abs/1805.01328), as in T. Koch's evaluate_ibims_error_metrics.py for iBims-1.
    Older copies of it have Canny at .1 and .2, and completeness over true edges only, without a limit.

    NOT COMPARABLE with iBims-1's published numbers unless `annotated`, the edges that people drew there, (H, W), is
    given: without, the edges of the truth are found like those of the prediction, by Canny (see canny_edges). Edges
    count at pixels whose 3 x 3 neighbours count. Pixels that do not count take the depth of the nearest that does, in
    both maps, so that the rim of a hole is no edge; an edge that crosses a hole may still be the nearest to another.
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
    """(H, W) -> (H, W), the edges of Canny 1986 in the map scaled to 0..1, blurred by sqrt(2) px, at .15 and .3.

    A lone step is an edge if it is higher than about 1/7 of the map's range. iBims-1's script takes skimage's Canny,
    which finds nearly the same edges, a pixel aside at most: on NYU both errors differ by less than 0.1 px on average.
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
    """(H, W) maps -> copies where pixels that do not count have the value of the nearest that does; some must count.

    Nearest is as cv2.DIST_MASK_5 has it, Euclidean to a few percent.
    """
    holes = ~scored
    if not holes.any():
        return list(maps)
    # Each pixel that counts has a label of its own, and the others that of their nearest, which is on the holes' rim.
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
    """(H, W) edges, some -> (K,) Euclidean distances to the nearest one, from the K pixels of `at`."""
    roughly_px = cv2.distanceTransform((~edges).view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)[at]
    # Squares are whole numbers; as OpenCV has them, the last digit differs from one call to the next.
    return np.sqrt(np.rint(np.square(roughly_px, dtype=np.float64)))


# ---- normals


# ---- all of them
