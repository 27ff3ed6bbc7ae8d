"""How well a depth map keeps the tilt of surfaces: the angles between normals of prediction and truth."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import Mask, whole_windows
from hqmd_cli.evaluation.metrics.pixels import Depths
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.geometry.surfaces import REFERENCE_SIDE, on_jumps

# A Kinect measures depth in steps of about 2.6 cm at 3 m, where pixels are 6 mm apart. Rounded by chance, a plane
# through 7 x 7 pixels is some 5 degrees off, and one through 3 x 3 some 28.
PLANE_REACH_PX = 3  # in each direction; more if the longer side has over 640 pixels
BAND_ROWS = 96  # processed at a time, so that memory stays in the cache: almost twice as fast


class Normals(NamedTuple):
    """Normals of a prediction and its truth, of any length, away from the camera."""

    pred: NDArray[np.float32]  # (3, H, W): x, y, z
    truth: NDArray[np.float32]  # (3, H, W)
    chosen: Mask  # (H, W) where the truth has a known normal; elsewhere they mean nothing
    angles_deg: NDArray[np.float32]  # (K,) between them at the chosen pixels


def compare_normals(pred_m: Depths, depth_m: Depths, scored: Mask, camera: Intrinsics) -> Normals:
    """Compute the normals of two maps where the truth has a known normal, and the angles between them.

    `pred_m`, `depth_m` and the mask `scored` are (H, W); values outside the mask are ignored. A normal belongs to the
    plane that fits 1 / z best (least squares) in a window of 7 x 7 pixels, or in the same share of a map of over 640.
    1 / z of a plane is linear in the pixels (see geometry/surfaces.py), so that planes are exact at any slant. A pixel
    counts if all of its window is scored, lies in the map, and is off the truth's jumps (`on_jumps`, for which an
    unscored pixel is one): elsewhere the truth has no normal. The prediction gets no such exception: a jump where the
    truth is smooth is an error.

    Noise of the truth counts as error of every model alike. Not comparable with normals that were cleaned in other ways
    (for NYU, Ladicky et al. 2014). The summary by mean, median and shares within 11.25, 22.5 and 30 degrees is from
    Fouhey et al. 2013, Data-Driven 3D Primitives for Single Image Understanding.
    """
    reach = round(PLANE_REACH_PX * max(1.0, max(depth_m.shape) / REFERENCE_SIDE))
    smooth = ~on_jumps(depth_m, valid=scored)  # which takes the pixels beside those that do not count for jumps
    chosen = whole_windows(smooth, 2 * reach + 1)
    fields = [np.zeros((3, *depth_m.shape), np.float32) for _ in range(2)]
    if not chosen.any():
        return Normals(fields[0], fields[1], chosen, np.empty(0, np.float32))
    angles = []
    for top in range(0, len(depth_m), BAND_ROWS):
        band = slice(max(top - reach, 0), top + BAND_ROWS + reach)  # with the rows that its windows reach
        inner = slice(top - band.start, top - band.start + BAND_ROWS)
        pred, truth = (
            plane_normals(np.where(scored[band], z_m[band], 1), camera, reach, band.start)[:, inner]
            for z_m in (pred_m, depth_m)
        )
        angles.append(angles_between(pred, truth)[chosen[top : top + BAND_ROWS]])
        for field, vectors in zip(fields, (pred, truth), strict=True):
            field[:, top : top + BAND_ROWS] = vectors
    return Normals(fields[0], fields[1], chosen, np.concatenate(angles))


def plane_normals(z_m: Depths, camera: Intrinsics, reach: int, first_row: int) -> NDArray[np.float32]:
    """Fit planes to (H, W) positive depths; return their normals, (3, H, W): x, y, z, any length, away from the camera.

    Row 0 of `z_m` is row `first_row` of the camera's picture. Each plane is fitted to 1 / z in a window of 2 reach + 1
    pixels: its slope along u is sum(u w) / sum(u^2), with w = 1 / z and u counted from the window's middle, and its
    value there the mean of w. Sums are in float64: a slope is a small difference of large numbers, which the focal
    length then multiplies.
    """
    height, width = z_m.shape
    inverse = np.divide(1, z_m, dtype=np.float64)
    ramp = np.arange(-reach, reach + 1.0)
    ramp /= ramp @ ramp
    mean = np.full(2 * reach + 1, 1 / (2 * reach + 1))
    vectors = np.empty((3, height, width), np.float32)
    outwards = np.asarray(cv2.sepFilter2D(inverse, cv2.CV_64F, mean, mean))
    slope = np.asarray(cv2.sepFilter2D(inverse, cv2.CV_64F, ramp, mean))
    np.multiply(slope, camera.fx, out=vectors[0], casting="same_kind")
    np.multiply(slope, np.arange(width) - camera.cx, out=slope)
    np.subtract(outwards, slope, out=outwards)
    slope = np.asarray(cv2.sepFilter2D(inverse, cv2.CV_64F, mean, ramp, dst=slope))
    np.multiply(slope, camera.fy, out=vectors[1], casting="same_kind")
    np.multiply(slope, (np.arange(height) - (camera.cy - first_row))[:, None], out=slope)
    np.subtract(outwards, slope, out=vectors[2], casting="same_kind")
    return vectors


def angles_between(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure the angles in degrees, (...), between vectors and others, (3, ...) each, of any length."""
    (x, y, z), (a, b, c) = vectors, others
    sine = np.sqrt((y * c - z * b) ** 2 + (z * a - x * c) ** 2 + (x * b - y * a) ** 2)
    # In float32 the cosine alone can't tell 0 from 0.03 degrees. The lengths cancel.
    return np.degrees(np.arctan2(sine, x * a + y * b + z * c))
