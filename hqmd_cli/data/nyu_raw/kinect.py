"""The Kinect of NYU Depth V2: its raw frames in metres, and as its colour camera sees them. Arrays in, arrays out.

Numbers and formulas are those of the dataset's toolbox, http://cs.nyu.edu/~silberman/code/toolbox_nyu_depth_v2.zip:
camera_params.m, depth_rel2depth_abs.m, depth_world2rgb_world.m and project_depth_map.m. Intrinsics and distortion agree
in https://github.com/Lucass97/nyuv2_raw_dataset_extractor (tools/camera_parameters.py) and SLAMBench (NYURGBD.h), the
rotation in several copies of camera_params.m, the order of the translation in depth_world2rgb_world.m of
https://github.com/onmyoji-xiao/NYU_Raw_extract.

It differs from the toolbox in three things. Every measured pixel is moved by itself along its ray, where the toolbox
first straightens the raw picture bilinearly, which makes up depths between what is near and what is behind. Depth is
that from the colour camera along its axis, as everywhere in hqmd, where the toolbox keeps that from the depth camera,
half a percent away at most. Pixels are counted from 0, as the calibration does, not from 1: a tenth of a pixel.
"""

from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HEIGHT, WIDTH = 480, 640
LARGEST_RAW = 2047  # 11 bits; the sensor's word for no depth
# Below it the toolbox takes nothing either, so that 0.71 m is the least depth of the labelled pictures.
LEAST_RAW = 600
FARTHEST_M = 10.0  # maxDepth
DEPTH_PARAM_1, DEPTH_PARAM_2 = 351.3, 1092.5
WHITE = (
    255,
    255,
    255,
)  # what the toolbox has where a straightened photo ends, and so all labelled pictures on their rim


@dataclass(frozen=True)
class Camera:
    """A pinhole camera with OpenCV's distortion; fx, fy, cx, cy in pixels of 640 x 480."""

    fx: float
    fy: float
    cx: float
    cy: float
    distortion: tuple[float, float, float, float, float]  # k1, k2, p1, p2, k3

    @property
    def matrix(self) -> Floats:
        """(3, 3), from directions to pixels."""
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
    """The sensor's numbers as metres from the depth camera, 0 where it measured nothing within its range."""
    measured = (raw >= LEAST_RAW) & (raw < DEPTH_PARAM_2)
    depth_m = DEPTH_PARAM_1 / (DEPTH_PARAM_2 - np.where(measured, raw, 0))
    return np.where(measured & (depth_m <= FARTHEST_M), depth_m, 0).astype(np.float32)


def to_colour_camera(points: Floats) -> Floats:
    """(N, 3) metres in the depth camera's frame -> the same points in the colour camera's; x right, y down, z forward.

    The toolbox negates the rotation, which turns all signs round and cancels where it divides by z.
    """
    return points @ np.linalg.inv(ROTATION).T - TRANSLATION_M


def project(raw: NDArray[np.uint16]) -> NDArray[np.float32]:
    """A raw depth frame (480, 640) -> metres from the colour camera at the pixels of the straightened photo; 0: none.

    Where two points fall on one pixel, the nearer hides the other.
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


def straighten(photo: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A raw photo (480, 640, 3) as the colour camera would have taken it without distortion."""
    return cv2.remap(photo, *colour_maps(), cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=WHITE)  # type: ignore[return-value]


@cache
def depth_rays() -> Floats:
    """(480 * 640, 3): which way each pixel of the depth camera looks; z = 1."""
    v, u = np.mgrid[:HEIGHT, :WIDTH].reshape(2, -1)
    x, y = without_distortion((u - DEPTH.cx) / DEPTH.fx, (v - DEPTH.cy) / DEPTH.fy, DEPTH)
    return np.stack([x, y, np.ones_like(x)], axis=1)


def without_distortion(x_seen: Floats, y_seen: Floats, camera: Camera) -> tuple[Floats, Floats]:
    """Directions as a camera sees them -> as they are, by fixed-point iteration, which for these lenses contracts."""
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
    """Where in the raw photo each pixel of the straightened one is: columns and rows, (480, 640)."""
    matrix, distortion = COLOUR.matrix, np.array(COLOUR.distortion)
    return cv2.initUndistortRectifyMap(matrix, distortion, None, matrix, (WIDTH, HEIGHT), cv2.CV_32FC1)  # type: ignore[return-value]
