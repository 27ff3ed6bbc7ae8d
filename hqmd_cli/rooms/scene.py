"""What a room is made of: triangles with materials, lamps, the floor that is taken. Metres, z up, the floor at 0."""

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hqmd_cli.rooms.mesh import Mesh
from hqmd_cli.rooms.vectors import Floats

Picture = NDArray[np.uint8]  # (H, W, 3) RGB

CORNERS = np.array([[x, y, z] for x in (0, 1) for y in (0, 1) for z in (0, 1)], np.float32)
FACES = [(0, 2, 3, 1), (4, 5, 7, 6), (0, 1, 5, 4), (2, 6, 7, 3), (0, 4, 6, 2), (1, 3, 7, 5)]  # -x +x -y +y -z +z
HALVES = ([0, 1, 2], [0, 2, 3])  # of a face, as triangles
DARKEST, BRIGHTEST = 0.01, 0.95  # albedo of a tinted model: nothing real is blacker, nothing reflects all light


class Room(NamedTuple):
    """The inside of its walls, metres."""

    x0: float
    y0: float
    x1: float
    y1: float
    height: float


class Lamp(NamedTuple):
    """A round light."""

    at: Floats  # (3,) metres
    radius_m: float  # makes soft shadows
    power: float  # what reaches a surface that faces it from close by, in units of a white wall in full light


@dataclass(eq=False)
class Scene:
    """Collected piece by piece: N triangles in M materials."""

    triangles: list[NDArray[np.float32]] = field(default_factory=list)  # pieces of (N, 3, 3)
    uv: list[NDArray[np.float32]] = field(default_factory=list)  # pieces of (N, 3, 2)
    material: list[NDArray[np.int32]] = field(default_factory=list)  # pieces of (N,)
    colours: list[Floats] = field(default_factory=list)  # M of (3,), linear albedo
    textures: list[Picture | None] = field(default_factory=list)  # M; multiplied with the colour
    glow: list[float] = field(default_factory=list)  # M; emitted light, 0 for nearly everything
    lamps: list[Lamp] = field(default_factory=list)
    taken: list[Floats] = field(default_factory=list)  # footprints (x0, y0, x1, y1)
    rooms: list[Room] = field(default_factory=list)

    def paint(self, colour: Floats, texture: Picture | None = None, glow: float = 0.0) -> int:
        """A new material; its number."""
        self.colours.append(np.asarray(colour, np.float32))
        self.textures.append(texture)
        self.glow.append(glow)
        return len(self.colours) - 1

    def box(self, low: ArrayLike, high: ArrayLike, paint: int, tile_m: float = 1.0) -> None:
        """An upright box between two corners (3,); its texture repeats each `tile_m`."""
        corners = np.asarray(low) + CORNERS * (np.asarray(high) - np.asarray(low))
        for number, face in enumerate(FACES):
            quad = corners[list(face)]
            across = quad[:, [axis for axis in range(3) if axis != number // 2]] / tile_m
            for three in HALVES:
                self.triangles.append(quad[None, three].astype(np.float32))
                self.uv.append(across[None, three].astype(np.float32))
                self.material.append(np.array([paint], np.int32))

    def place(self, mesh: Mesh, stretch: Floats, angle: float, at: Floats, tint: Floats) -> None:
        """A model, stretched (3,), turned by `angle` radians about the vertical, its foot at `at` (3,)."""
        cos, sin = np.cos(angle), np.sin(angle)
        turn = np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])
        self.triangles.append(((mesh.triangles * stretch) @ turn.T + at).astype(np.float32))
        self.uv.append(mesh.uv)
        self.material.append(mesh.material + len(self.colours))
        self.colours += [np.clip(colour * tint, DARKEST, BRIGHTEST) for colour in mesh.colours]
        self.textures += mesh.textures
        self.glow += [0.0] * len(mesh.textures)

    def free(self, footprint: Floats) -> bool:
        """Whether a footprint (x0, y0, x1, y1) touches nothing that stands already."""
        return not any((footprint[:2] < other[2:]).all() and (footprint[2:] > other[:2]).all() for other in self.taken)
