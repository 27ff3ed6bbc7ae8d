"""Depth maps as numbers: which pixels are valid, and which end of their range is near."""

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.units import Kind


def valid_depth(depth: NDArray[np.number], kind: Kind = "depth") -> NDArray[np.bool_]:
    """Mark the pixels that are finite and, for metric depth, positive. Keeps the shape."""
    return np.isfinite(depth) & (depth > 0) if kind == "depth" else np.isfinite(depth)


def require_depth(depth_m: NDArray[np.floating], name: str, kind: Kind = "depth") -> None:
    """Raise HqmdError unless every pixel of a prediction (H, W) is finite and, for metric depth, positive.

    Disparity and relative depth may be zero or negative.
    """
    if not np.isfinite(depth_m).all():
        raise HqmdError(f"{name}: the prediction has {np.count_nonzero(~np.isfinite(depth_m))} NaN or infinite pixels")
    if kind == "depth" and depth_m.min() <= 0:
        raise HqmdError(f"{name}: the prediction has depths of 0 or less, {depth_m.min():g} the lowest")


def require_plausible(depth_m: NDArray[np.floating], name: str) -> None:
    """Raise HqmdError for metric depth (H, W) that no photo has, such as that of damaged weights or a wrong unit."""
    least, greatest = float(depth_m.min()), float(depth_m.max())
    if least < NEAREST_M or greatest > LARGEST_DEPTH_M:
        raise HqmdError(
            f"{name}: depth of {least:g} to {greatest:g} m; metres are written from {NEAREST_M:g} to "
            f"{LARGEST_DEPTH_M:.0f}: is the unit right, and the focal length?"
        )


LARGEST_DEPTH_M = 100_000.0  # that is asked for, measured, shown or written; the far side of any view on Earth
SMALLEST_DEPTH_M = 0.001  # that is measured
NEAREST_M = 1e-6  # that is written
FLAT = 1e-4  # relative span below which a map counts as one depth everywhere


def is_flat(depth_m: NDArray[np.floating]) -> bool:
    """True if a map (H, W) of several pixels has one value everywhere, but for rounding."""
    least, greatest = float(depth_m.min()), float(depth_m.max())
    return depth_m.size > 1 and greatest - least <= FLAT * max(abs(least), abs(greatest))


def near_and_far(least: float, greatest: float, kind: Kind) -> tuple[float, float]:
    """Order the two ends of a map's range: the nearest first. A disparity is greatest where it is nearest."""
    return (greatest, least) if kind == "disparity" else (least, greatest)
