"""How well a depth map keeps what a scene is made of: edges, occluding contours and the tilt of surfaces.

All functions take `pred_m` and `depth_m`, the prediction and its truth, (H, W) metres along the optical axis, and
`scored`, the (H, W) mask of the pixels that count, where both are positive and finite (evaluate.py has checked that).
Nothing that lies outside the mask matters, whatever is written there. NaN means not known: no pixel could be scored.
Whether that is so depends on truth and mask alone, so that models are compared on the same pictures.

Several metrics share most of their work. `detail_scores` does it once and returns them all by name.
"""

from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import Mask
from hqmd_cli.evaluation.metrics.edges import whole_windows
from hqmd_cli.evaluation.metrics.pixels import Depths
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.geometry.surfaces import REFERENCE_SIDE, on_jumps

# A Kinect tells depth in steps of about 2.6 cm at 3 m, where pixels are 6 mm apart. If that rounds pixels by chance, a
# plane through 7 x 7 pixels is some 5 degrees off, and one through 3 x 3 some 28.
PLANE_REACH_PX = 3  # in each direction; more where the longer side has over 640 pixels


BAND_ROWS = 96  # worked on at a time, so that memory is used again while it is at hand: almost twice as fast


def normal_angles(pred_m: Depths, depth_m: Depths, scored: Mask, camera: Intrinsics) -> NDArray[np.float32]:
    """(K,) degrees between the normals of prediction and truth, at the K pixels where the truth has a known normal.

    A normal is that of the plane that fits 1 / z best (least squares) in a window of 7 x 7 pixels, or of as much of the
    view in maps of over 640: 1 / z of a plane is linear in the pixels (see geometry.normals), so that planes are told
    exactly, at any slant. A pixel is scored if all of its window counts, lies in the map, and is off the truth's jumps
    (geometry.on_jumps, for which a pixel that does not count is one): across a jump, or with a part missing, the truth
    has no normal. Of the prediction nothing is excused: a jump where the truth is smooth turns the normal, an error.

    Noise of the truth counts as error of every model alike. Not comparable with normals that were cleaned otherwise
    (of NYU, those of Ladicky et al. 2014). The summary by mean, median and shares within 11.25, 22.5 and 30 degrees is
    that of Fouhey et al. 2013, Data-Driven 3D Primitives for Single Image Understanding.
    """
    reach = round(PLANE_REACH_PX * max(1.0, max(depth_m.shape) / REFERENCE_SIDE))
    # 0 is no depth; on_jumps holds pixels beside such ones for jumps, whatever lay there.
    smooth = ~on_jumps(np.where(scored, depth_m, 0))
    chosen = whole_windows(smooth, 2 * reach + 1)
    if not chosen.any():
        return np.empty(0, np.float32)
    angles = []
    for top in range(0, len(depth_m), BAND_ROWS):
        band = slice(max(top - reach, 0), top + BAND_ROWS + reach)  # with the rows that its windows see
        inner = slice(top - band.start, top - band.start + BAND_ROWS)
        camera_of_band = replace(camera, cy=camera.cy - band.start)
        pred, truth = (
            plane_normals(np.where(scored[band], z_m[band], 1), camera_of_band, reach)[:, inner]
            for z_m in (pred_m, depth_m)
        )
        angles.append(angles_between(pred, truth)[chosen[top : top + BAND_ROWS]])
    return np.concatenate(angles)


def plane_normals(z_m: Depths, camera: Intrinsics, reach: int) -> NDArray[np.float32]:
    """(H, W) positive depths -> (3, H, W), x, y, z of vectors of any length on the surface, away from the camera.

    Each plane is fitted to 1 / z in a window of 2 reach + 1 pixels: its slope along u is sum(u w) / sum(u^2), with w =
    1 / z and u counted from the window's middle, and its value there the mean of w. Sums are in float64, as a slope is
    a small difference of large numbers, which the focal length then makes large.
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
    np.multiply(slope, (np.arange(height) - camera.cy)[:, None], out=slope)
    np.subtract(outwards, slope, out=vectors[2], casting="same_kind")
    return vectors


def angles_between(vectors: NDArray[np.float32], others: NDArray[np.float32]) -> NDArray[np.float32]:
    """(3, H, W) twice, of any length -> (H, W) degrees."""
    (x, y, z), (a, b, c) = vectors, others
    sine = np.sqrt((y * c - z * b) ** 2 + (z * a - x * c) ** 2 + (x * b - y * a) ** 2)
    # By both, as the cosine alone can't tell 0 from 0.03 degrees in float32. The lengths cancel.
    return np.degrees(np.arctan2(sine, x * a + y * b + z * c))
