"""Turn samples into training input. Arrays in, arrays out; no torch. Shapes are (H, W).

At scale 1 the network sees a photo as large as in predict (geometry/resize.py).
"""

from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Sample
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.geometry.resize import base_scale, shrink


@dataclass(frozen=True)
class Augmentation:
    """How far a training sample may be changed. Ranges are uniform, both ends inclusive."""

    scale: tuple[float, float] = (1.0, 1.5)  # enlarging brings things nearer: depth is divided by it
    rotation_deg: float = 5.0  # either way, about the centre
    colour: tuple[float, float] = (0.8, 1.2)  # factor of each channel
    flip: float = 0.5  # chance of mirroring left and right
    brightness: tuple[float, float] = (1.0, 1.0)  # factor of all channels together
    gamma: tuple[float, float] = (1.0, 1.0)
    grey: float = 0.0  # chance of losing all colour
    turn_deg: float = 0.0  # the camera is turned so far at most up or down, and left or right, before the crop


# Eigen, Puhrsch and Fergus 2014, section 3.4 (the paper's reference 5). They multiply by one "random RGB value".
EIGEN = Augmentation()


# For long runs on few pictures.
STRONG = Augmentation(rotation_deg=7.5, brightness=(0.7, 1.3), gamma=(0.75, 1.33), grey=0.1)


AUGMENTATIONS = {
    "eigen": EIGEN,
    "strong": STRONG,
    # Floors and walls of 721 photos, seen by cameras held at many more angles.
    "turned": replace(STRONG, turn_deg=8.0),
}


@dataclass(frozen=True)
class TrainTransform:
    """A sample to network input at exactly `size`; image, depth and mask move together."""

    size: tuple[int, int]
    augmentation: Augmentation = EIGEN

    def __call__(self, sample: Sample, rng: "np.random.Generator") -> dict[str, NDArray[Any]]:
        """-> rgb (3, h, w) float32 0..1, depth_m (1, h, w) float32, valid (1, h, w) bool.

        What the turned photo does not cover is black and invalid. Depth is sampled, never blended: a blend of near
        and far at an edge is the depth of nothing. A turned camera sees the same points at other depths. Depth is
        what NYU's camera would see, whichever camera took the photo (geometry/camera.py).
        """
        height, width = sample.depth_m.shape
        scale = rng.uniform(*self.augmentation.scale)
        angle = rng.uniform(-self.augmentation.rotation_deg, self.augmentation.rotation_deg)
        flip = rng.random() < self.augmentation.flip
        most = self.augmentation.turn_deg
        pitch, yaw = rng.uniform(-most, most, 2) if most else (0.0, 0.0)

        whole = base_scale(self.size, height, width) * scale
        enlarged = (max(1, round(height * whole)), max(1, round(width * whole)))
        focal = sample.focal_px
        picture, camera = shrink(sample.image, enlarged), camera_of(enlarged, focal and focal * enlarged[1] / width)
        top, left = (place(rng, photo, window) for photo, window in zip(enlarged, self.size, strict=True))
        move = turn_and_crop(enlarged, angle, top, left, flip, self.size) @ turned_picture(camera, pitch, yaw)
        depth_m: NDArray[Any] = sample.depth_m
        if most:
            factor = turned_depth(camera_of((height, width), focal), (height, width), pitch, yaw)
            depth_m = depth_m / factor if sample.kind == "disparity" else depth_m * factor
        from_photo = move @ enlarge(enlarged[1] / width, enlarged[0] / height)

        def warp(array: NDArray[Any], matrix: NDArray[np.float64], interpolation: int) -> NDArray[Any]:
            return cv2.warpPerspective(array, matrix, self.size[::-1], flags=interpolation)

        rgb = warp(picture, move, cv2.INTER_LINEAR)
        depth_m = warp(depth_m, from_photo, cv2.INTER_NEAREST) / np.float32(scale * sample.camera_factor)
        valid = warp(sample.valid.view(np.uint8), from_photo, cv2.INTER_NEAREST) > 0
        return {"rgb": self.recolour(rgb, rng), "depth_m": depth_m[None], "valid": valid[None]}

    def recolour(self, rgb: NDArray[np.uint8], rng: "np.random.Generator") -> NDArray[np.float32]:
        """Change the light, not the scene. (h, w, 3) uint8 -> (3, h, w) float32 in 0..1."""
        change = self.augmentation
        gamma, brightness = rng.uniform(*change.gamma), rng.uniform(*change.brightness)
        channels = rng.uniform(*change.colour, size=(3, 1, 1))

        def lit(light: NDArray[np.float32]) -> NDArray[np.float32]:
            if gamma != 1:
                light = light**gamma
            return np.clip(light * brightness * channels, 0, 1).astype(np.float32)

        if rng.random() < change.grey:
            return lit(np.repeat(to_network(rgb).mean(axis=0, keepdims=True), 3, axis=0))
        # The same as lit(to_network(rgb)), computed once for each of the 256 levels of a channel.
        levels = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        table = np.ascontiguousarray(lit(to_network(levels)).transpose(1, 2, 0))  # (1, 256, 3)
        return np.ascontiguousarray(cv2.LUT(rgb, table).transpose(2, 0, 1))


