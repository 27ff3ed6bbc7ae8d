"""The empty room: floor, ceiling, walls with windows and a way through, lamps."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from hqmd_cli.rooms.looks import surface, tone, wall_look
from hqmd_cli.rooms.scene import Lamp, Picture, Scene

THICK = 0.12  # metres, of walls, floor and ceiling
SHOWN_M = 0.01  # narrower pieces of wall are not built
LAMP_GLOW = 12.0  # a shade emits a tenth to a half of it, in units of a white wall in full light


class Wall(NamedTuple):
    """Where a wall of a room stands. Metres."""

    axis: int  # along which it runs: 0 for x, 1 for y
    start: float
    end: float
    across: float  # its lower side on the other axis; it is THICK
    room_above: bool  # whether the room is on the side of the higher coordinates

    @property
    def length(self) -> float:
        return self.end - self.start

    def point(self, along: float, across: float, up: float) -> tuple[float, float, float]:
        """x, y, z of a place in the wall's own directions."""
        return (across, along, up) if self.axis else (along, across, up)


class Patch(NamedTuple):
    """A rectangle of a wall, such as an opening: from where to where along it, and up. Metres."""

    begin: float
    end: float
    low: float
    high: float


def add_shell(scene: Scene, rng: Generator, pictures: list[Picture], number: int, rooms: int) -> None:
    """Floor, ceiling and walls of the scene's last room, which is `number` (from 0) of `rooms`, one or two.

    The second room stands behind the first one's right wall, which then has a way through.
    """
    add_floor_and_ceiling(scene, rng, pictures)
    tile_m = rng.uniform(0.3, 2)
    usual = scene.paint(*wall_look(rng, pictures))
    skirting = scene.paint(tone(rng, 0.2)) if rng.random() < 0.6 else None
    for side, wall in walls_of(scene).items():
        if side == "left" and number == 1:
            continue  # it is there: the first room's right wall
        paint = usual if rng.random() < 0.7 else scene.paint(*wall_look(rng, pictures))
        passage = side == "right" and rooms == 2 and number == 0
        opening = None
        if passage:
            opening = draw_passage(rng, wall, scene.rooms[-1].height)
        elif rng.random() < 0.4 and wall.length > 1.2:
            opening = draw_window(rng, wall, scene.rooms[-1].height)
            add_window(scene, rng, wall, opening, tile_m)
        add_wall(scene, wall, opening, paint, tile_m)
        if opening is not None and passage:
            keep_free(scene, opening)
        if opening is None and skirting is not None:
            add_skirting(scene, rng, wall, skirting)


def add_floor_and_ceiling(scene: Scene, rng: Generator, pictures: list[Picture]) -> None:
    """A patterned floor and a pale ceiling; both reach under and over the walls."""
    x0, y0, x1, y1, height = scene.rooms[-1]
    floor = scene.paint(tone(rng, 0.5) if rng.random() < 0.5 else np.ones(3), surface(rng, pictures))
    scene.box((x0 - THICK, y0 - THICK, -THICK), (x1 + THICK, y1 + THICK, 0), floor, rng.uniform(0.4, 2.5))
    ceiling = scene.paint(tone(rng, 0.15, 0.75))
    scene.box((x0 - THICK, y0 - THICK, height), (x1 + THICK, y1 + THICK, height + THICK), ceiling)


def walls_of(scene: Scene) -> dict[str, Wall]:
    """The last room's, in the order in which they are built."""
    x0, y0, x1, y1, _ = scene.rooms[-1]
    return {
        "left": Wall(1, y0, y1, x0 - THICK, True),
        "right": Wall(1, y0, y1, x1, False),
        "near": Wall(0, x0, x1, y0 - THICK, True),
        "far": Wall(0, x0, x1, y1, False),
    }


def draw_passage(rng: Generator, wall: Wall, height: float) -> Patch:
    """A door, a wide opening or no wall at all; up to a lintel or to the ceiling."""
    wide = min(wall.length, rng.choice([rng.uniform(0.75, 1.1), rng.uniform(1.1, 3.5), 99]))
    begin = rng.uniform(wall.start, wall.end - wide)
    return Patch(begin, begin + wide, 0.0, rng.choice([2.05, height - 0.2, height]))


