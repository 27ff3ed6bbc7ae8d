"""Depth in three spaces: as the model gives it, scaled, and after a fit of scale and shift to the same picture's truth.

A wrong scale is an error in the first space only, a wrong shift in the first two, a wrong shape in all three.
"""

import math
from typing import NamedTuple

import numpy as np

from hqmd_cli.evaluation.metrics.pixels import Depths, abs_rel, delta, median_ratio, no_farther, scale_and_shift
from hqmd_cli.units import Kind

LEAST_FITTED_M = 0.001  # a fit with a shift may give depth of 0 or less, which has no ratio


class Spaces(NamedTuple):
    """AbsRel and delta1 in each space; NaN for spaces that need metres where the model gives none."""

    abs_rel_native: float
    delta1_native: float
    abs_rel_scaled: float
    delta1_scaled: float
    abs_rel_fitted: float
    delta1_fitted: float


def in_spaces(given: Depths, depth_m: Depths, kind: Kind) -> Spaces:
    """Score (T,) values as a model gives them in the three spaces, by their truth in metres.

    Scaled: the median becomes the truth's; nothing is clamped. Fitted: a d + b, with the least squared error in metres,
    and LEAST_FITTED_M at least; for disparity, see `fitted_in_disparity`.
    """
    if kind == "disparity":
        fitted = fitted_in_disparity(given, depth_m)
    else:
        scale, shift = scale_and_shift(given, depth_m)
        fitted = np.maximum(scale * given + shift, LEAST_FITTED_M)
    spaces = [given, given * median_ratio(given, depth_m), fitted] if kind == "depth" else [fitted]
    figures = [figure for pred_m in spaces for figure in (abs_rel(pred_m, depth_m), delta(pred_m, depth_m, 1))]
    return Spaces(*[math.nan] * (len(Spaces._fields) - len(figures)), *figures)


def fitted_in_disparity(disparity: Depths, depth_m: Depths) -> Depths:
    """Fit 1 / (a v + b) with the least squared error in 1 / m; the result is no farther than the farthest truth."""
    scale, shift = scale_and_shift(disparity, 1 / depth_m)
    return no_farther(scale * disparity + shift, depth_m.max())
