"""Kinect of NYU Depth V2: convert raw depth to metres, and project it into the colour camera. Arrays in, arrays out.

Numbers and formulas come from the dataset's toolbox, http://cs.nyu.edu/~silberman/code/toolbox_nyu_depth_v2.zip:
camera_params.m, depth_rel2depth_abs.m, depth_world2rgb_world.m and project_depth_map.m. Intrinsics and distortion agree
with https://github.com/Lucass97/nyuv2_raw_dataset_extractor (tools/camera_parameters.py) and SLAMBench (NYURGBD.h), the
rotation with several copies of camera_params.m, the order of the translation with depth_world2rgb_world.m of
https://github.com/onmyoji-xiao/NYU_Raw_extract.

Three things differ from the toolbox:
- Each measured pixel is projected along its own ray. The toolbox first undistorts the raw picture bilinearly, which
  invents depths between foreground and background.
- Depth is measured from the colour camera along its axis, as everywhere in hqmd. The toolbox keeps the distance to the
  depth camera, which differs by half a percent at most.
- Pixels are counted from 0, as in the calibration, and not from 1. This shifts depth by a tenth of a pixel.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HEIGHT, WIDTH = 480, 640
LARGEST_RAW = 2047  # 11 bits; means no depth
LEAST_RAW = 600  # the toolbox's limit, too: 0.71 m is the least depth in the labelled pictures
FARTHEST_M = 10.0  # maxDepth in the toolbox
DEPTH_PARAM_1, DEPTH_PARAM_2 = 351.3, 1092.5
WHITE = (255, 255, 255)  # beyond the undistorted photo, as in the toolbox; all labelled pictures have this rim


@dataclass(frozen=True)
class Camera:
    """Pinhole camera with OpenCV's distortion model; fx, fy, cx, cy in pixels at 640 x 480."""

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float]  # k1, k2, p1, p2, k3

    @property
    def matrix(self) -> Floats:
        """Camera matrix (3, 3), from directions to pixels."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]])


COLOUR = Camera(
    518.85790117450188,
    519.46961112127485,
    325.58244941119034,
    253.73616633400465,
    (0.20796615318809061, -0.58613825163911781, 7.2231363135888329e-04, 1.0479627195765181e-03, 0.49856986684705107),
)
DEPTH = Camera(
    582.62448167737955,
    582.69103270988637,
    313.04475870804731,
    238.44389626620386,
    (-0.099897236553084481, 0.39065324602765344, 1.9290592870229277e-03, -1.9422022475975055e-03, -0.51031725053400578),
)
ROTATION = np.array(
    [
        [9.9997798940829263e-01, 5.0518419386157446e-03, 4.3011152014118693e-03],
        [-5.0359919480810989e-03, 9.9998051861143999e-01, -3.6879781309514218e-03],
        [-4.3196624923060242e-03, 3.6662365748484798e-03, 9.9998394948385538e-01],
    ]
)
TRANSLATION_M = np.array([2.5031875059141302e-02, -2.9342312935846411e-04, 6.6238747008330102e-04])  # t_x, t_z, t_y


def metres(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Convert the sensor's numbers to metres from the depth camera; 0 outside its range. Keeps the shape."""
    measured = (raw >= LEAST_RAW) & (raw < DEPTH_PARAM_2)
    depth_m = DEPTH_PARAM_1 / (DEPTH_PARAM_2 - np.where(measured, raw, 0))
    return np.where(measured & (depth_m <= FARTHEST_M), depth_m, 0).astype(np.float32)


def to_colour_camera(points: Floats) -> Floats:
    """Transform points (N, 3), metres, from the depth camera to the colour camera; x right, y down, z forward.

    The toolbox negates the rotation, and so all signs, which cancels in the division by z.
    """
    return points @ np.linalg.inv(ROTATION).T - TRANSLATION_M


def project(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """Project a raw depth frame (480, 640) onto the undistorted photo: (480, 640) metres, 0 where unknown.

    If two points fall on one pixel, the nearer one is kept.
    """
    depth_m = metres(raw).ravel()
    seen = depth_m > 0
    x, y, z = to_colour_camera(depth_rays()[seen] * depth_m[seen, None]).T
    u = np.round(COLOUR.fx * x / z + COLOUR.cx).astype(int)
    v = np.round(COLOUR.fy * y / z + COLOUR.cy).astype(int)
    inside = (u >= 0) & (u < WIDTH) & (v >= 0) & (v < HEIGHT)
    nearest = np.full(HEIGHT * WIDTH, np.inf)
    np.minimum.at(nearest, v[inside] * WIDTH + u[inside], z[inside])
    return np.where(np.isfinite(nearest), nearest, 0).astype(np.float32).reshape(HEIGHT, WIDTH)


def undistort(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Undistort a raw photo (480, 640, 3)."""
    return cv2.remap(photo, *colour_maps(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=WHITE)  # type: ignore[return-value]


@cache
def depth_rays() -> Floats:
    """Directions (480 * 640, 3) of the depth camera's pixels, with z = 1."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1)
    x, y = undistort_directions((u - DEPTH.cx) / DEPTH.fx, (v - DEPTH.cy) / DEPTH.fy, DEPTH)
    return np.stack([x, y, np.ones_like(x)], axis=1)


def undistort_directions(x_seen: Floats, y_seen: Floats, camera: Camera) -> tuple[Floats, Floats]:
    """Undistort directions x / z and y / z by fixed-point iteration, which converges for these lenses."""
    k1, k2, p1, p2, k3 = camera.distortion
    x, y = x_seen, y_seen
    for _ in range(30):
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        x, y = (
            (x_seen - 2 * p1 * x * y - p2 * (r2 + 2 * x * x)) / radial,
            (y_seen - 2 * p2 * x * y - p1 * (r2 + 2 * y * y)) / radial,
        )
    return x, y


@cache
def colour_maps() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Columns and rows in the raw photo, each (480, 640), of the pixels of the undistorted photo."""
    matrix, distortion = COLOUR.matrix, np.array(COLOUR.distortion)
    return cv2.initUndistortRectifyMap(matrix, distortion, None, matrix, (WIDTH, HEIGHT), cv2.CV_32FC1)  # type: ignore[return-value]
