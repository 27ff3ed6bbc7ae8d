"""Errors of a depth map as colours."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.visualization.colormap import RGB

ENDS_OF_RANGE = (1, 99)  # percentiles of depth; a few stray pixels would stretch the full range
# ColorBrewer's RdBu, as Matplotlib's RdBu_r: blue too near, white correct, red too far.
NEAR_TO_FAR = (
    (5, 48, 97), (33, 102, 172), (67, 147, 195), (146, 197, 222), (209, 229, 240), (247, 247, 247),
    (253, 219, 199), (244, 165, 130), (214, 96, 77), (178, 24, 43), (103, 0, 31),
)  # fmt: skip
ROUND_LIMITS_M = (1, 1.5, 2, 3, 5, 7.5)  # times any power of ten: the limits that a range of errors may have


def round_limit_m(least: float) -> float:
    """Return the smallest limit of ROUND_LIMITS_M, times a power of ten, that is at least this large."""
    power = 10.0 ** np.floor(np.log10(max(least, 1e-3)))
    return float(next(limit * power for limit in (*ROUND_LIMITS_M, 10) if limit * power >= least))


def colorize_error(error_m: NDArray[np.floating], limit_m: float) -> RGB:
    """Colour (H, W) prediction - truth, in metres, as (H, W, 3): blue is too near, red too far, white also NaN."""
    share = np.clip(np.nan_to_num(error_m) / limit_m, -1, 1)
    return error_colours()[np.round((share + 1) * 127.5).astype(np.uint8)]


@cache
def error_colours() -> NDArray[np.uint8]:
    """Return (256, 3) RGB from too near to too far."""
    places = np.linspace(0, len(NEAR_TO_FAR) - 1, 256)
    channels = [np.interp(places, range(len(NEAR_TO_FAR)), channel) for channel in zip(*NEAR_TO_FAR, strict=True)]
    return (np.stack(channels, axis=1) + 1e-6).astype(np.uint8)  # rounding must not turn 247 into 246
