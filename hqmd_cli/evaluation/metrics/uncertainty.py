"""How good the errors are that a model states: AUSE, and the coverage of its 90 % intervals.

`off` is log(prediction / truth) of (P,) pixels, `stated` the relative errors that the model expects there, (P,), as
standard deviations (inference/uncertainty.py).
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating]

PIXELS = 2000  # of a picture
INTERVAL, DEVIATIONS = 0.9, 1.645  # a normal distribution has this share within so many standard deviations
STEPS = 20  # of a sparsification curve


class Surely(NamedTuple):
    """How good the stated errors of one picture are."""

    ause: float  # of the shape, for relative errors
    scale_held: float  # 1 if the error of the scale is within its interval, else 0
    shape_held: float  # share of the pixels within their intervals


def places_of(scored: NDArray[np.bool_]) -> NDArray[np.intp]:
    """Choose PIXELS evenly among those that count: their places in the flattened map."""
    places = np.flatnonzero(scored)
    return places[:: -(-len(places) // PIXELS)]


def parted(off: Floats) -> tuple[float, Floats]:
    """Part the errors of a picture in that of its scale, the median, and those of its shape, (P,), which are left."""
    middle = float(np.median(off))
    return middle, off - middle


def held(off: Floats, stated: Floats) -> float:
    """Share of errors within their 90 % intervals."""
    return float(np.mean(np.abs(off) <= DEVIATIONS * stated))


def how_surely(pred_m: Floats, depth_m: Floats, scored: NDArray[np.bool_], shape: Floats, scale: float) -> Surely:
    """Judge the errors that a model states for a picture: `shape` (H, W), and one of the scale."""
    places = places_of(scored)
    off = np.log(pred_m.ravel()[places].astype(np.float64) / depth_m.ravel()[places])
    scale_off, shape_off = parted(off)
    stated = shape.ravel()[places]
    return Surely(
        ause(np.abs(shape_off), stated), held(np.array([scale_off]), np.array([scale])), held(shape_off, stated)
    )


def ause(errors: Floats, stated: Floats) -> float:
    """Compute the area under the sparsification error curve. Ties are left out evenly.

    Absolute errors are averaged over the pixels that remain as the least sure ones are left out, 5 % at a time. From
    this curve the one of the best order is subtracted; the mean of the difference is divided by the error of all
    pixels, so 0 is the best order (Ilg et al., https://arxiv.org/abs/1802.07095, section 4).
    """
    left = np.unique(-(-len(errors) * np.arange(1, STEPS + 1) // STEPS))  # pixels that remain
    order = np.lexsort((np.random.default_rng(0).random(len(errors)), stated))
    by_stated, best = (np.cumsum(each) / np.arange(1, len(each) + 1) for each in (errors[order], np.sort(errors)))
    return float((by_stated - best)[left - 1].mean() / max(errors.mean(), 1e-9))
