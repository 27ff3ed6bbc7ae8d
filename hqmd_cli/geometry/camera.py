"""The camera of a photo, which turns pixels and metres into points in space."""

import math
from dataclasses import dataclass

from hqmd_cli.errors import HqmdError

# Diagonal of a 36 x 24 mm frame. CIPA DCG-001 defines the 35 mm equivalent by equal diagonal angles of view, for any
# aspect ratio and orientation. With the frame's width (36 mm) the focal length of a 4:3 photo would be 4 % shorter.
DIAGONAL_35MM = math.hypot(36, 24)
# NYU Depth V2's colour camera, a Kinect (fx_rgb in camera_params.m of the dataset's toolbox), for 640 x 480.
NYU_FX, NYU_LONGER_SIDE, NYU_SHORTER_SIDE = 518.86, 640, 480
# Relative error, as a standard deviation, of metres where NYU's focal length is assumed, 28 mm as 35 mm equivalent. The
# main cameras of phones have 23 mm (Galaxy S22) to 35 mm (iPhone 4S): log(35 / 23) / sqrt(12), if evenly spread.
ASSUMED_FOCAL_ERROR = 0.12

FX_RANGE = (0.01, 1e7)  # pixels; beyond, points in space would have coordinates that no program takes
FOV_RANGE = (0.01, 179.9)  # degrees


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole camera without distortion. All numbers are pixels; pixel centres lie at whole numbers."""

    fx: float
    fy: float
    cx: float
    cy: float
    origin: str  # source of the focal length, in words
    is_known: bool = True  # False: unknown, and NYU's camera is assumed

    @property
    def metres_error(self) -> float:
        """The relative error of metres that comes from the focal length, as a standard deviation; 0 if it is known."""
        return 0.0 if self.is_known else ASSUMED_FOCAL_ERROR

    def metres_factor(self, height: int, width: int) -> float:
        """Return what the depth of a network is multiplied by for this camera and a photo of height x width pixels.

        A network cannot tell a longer lens from a nearer room. It learns depth as NYU's camera would see it, with a
        focal length of 1.08 shorter sides; depth grows in proportion to the focal length (Yin et al., "Metric3D",
        https://arxiv.org/abs/2307.10984, section 3.1). An assumed camera changes nothing.
        """
        if not self.is_known:
            return 1.0
        return math.sqrt(self.fx * self.fy) / min(height, width) / (NYU_FX / NYU_SHORTER_SIDE)


def require_camera(fov_deg: float | None, fx: float | None, camera: object = None) -> None:
    """Raise HqmdError for a field of view or a focal length that no photo can have, or for two of the three."""
    if len([given for given in (fx, fov_deg, camera) if given is not None]) > 1:
        raise HqmdError("--fx, --fov and --camera all set the focal length; give one of them")
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
    camera: Intrinsics | None = None,
    focal_35mm: float | None = None,
    exif_fault: str = "",
) -> Intrinsics:
    """Find the camera of an upright photo of height x width pixels.

    Uses, in this order: the user's camera, focal length fx in pixels or horizontal field of view fov_deg in degrees;
    the EXIF 35 mm equivalent focal_35mm in millimetres (tag 0xA405; 0 means unknown, Exif 2.3); the camera of NYU Depth
    V2, scaled to the photo's longer side. `exif_fault` says why EXIF does not count (files/photo_facts.py).

    Raises HqmdError if two of camera, fx and fov_deg are given, and for impossible values.
    """
    require_camera(fov_deg, fx, camera)
    if camera is not None:
        return camera
    known = True
    if fx is not None:
        focal_px, origin = fx, f"focal length of {fx:g} pixels, as given"
    elif fov_deg is not None:
        focal_px = width / (2 * math.tan(math.radians(fov_deg) / 2))
        origin = f"horizontal field of view of {fov_deg:g} degrees, as given"
    elif focal_35mm:
        focal_px = focal_35mm * math.hypot(height, width) / DIAGONAL_35MM
        origin = f"35 mm equivalent focal length of {focal_35mm:g} mm, from the photo's EXIF"
        if not 0 < focal_px < math.inf:
            raise HqmdError(f"the photo's EXIF has a 35 mm focal length of {focal_35mm:g} mm; give --fov or --fx")
    else:
        known, focal_px = False, NYU_FX * max(height, width) / NYU_LONGER_SIDE
        why = exif_fault or "the photo does not say"
        origin = f"the camera of NYU Depth V2, assumed: {why}; --fov or --fx would"
    return Intrinsics(focal_px, focal_px, (width - 1) / 2, (height - 1) / 2, origin, is_known=known)
