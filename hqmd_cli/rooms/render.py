"""A furnished room as a camera sees it: photo and depth."""

from typing import NamedTuple

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hqmd_cli.rooms.camera import SIZE, Camera, cast, draw_camera, edge_share, good_view
from hqmd_cli.rooms.light import Traced, bounced, direct, smooth, surface_at, trace
from hqmd_cli.rooms.scene import Picture, Scene
from hqmd_cli.rooms.vectors import Floats

TRIES, VIEWS = 10, 2  # of a room; the views taken are the richest good ones
GLANCE = 8  # views are judged on every so manyth pixel
OFF_M = 2e-3  # by which secondary rays start off the surface


class View(NamedTuple):
    """A view that would do; the one that sorts last is the richest."""

    edges: float  # share of depth jumps
    number: int  # of the good views, so that equals have an order
    camera: Camera


def render(scene: Scene, rng: Generator) -> list[tuple[Picture, NDArray[np.float32]]]:
    """Photo (H, W, 3) and depth (H, W), metres along the optical axis, of the best VIEWS views.

    Of TRIES views, that is; fewer where few are good, none where none is.
    """
    traced = trace(scene)
    views: list[View] = []
    for _ in range(TRIES):
        camera = draw_camera(scene.rooms[rng.integers(len(scene.rooms))], rng)
        _, _, depth_m = cast(traced.embree, camera, GLANCE)
        if good_view(depth_m, rng):
            views.append(View(edge_share(depth_m), len(views), camera))
    best = sorted(views, reverse=True)[:VIEWS]  # people photograph things rather than bare walls
    return [shoot(traced, view.camera, rng) for view in best]


def shoot(traced: Traced, camera: Camera, rng: Generator) -> tuple[Picture, NDArray[np.float32]]:
    """Photo and depth of one view."""
    rays, hit, depth_m = cast(traced.embree, camera)
    albedo, glow, normals = surface_at(traced, hit, rays)
    points = (camera.eye + rays * hit["tfar"][:, None] + normals * OFF_M).astype(np.float32)
    grainy = direct(traced, points, normals, rng) + bounced(traced, points, normals, rng)
    light = smooth(grainy.reshape(*SIZE, 3), depth_m, normals.reshape(*SIZE, 3)).reshape(-1, 3)
    return develop((albedo * light + glow).reshape(*SIZE, 3), rng), depth_m


def develop(radiance: Floats, rng: Generator) -> Picture:
    """Linear light (H, W, 3) to a photo: exposure, white balance, gamma, a soft lens, a noisy sensor."""
    exposed = radiance * rng.uniform(0.12, 0.35) / max(np.median(radiance.mean(-1)), 1e-3) * rng.uniform(0.85, 1.15, 3)
    exposed = exposed / (1 + np.maximum(exposed - 0.7, 0))  # highlights roll off
    photo = np.clip(exposed, 0, 1) ** (1 / rng.uniform(1.8, 2.4))
    photo = cv2.GaussianBlur(photo.astype(np.float32), (0, 0), rng.uniform(0.3, 0.8))
    photo = photo + rng.normal(0, rng.uniform(0.003, 0.025), photo.shape)
    return (np.clip(photo, 0, 1) * 255).round().astype(np.uint8)
