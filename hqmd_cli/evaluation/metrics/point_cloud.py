"""F-score and Chamfer distance: how near the points of a prediction and those of its truth lie in space."""

import math
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import Mask
from hqmd_cli.evaluation.metrics.pixels import Depths
from hqmd_cli.evaluation.metrics.planes import rays_of
from hqmd_cli.geometry.camera import Intrinsics

Options = dict[str, bool | int | float | str]

MOST_POINTS = 8000  # of a picture; of more, those in every k-th row and column, with the smallest k that will do
EXACT_TREE: Options = {"algorithm": 4, "leaf_max_size": 10}  # FLANN's KDTreeSingleIndex
ALL_LEAVES: Options = {"checks": -1}  # so that the nearest point is found, not one that is near

Distances = NDArray[np.float32]


class CloudDistances(NamedTuple):
    """Distances in metres to the nearest point of the other cloud."""

    from_pred: Distances  # (N,)
    from_truth: Distances  # (N,)

    @property
    def chamfer_m(self) -> float:
        """The mean of both mean distances, in metres; NaN without points."""
        if not self.from_pred.size:
            return math.nan
        return float((self.from_pred.mean(dtype=np.float64) + self.from_truth.mean(dtype=np.float64)) / 2)

    def f_score(self, limit_m: float) -> float:
        """2 P R / (P + R): P is the share of the predicted points, R that of the true ones, that are within the limit.

        Tanks and Temples (Knapitsch et al. 2017), section 5; 0 if no point is, NaN without points.
        """
        if not self.from_pred.size:
            return math.nan
        precision, recall = (float(np.mean(each < limit_m)) for each in self)
        return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def cloud_distances(
    pred_m: Depths, depth_m: Depths, scored: Mask, camera: Intrinsics, most: int = MOST_POINTS
) -> CloudDistances:
    """Measure the distances between the clouds of two (H, W) maps, at the same pixels, `most` of them, by one camera.

    Fewer points lie farther apart, so figures of another number cannot be compared.
    """
    every = 1
    while np.count_nonzero(scored[::every, ::every]) > most:
        every += 1
    chosen = np.zeros_like(scored)
    chosen[::every, ::every] = scored[::every, ::every]
    places = np.flatnonzero(chosen)
    rays = rays_of(places, chosen.shape[1], camera)
    pred, truth = (np.ascontiguousarray((rays * z_m.ravel()[places]).T, np.float32) for z_m in (pred_m, depth_m))
    return CloudDistances(nearest_m(pred, truth), nearest_m(truth, pred))


def nearest_m(points: NDArray[np.float32], others: NDArray[np.float32]) -> Distances:
    """Return the distance of each of (N, 3) points to the nearest of the others, (N,)."""
    if not len(points):
        return np.empty(0, np.float32)
    _, squares = cv2.flann.Index(others, EXACT_TREE).knnSearch(points, 1, params=ALL_LEAVES)
    return np.sqrt(np.asarray(squares, np.float32)[:, 0])
