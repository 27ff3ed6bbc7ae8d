"""The pictures of a report: photo, truth, and every model's depth and error, small enough to stand in a page."""

from functools import cache

import matplotlib
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.visualization.colormap import RGB

ENDS_OF_RANGE = (1, 99)  # percentiles of depth, as a few stray pixels would stretch the range


ERROR_COLORMAP = "RdBu_r"  # Matplotlib's, from ColorBrewer: blue too near, white right, red too far


ROUND_LIMITS_M = (1, 1.5, 2, 3, 5, 7.5)  # and their tenfold, tenth, ...: where a range of errors may end


def round_limit_m(wished: float) -> float:
    """The next of ROUND_LIMITS_M that is not less."""
    power = 10.0 ** np.floor(np.log10(max(wished, 1e-3)))
    return float(next(limit * power for limit in (*ROUND_LIMITS_M, 10) if limit * power >= wished))


def colorize_error(error_m: NDArray[np.floating], limit_m: float) -> RGB:
    """(H, W) prediction - truth in metres -> (H, W, 3): blue is too near, red too far. Any colour where not finite."""
    share = np.clip(np.nan_to_num(error_m) / limit_m, -1, 1)
    return error_colours()[np.round((share + 1) * 127.5).astype(np.uint8)]


@cache
def error_colours() -> NDArray[np.uint8]:
    """(256, 3) RGB from too near to too far."""
    return matplotlib.colormaps[ERROR_COLORMAP](np.arange(256), bytes=True)[:, :3]