def to_network(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (3, H, W) float32 in 0..1."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def place(rng: "np.random.Generator", photo: int, window: int) -> int:
    """Where the crop begins along one side: anywhere inside the photo, or around it where the photo is smaller."""
    slack = photo - window
    return int(rng.integers(slack + 1)) if slack >= 0 else slack // 2


def enlarge(x_scale: float, y_scale: float) -> NDArray[np.float64]:
    """3 x 3 matrix of a resize: pixel areas are scaled, so pixel centres move by half a pixel's growth."""
    return np.array([[x_scale, 0, (x_scale - 1) / 2], [0, y_scale, (y_scale - 1) / 2], [0, 0, 1]])


def turned_picture(camera: Intrinsics, pitch_deg: float, yaw_deg: float) -> NDArray[np.float64]:
    """Return the 3 x 3 homography from a picture to the one that its camera sees when it is turned where it stands.

    It is K R K^-1, and exact, as nothing moves (Hartley and Zisserman, Multiple View Geometry, 8.4).
    """
    k = np.array([[camera.fx, 0, camera.cx], [0, camera.fy, camera.cy], [0, 0, 1]])
    return k @ turn(pitch_deg, yaw_deg) @ np.linalg.inv(k)


def camera_of(size: tuple[int, int], focal_px: float | None) -> Intrinsics:
    """Return the camera of a picture (H, W); NYU's if the focal length is not known."""
    return find_intrinsics(*size, fx=focal_px)


def turned_depth(camera: Intrinsics, size: tuple[int, int], pitch_deg: float, yaw_deg: float) -> NDArray[np.float32]:
    """For each pixel of the picture before the turn, (H, W), the factor by which its point's depth changes."""
    height, width = size
    rotation = turn(pitch_deg, yaw_deg)
    x, y = (np.arange(width) - camera.cx) / camera.fx, (np.arange(height) - camera.cy) / camera.fy
    factor = rotation[2, 0] * x[None] + rotation[2, 1] * y[:, None] + rotation[2, 2]
    return factor.astype(np.float32)


def turn(pitch_deg: float, yaw_deg: float) -> NDArray[np.float64]:
    """3 x 3 rotation: up or down, after left or right."""
    up, left = np.radians((pitch_deg, 0.0, 0.0)), np.radians((0.0, yaw_deg, 0.0))
    return np.asarray(cv2.Rodrigues(up)[0] @ cv2.Rodrigues(left)[0], dtype=np.float64)


def turn_and_crop(
    enlarged: tuple[int, int], angle_deg: float, top: int, left: int, flip: bool, size: tuple[int, int]
) -> NDArray[np.float64]:
    """3 x 3 matrix: turn the enlarged photo about its centre, cut `size` at (top, left), mirror."""
    centre = ((enlarged[1] - 1) / 2, (enlarged[0] - 1) / 2)
    move = np.vstack([cv2.getRotationMatrix2D(centre, angle_deg, 1.0), [0, 0, 1]])
    move[:2, 2] -= (left, top)
    if flip:
        move = np.array([[-1.0, 0, size[1] - 1], [0, 1, 0], [0, 0, 1]]) @ move
    return move
