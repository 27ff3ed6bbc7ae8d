"""Fits of a prediction to the truth of its own picture, for what claims no metres. Each protocol says which it takes.

All take maps (H, W), the truth in metres, and `scored`, the mask of the pixels that count: only these are fitted to.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocol import Alignment

Map = NDArray[np.floating]
Mask = NDArray[np.bool_]


def by_median(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """Multiplied so that its median is the truth's: Zhou et al. 2017, https://arxiv.org/abs/1704.07813, section 4.1."""
    return pred * (np.median(depth_m[scored]) / np.median(pred[scored]))


def in_depth(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """a d + b with the least squared error in metres; 0 or less where that leads."""
    scale, shift = scale_and_shift(pred[scored], depth_m[scored])
    return pred * scale + shift


def in_disparity(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """As `from_disparity`, of a prediction that is a depth."""
    return from_disparity(1 / pred, depth_m, scored)


def from_disparity(disparity: Map, depth_m: Map, scored: Mask) -> Map:
    """1 / (a / d + b) with the least squared error in 1 / m; infinitely far where a / d + b is 0 or less.

    `disparity` is 1 / d up to scale and shift: Ranftl et al. 2020, https://arxiv.org/abs/1907.01341, section 5.
    """
    scale, shift = scale_and_shift(disparity[scored], 1 / depth_m[scored])
    fitted = disparity * scale + shift
    return np.divide(1, fitted, out=np.full_like(fitted, np.inf), where=fitted > 0)


def scale_and_shift(values: Map, targets: Map) -> tuple[float, float]:
    """a, b that minimise sum (a v + b - t)^2 over (T,) values. Raises HqmdError where all values are one."""
    mean, spread = values.mean(), values.var()
    if spread == 0:
        raise HqmdError("the prediction is the same at all pixels that count, so no scale and shift fit it")
    scale = np.mean((values - mean) * (targets - targets.mean())) / spread
    return float(scale), float(targets.mean() - scale * mean)


FITS: dict[Alignment, Callable[[Map, Map, Mask], Map]] = {
    "median": by_median,
    "scale-shift-depth": in_depth,
    "scale-shift-disparity": in_disparity,
}


def align(pred: Map, depth_m: Map, scored: Mask, alignment: Alignment, is_disparity: bool = False) -> Map:
    """The prediction after the fit, in float64; as it is where there is none. A disparity is fitted as one."""
    if alignment == "none":
        return pred
    fit = from_disparity if is_disparity else FITS[alignment]
    return fit(pred.astype(np.float64), depth_m.astype(np.float64), scored)
