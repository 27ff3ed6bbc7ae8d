"""Where the photo is taken from, and whether it is worth taking."""

from typing import Any, NamedTuple

import numpy as np
from embreex.rtcore_scene import EmbreeScene
from numpy.random import Generator
from numpy.typing import NDArray

from hqmd_cli.rooms.scene import Room
from hqmd_cli.rooms.vectors import Floats, unit

SIZE = (288, 384)  # (H, W)
FOCAL = 518.86 * SIZE[1] / 640  # pixels: NYU's colour camera, 518.86 at 640 pixels of width
NEAREST_M = 0.5
FARTHEST_M = 10.0  # NYU's

Hit = dict[str, NDArray[Any]]  # Embree's answer for N rays: geomID (-1: nothing hit), primID, u, v, tfar and Ng (N, 3)


class Camera(NamedTuple):
    """A place and a direction."""

    eye: Floats  # (3,) metres
    axes: Floats  # (3, 3) unit rows: right, down, forward


def draw_camera(room: Room, rng: Generator) -> Camera:
    """Held by a person somewhere in the room, a little downwards and not quite level."""
    x0, y0, x1, y1, height = room
    eye = np.array([rng.uniform(x0 + 0.15, x1 - 0.15), rng.uniform(y0 + 0.15, y1 - 0.15), 0])
    eye[2] = np.clip(rng.normal(1.35, 0.25), 0.6, height - 0.3)
    aim = np.array([rng.uniform(x0, x1), rng.uniform(y0, y1)])  # more of the room than of the wall behind
    yaw = np.arctan2(aim[1] - eye[1], aim[0] - eye[0])
    pitch, roll = np.radians(np.clip(rng.normal(-11, 10), -45, 15)), np.radians(rng.normal(0, 2.5))
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0])
    down = np.cross(forward, right)
    right, down = np.cos(roll) * right + np.sin(roll) * down, np.cos(roll) * down - np.sin(roll) * right
    return Camera(eye, np.stack([right, down, forward]))


def cast(embree: EmbreeScene, camera: Camera, step: int = 1) -> tuple[NDArray[np.float32], Hit, NDArray[np.float32]]:
    """The rays of every `step`th pixel, unit (N, 3), what they hit, and its depth.

    Depth (H / step, W / step) is in metres along the optical axis, not along the ray; 0 where nothing is hit.
    """
    y, x = np.mgrid[: SIZE[0] : step, : SIZE[1] : step]
    local = np.stack([(x - (SIZE[1] - 1) / 2) / FOCAL, (y - (SIZE[0] - 1) / 2) / FOCAL, np.ones(x.shape)], axis=-1)
    rays = unit(local.reshape(-1, 3) @ camera.axes).astype(np.float32)
    hit: Hit = embree.run(np.broadcast_to(camera.eye, rays.shape).astype(np.float32), rays, output=1)
    depth_m = np.where(hit["geomID"] >= 0, hit["tfar"] * (rays @ camera.axes[2]), 0)
    return rays, hit, depth_m.reshape(x.shape).astype(np.float32)


def good_view(depth_m: Floats, rng: Generator) -> bool:
    """Whether the depths are such as NYU has them: nothing at the lens, most of it one to five metres away."""
    seen = depth_m[depth_m > 0]
    if len(seen) < 0.97 * depth_m.size:
        return False
    near, middle, far = np.percentile(seen, (2, 50, 98))
    return bool(near > NEAREST_M and 1.2 < middle < 5.5 and far < FARTHEST_M and far - near > rng.uniform(0.3, 1.5))


def edge_share(depth_m: Floats) -> float:
    """How much of the view lies on depth jumps, 0 to 1."""
    return float((np.abs(np.diff(depth_m, axis=1)) > 0.05 * depth_m[:, 1:]).mean())
