"""Planarity errors, iBims-1: is a wall, a floor or a table flat, and does it face the right way?"""

import math
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import Mask
from hqmd_cli.evaluation.metrics.pixels import Depths, median_ratio
from hqmd_cli.geometry.camera import Intrinsics

SMALLEST_SHARE = 0.05  # of the picture; smaller planes do not count
CM_PER_M = 100.0

Floats = NDArray[np.float64]


class PlaneErrors(NamedTuple):
    """Means over the planes of a picture."""

    flatness_cm: float
    orientation_deg: float


def plane_errors(
    pred_m: Depths, depth_m: Depths, scored: Mask, planes: NDArray[np.uint8], camera: Intrinsics
) -> PlaneErrors:
    """Compare the planes of the truth, numbered from 1 in `planes` (H, W), with those of a prediction.

    Each plane of the prediction is scaled to the median of its truth, and a plane is fitted to its points by total
    least squares. Flatness is the standard deviation of their distances to it, orientation the angle between its normal
    and the true one. Koch et al. 2018 (https://arxiv.org/abs/1805.01328), as compute_planarity_error in T. Koch's
    evaluate_ibims_error_metrics.py. Two things differ: the true normal is that of the true depth in the same pixels, in
    place of stored parameters, and figures are means over pictures of means over their planes, in place of means over
    all planes. NaN without a plane.
    """
    places = np.flatnonzero(scored & (planes > 0))
    places = places[np.argsort(planes.ravel()[places], kind="stable")]  # plane after plane
    rays = rays_of(places, planes.shape[1], camera)
    ends = np.cumsum(np.bincount(planes.ravel()[places]))
    figures = []
    for start, end in pairwise([0, *ends.tolist()]):
        if end - start < SMALLEST_SHARE * planes.size:
            continue
        pred, truth = (z_m.ravel()[places[start:end]].astype(np.float64) for z_m in (pred_m, depth_m))
        deviation_m, normal = plane_through(rays[:, start:end] * (pred * median_ratio(pred, truth)))
        _, true_normal = plane_through(rays[:, start:end] * truth)
        sine, cosine = np.linalg.norm(np.cross(normal, true_normal)), abs(float(normal @ true_normal))
        figures.append((CM_PER_M * deviation_m, math.degrees(math.atan2(sine, cosine))))
    flatness_cm, orientation_deg = np.mean(figures, axis=0).tolist() if figures else (math.nan, math.nan)
    return PlaneErrors(flatness_cm, orientation_deg)


def rays_of(places: NDArray[np.intp], width: int, camera: Intrinsics) -> Floats:
    """Return the points of pixels at a depth of 1 m, (3, N), by their places in the flattened map."""
    rows, columns = np.divmod(places, width)
    return np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones(len(places))])


def plane_through(points: Floats) -> tuple[float, Floats]:
    """Fit a plane to (3, N) points: return the standard deviation of their distances, and its normal (3,)."""
    centred = points - points.mean(axis=1, keepdims=True)
    _, axes = np.linalg.eigh(centred @ centred.T)  # the smallest comes first
    normal = axes[:, 0]
    return float(np.std(normal @ centred)), normal
