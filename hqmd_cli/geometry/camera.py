"""The camera of a photo, which turns pixels and metres into points in space."""

import math
from dataclasses import dataclass

from hqmd_cli.errors import HqmdError

# Diagonal of a 36 x 24 mm frame. CIPA DCG-001 defines the 35 mm equivalent by equal diagonal angles of view, for any
# aspect ratio and orientation. With the frame's width (36 mm) the focal length of a 4:3 photo would be 4 % shorter.
DIAGONAL_35MM = math.hypot(36, 24)
# NYU Depth V2's colour camera, a Kinect (fx_rgb in camera_params.m of the dataset's toolbox), for 640 x 480.
NYU_FX, NYU_LONGER_SIDE = 518.86, 640


FX_RANGE = (0.01, 1e7)  # pixels; beyond, points in space would have coordinates that no program takes
FOV_RANGE = (0.01, 179.9)  # degrees


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion, with square pixels, looking through the middle of the photo.

    All numbers are pixels. Pixel centres lie at whole numbers, so cx = (width - 1) / 2.
    """

    fx: float
    fy: float
    cx: float
    cy: float
    origin: str  # source of the focal length, in words


def require_camera(fov_deg: float | None, fx: float | None) -> None:
    """Raise HqmdError for a field of view or a focal length that no photo can have, or if both are given."""
    if fx is not None and fov_deg is not None:
        raise HqmdError("--fx and --fov both set the focal length; give one of them")
    shortest, longest = FX_RANGE
    if fx is not None and not shortest <= fx <= longest:
        raise HqmdError(f"--fx {fx:g}: a focal length is a positive number of pixels, {shortest:g} to {longest:g}")
    narrowest, widest = FOV_RANGE
    if fov_deg is not None and not narrowest <= fov_deg <= widest:
        raise HqmdError(
            f"--fov {fov_deg:g}: a field of view lies between 0 and 180 degrees, {narrowest:g} to {widest:g} here"
        )


def find_intrinsics(
    height: int,
    width: int,
    *,
    fov_deg: float | None = None,
    fx: float | None = None,
    focal_35mm: float | None = None,
) -> Intrinsics:
    """Find the camera of an upright photo of height x width pixels.

    Uses, in this order: the user's focal length fx in pixels or horizontal field of view fov_deg in degrees; the EXIF
    35 mm equivalent focal_35mm in millimetres (tag 0xA405; 0 means unknown, Exif 2.3); the camera of NYU Depth V2,
    scaled to the photo's longer side. EXIF describes the whole frame, so it is wrong for a cropped photo.

    Raises HqmdError if both fx and fov_deg are given, and for impossible values.
    """
    require_camera(fov_deg, fx)
    if fx is not None:
        focal_px, origin, fault = fx, f"focal length of {fx:g} pixels, as given", ""
    elif fov_deg is not None:
        focal_px = width / (2 * math.tan(math.radians(fov_deg) / 2))
        origin, fault = f"horizontal field of view of {fov_deg:g} degrees, as given", ""
    elif focal_35mm:
        focal_px = focal_35mm * math.hypot(height, width) / DIAGONAL_35MM
        origin = f"35 mm equivalent focal length of {focal_35mm:g} mm, from the photo's EXIF"
        fault = f"the photo's EXIF has a 35 mm focal length of {focal_35mm:g} mm; give --fov or --fx"
    else:
        focal_px = NYU_FX * max(height, width) / NYU_LONGER_SIDE
        origin, fault = "the camera of NYU Depth V2, assumed: the photo does not say; --fov or --fx would", ""
    if not 0 < focal_px < math.inf:
        raise HqmdError(fault)
    return Intrinsics(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, origin)