def draw_window(rng: Generator, wall: Wall, height: float) -> Patch:
    """A window with a sill, sometimes nearly down to the floor."""
    wide = rng.uniform(0.6, min(2.6, wall.length - 0.4))
    begin, low = rng.uniform(wall.start + 0.1, wall.end - 0.1 - wide), rng.choice([0.9, 0.9, 0.1])
    return Patch(begin, begin + wide, low, min(height - 0.15, low + rng.uniform(0.9, 1.5)))


def add_window(scene: Scene, rng: Generator, wall: Wall, opening: Patch, tile_m: float) -> None:
    """A glowing pane in the opening, bars before it, and the light that falls in."""
    begin, end, low, high = opening
    glass = scene.paint(np.array([0.8, 0.9, 1.0]), None, rng.uniform(0.3, 2.5))
    add_piece(scene, wall, opening, glass, tile_m, THICK / 2)
    frame = scene.paint(tone(rng, 0.2, 0.6))
    for bar in np.linspace(begin, end, rng.integers(2, 5)):
        add_piece(scene, wall, Patch(bar - 0.025, bar + 0.025, low, high), frame, tile_m, THICK * 0.8)
    inward = 0.3 if wall.room_above else -0.2
    at = np.array(wall.point((begin + end) / 2, wall.across + inward, (low + high) / 2))
    scene.lamps.append(Lamp(at, 0.5, rng.uniform(0.5, 3) * (end - begin) * (high - low)))


def add_wall(scene: Scene, wall: Wall, opening: Patch | None, paint: int, tile_m: float) -> None:
    """A wall up to the ceiling, or the four pieces of it round its opening."""
    height = scene.rooms[-1].height
    if opening is None:
        add_piece(scene, wall, Patch(wall.start, wall.end, 0, height), paint, tile_m)
        return
    begin, end, low, high = opening
    add_piece(scene, wall, Patch(wall.start, begin, 0, height), paint, tile_m)
    add_piece(scene, wall, Patch(end, wall.end, 0, height), paint, tile_m)
    add_piece(scene, wall, Patch(begin, end, 0, low), paint, tile_m)
    add_piece(scene, wall, Patch(begin, end, high, height), paint, tile_m)


def add_piece(scene: Scene, wall: Wall, patch: Patch, paint: int, tile_m: float, thick: float = THICK) -> None:
    """A patch of a wall, from its lower side on; none where it would be hardly seen."""
    if patch.end - patch.begin > SHOWN_M and patch.high - patch.low > SHOWN_M:
        low = wall.point(patch.begin, wall.across, patch.low)
        high = wall.point(patch.end, wall.across + thick, patch.high)
        scene.box(low, high, paint, tile_m)


def keep_free(scene: Scene, passage: Patch) -> None:
    """No furniture in the way through the last room's right wall."""
    x1 = scene.rooms[-1].x1
    scene.taken.append(np.array([x1 - 0.6, passage.begin, x1 + 0.8, passage.end]))


def add_skirting(scene: Scene, rng: Generator, wall: Wall, paint: int) -> None:
    """A board at the foot of a wall, on the room's side, 14 mm before it and 1 mm in it."""
    inside = wall.across + THICK - 0.001 if wall.room_above else wall.across - 0.014
    low = wall.point(wall.start, inside, 0)
    high = wall.point(wall.end, inside + 0.015, rng.uniform(0.05, 0.12))
    scene.box(low, high, paint)


def add_lamps(scene: Scene, rng: Generator) -> None:
    """One to three lamps under the last room's ceiling, about half of them with a shade that glows."""
    x0, y0, x1, y1, height = scene.rooms[-1]
    for _ in range(rng.integers(1, 4)):
        at = np.array(
            [rng.uniform(x0 + 0.3, x1 - 0.3), rng.uniform(y0 + 0.3, y1 - 0.3), height - rng.uniform(0.1, 0.7)]
        )
        scene.lamps.append(Lamp(at, rng.uniform(0.05, 0.4), rng.uniform(0.6, 4)))
        if rng.random() < 0.5:
            half = rng.uniform(0.06, 0.3, 3) * (1, 1, 0.2)
            above = np.array([at[0], at[1], height - half[2]])
            scene.box(above - half, above + half, scene.paint(np.ones(3), None, LAMP_GLOW * rng.uniform(0.1, 0.5)))
