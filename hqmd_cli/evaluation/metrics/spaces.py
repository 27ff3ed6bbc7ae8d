"""Depth in three spaces: as the model gives it, scaled, and after a fit of scale and shift to the same picture's truth.

A wrong scale is an error in the first space only, a wrong shift in the first two, a wrong shape in all three.
"""

from typing import NamedTuple

import numpy as np

from hqmd_cli.evaluation.metrics.pixels import Depths, median_ratio, scale_and_shift
from hqmd_cli.units import Kind

LEAST_FITTED_M = 0.001  # a fit with a shift may give depth of 0 or less, which has no ratio


class Spaces(NamedTuple):
    """A prediction at its (T,) scored pixels, in metres; None for spaces that need metres where it has none."""

    native: Depths | None
    scaled: Depths | None
    fitted: Depths


def spaces_of(given: Depths, depth_m: Depths, kind: Kind) -> Spaces:
    """Bring (T,) values as a model gives them into the three spaces, by their truth in metres."""
    if kind == "disparity":
        return Spaces(None, None, fitted_in_disparity(given, depth_m))
    fitted = fitted_in_depth(given, depth_m)
    return Spaces(given, scaled(given, depth_m), fitted) if kind == "depth" else Spaces(None, None, fitted)


def scaled(pred_m: Depths, depth_m: Depths) -> Depths:
    """Scale a prediction so that its median is the truth's. Nothing is clamped."""
    return pred_m * median_ratio(pred_m, depth_m)


def fitted_in_depth(pred: Depths, depth_m: Depths) -> Depths:
    """Fit a d + b with the least squared error in metres; the result is LEAST_FITTED_M at least."""
    scale, shift = scale_and_shift(pred, depth_m)
    return np.maximum(scale * pred + shift, LEAST_FITTED_M)


def fitted_in_disparity(disparity: Depths, depth_m: Depths) -> Depths:
    """Fit 1 / (a v + b) with the least squared error in 1 / m; the result is no farther than the farthest truth.

    Without this clamp a disparity near 0 becomes a depth of kilometres, and a few such pixels decide AbsRel. The clamp
    is that of MoGe (https://github.com/microsoft/MoGe, moge/test/metrics.py at 637e23e).
    """
    scale, shift = scale_and_shift(disparity, 1 / depth_m)
    return 1 / np.maximum(scale * disparity + shift, 1 / depth_m.max())
