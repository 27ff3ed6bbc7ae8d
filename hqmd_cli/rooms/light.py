"""Light in a scene by ray casting: what a surface looks like, what reaches it from lamps and from other surfaces."""

from dataclasses import dataclass

import numpy as np
from embreex.mesh_construction import TriangleMesh
from embreex.rtcore_scene import EmbreeScene
from numpy.random import Generator
from numpy.typing import NDArray

from hqmd_cli.rooms.camera import Hit
from hqmd_cli.rooms.mesh import GAMMA
from hqmd_cli.rooms.scene import Lamp, Picture, Scene
from hqmd_cli.rooms.vectors import Floats, dot, length_of, unit

WARM_WHITE = np.array([1, 0.95, 0.87], np.float32)  # of lamps
AMBIENT = 0.08  # what every surface gets, in units of a white wall in full light
BRIGHTEST_GLOW = 3  # of a lamp or window that a bounced ray hits by chance: more would be white dots


@dataclass(frozen=True, eq=False)
class Traced:
    """A finished scene of N triangles and M materials, ready for rays."""

    embree: EmbreeScene
    uv: NDArray[np.float32]  # (N, 3, 2)
    material: NDArray[np.int32]  # (N,)
    colours: Floats  # (M, 3), linear
    textures: list[Picture | None]  # M
    glow: NDArray[np.float32]  # (M,)
    lamps: list[Lamp]


def trace(scene: Scene) -> Traced:
    """Build the structure in which Embree finds what a ray hits."""
    embree = EmbreeScene()
    TriangleMesh(embree, np.concatenate(scene.triangles))
    return Traced(
        embree,
        np.concatenate(scene.uv),
        np.concatenate(scene.material),
        np.stack(scene.colours),
        scene.textures,
        np.array(scene.glow, np.float32),
        scene.lamps,
    )


def surface_at(traced: Traced, hit: Hit, rays: Floats) -> tuple[Floats, Floats, NDArray[np.float32]]:
    """Albedo, emitted light and the unit normal towards the viewer where rays hit, (N, 3) each.

    A ray that hits nothing sees white light: the sky, beyond a gap.
    """
    face = np.maximum(hit["primID"], 0)
    kind = traced.material[face]
    u, v = hit["u"][:, None], hit["v"][:, None]
    uv = traced.uv[face, 0] * (1 - u - v) + traced.uv[face, 1] * u + traced.uv[face, 2] * v
    colour = textured(traced, kind, uv)
    glow = traced.glow[kind][:, None] * colour
    normals = unit(-hit["Ng"])
    normals = normals * np.where(dot(normals, rays)[..., None] > 0, -1, 1)
    missed = hit["geomID"][:, None] < 0
    return np.where(missed, 0, colour), np.where(missed, 1, glow), normals.astype(np.float32)


def textured(traced: Traced, kind: NDArray[np.int32], uv: Floats) -> Floats:
    """The colours (N, 3) of N places on materials `kind` (N,), at `uv` (N, 2) of their textures."""
    colour = traced.colours[kind]
    order = np.argsort(kind, kind="stable")  # so that each texture's places lie together
    starts = np.searchsorted(kind[order], np.arange(len(traced.colours) + 1))
    for number, texture in enumerate(traced.textures):
        if texture is not None and starts[number] < starts[number + 1]:
            here = order[starts[number] : starts[number + 1]]
            column = (uv[here, 0] % 1 * texture.shape[1]).astype(int).clip(0, texture.shape[1] - 1)
            row = ((1 - uv[here, 1] % 1) * texture.shape[0]).astype(int).clip(0, texture.shape[0] - 1)
            colour[here] = colour[here] * (texture[row, column] / np.float32(255)) ** GAMMA
    return colour


def direct(traced: Traced, points: Floats, normals: Floats, rng: Generator) -> NDArray[np.float32]:
    """Light straight from the lamps, (N, 3), with soft shadows: one ray to a random spot of each lamp."""
    light = np.zeros((len(points), 3), np.float32)
    for lamp in traced.lamps:
        spots = (lamp.at + rng.normal(0, lamp.radius_m / 2, (len(points), 3))).astype(np.float32)
        way = spots - points
        length = length_of(way)
        facing = np.maximum(dot(way, normals) / np.maximum(length, 1e-3), 0)
        # Embree's rays end nowhere, so a shadow is a hit nearer than the lamp.
        free_m = traced.embree.run(points, way / np.maximum(length, 1e-3)[:, None], query="DISTANCE")
        reached = free_m > length * 0.98
        light += (lamp.power * facing * reached / (1 + length**2))[:, None] * WARM_WHITE
    return light


def bounced(traced: Traced, points: Floats, normals: Floats, rng: Generator) -> Floats:
    """Light by way of another surface, (N, 3): a random ray into each hemisphere, lamps there without shadows."""
    way = unit(normals + unit(rng.normal(size=points.shape).astype(np.float32)))
    hit: Hit = traced.embree.run(points, way, output=1)
    albedo, glow, normals_there = surface_at(traced, hit, way)
    spots = points + way * np.minimum(hit["tfar"], 50)[:, None]
    lit = np.full(len(points), AMBIENT, np.float32)
    for lamp in traced.lamps:
        to_lamp = lamp.at.astype(np.float32) - spots
        length = length_of(to_lamp)
        lit += lamp.power * np.maximum(dot(to_lamp, normals_there) / np.maximum(length, 1e-3), 0) / (1 + length**2)
    return albedo * lit[:, None] + np.minimum(glow, BRIGHTEST_GLOW)


def smooth(light: Floats, depth_m: Floats, normals: Floats) -> Floats:
    """Less grain from the few rays, without a blur over edges: a mean over neighbours of one plane.

    `light` and `normals` are (H, W, 3), `depth_m` is (H, W) metres; 25 neighbours, two pixels apart.
    """
    total, weight = light.copy(), np.ones(light.shape[:2], np.float32)
    for dy in range(-4, 5, 2):
        for dx in range(-4, 5, 2):
            if (dy, dx) == (0, 0):
                continue
            there = np.roll(depth_m, (dy, dx), (0, 1)), np.roll(normals, (dy, dx), (0, 1))
            same = (np.abs(there[0] - depth_m) < 0.03 * depth_m) & (dot(there[1], normals) > 0.9)
            total += np.roll(light, (dy, dx), (0, 1)) * same[..., None]
            weight += same
    return total / weight[..., None]
