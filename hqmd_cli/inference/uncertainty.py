"""How sure a prediction is: one relative error for the scale of a photo, and one per pixel for its shape. No torch.

The two fail apart: a room may have the right shape and be a fifth too large. Both errors are sums of simple terms of
the network's maps (config/view.py, ERROR_TERMS), which cost no further pass. Their coefficients are measured on
held-out photos (evaluation/how_sure.py), so that log depth is right within 1.645 times the error for 90 % of photos,
or pixels, as it would be with normal errors of this standard deviation.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.geometry.resize import shrink

Floats = NDArray[np.float32]
WINDOW = 0.1  # of the shorter side: the window in which views are compared, and in which relief is measured
NEAR_M, FLAT_STD = 3.0, 0.5  # scenes that are nearer, or whose log depth varies less, have terms of their own


class Terms(NamedTuple):
    """The terms of both errors, in the order of ERROR_TERMS."""

    scale: Floats  # (terms,)
    shape: Floats  # (terms, h, w)


@dataclass(frozen=True, eq=False)
class Uncertainty:
    """Relative errors of a photo's depth, as standard deviations: 0.1 is 10 %."""

    scale: float  # of all metres together
    shape: Floats  # (h, w) of each pixel, if the scale were right; at the size of the network's maps

    def at(self, size: tuple[int, ...]) -> Floats:
        """Return the error of the shape at the size (H, W) of a photo."""
        return shrink(self.shape, (size[0], size[1]))

    def with_camera(self, metres_error: float) -> "Uncertainty":
        """Add the relative error of the metres that comes from a focal length that is assumed."""
        return replace(self, scale=math.hypot(self.scale, metres_error))

    def measured_at(self, x: int, y: int, size: tuple[int, ...]) -> "Uncertainty":
        """Return the errors once depth (H, W) is right at pixel (x, y): the others' scale is as wrong as its shape."""
        return replace(self, scale=float(self.at(size)[y, x]))


def uncertainty(logs: Floats, scale_error: Sequence[float], shape_error: Sequence[float]) -> Uncertainty:
    """Compute both errors from the log depth of each view, (views, h, w), and the coefficients of a view."""
    terms = terms_of(logs)
    shape = np.tensordot(np.array(shape_error, np.float32), terms.shape, axes=1)
    return Uncertainty(float(np.dot(scale_error, terms.scale)), shape.astype(np.float32, copy=False))


def terms_of(logs: Floats) -> Terms:
    """Compute the terms from the log depth of each view, (views, h, w)."""
    mean = logs.mean(axis=0)
    height, width = mean.shape
    middles = logs.mean(axis=(1, 2))  # of each view
    middle = middles.mean()
    centred = mean - middle
    apart = (logs - middles[:, None, None] - centred) ** 2
    window = 2 * round(WINDOW * min(height, width) / 2) + 1
    relief = np.maximum(box_mean(centred**2, window) - box_mean(centred, window) ** 2, 0)
    down = np.abs(places(height))[:, None]
    side = np.broadcast_to(np.abs(places(width)), mean.shape)
    shape = [
        np.ones_like(mean),
        np.sqrt(box_mean(apart.mean(axis=0), window)),
        np.sqrt(relief),
        np.maximum(centred, 0),
        np.broadcast_to(np.maximum(-places(height), 0)[:, None], mean.shape),
        side,
        np.maximum(side, down) ** 4,
    ]
    scale = [1, middles.std(), max(0, np.log(NEAR_M) - middle), max(0, FLAT_STD - mean.std())]
    return Terms(np.array(scale, np.float32), np.stack(shape))


def places(length: int) -> Floats:
    """Return where the pixels of an axis are, from -1 at one end to 1 at the other."""
    return ((2 * np.arange(length) + 1) / length - 1).astype(np.float32)


def box_mean(values: Floats, window: int) -> Floats:
    """Average (h, w) over a square window, as far as it lies in the picture."""
    sums, counts = (
        cv2.boxFilter(each, -1, (window, window), normalize=False, borderType=cv2.BORDER_CONSTANT)
        for each in (values, np.ones_like(values))
    )
    return (sums / counts).astype(np.float32, copy=False)
