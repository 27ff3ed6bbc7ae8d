"""The error of the field of view that a model sees in a photo."""

import math

from hqmd_cli.geometry.camera import Intrinsics


def fov_of(focal_px: float, width: int) -> float:
    """Return the horizontal field of view, in degrees, of a picture of `width` pixels."""
    return math.degrees(2 * math.atan(width / (2 * focal_px)))


def fov_error(fov_deg: float | None, camera: Intrinsics | None, width: int) -> float:
    """Compare a field of view with the camera's, |difference| in degrees; NaN if either is not known.

    As `fov_x`, `mae` in MoGe (https://github.com/microsoft/MoGe, moge/test/metrics.py at 637e23e). Where all photos are
    of one camera, a constant guess may be perfect.
    """
    if fov_deg is None or camera is None:
        return math.nan
    return abs(fov_deg - fov_of(camera.fx, width))
