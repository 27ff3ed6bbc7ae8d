"""Where things stand: furniture along walls and in the middle, things on it, heaps on the floor, pictures on walls."""

from typing import NamedTuple

import numpy as np
from numpy.random import Generator

from hqmd_cli.errors import HqmdError
from hqmd_cli.rooms.catalog import Furniture
from hqmd_cli.rooms.looks import surface, tint, tone
from hqmd_cli.rooms.scene import Picture, Room, Scene
from hqmd_cli.rooms.shell import THICK, add_lamps, add_shell
from hqmd_cli.rooms.vectors import Floats

KINDS = {  # what a room is furnished from, mostly the first
    "Bedroom": ("Bedroom", "Living room"),
    "Living room": ("Living room", "Miscellaneous"),
    "Kitchen": ("Kitchen", "Living room"),
    "Bathroom": ("Bathroom", "Miscellaneous"),
    "Office": ("Office", "Living room", "Miscellaneous"),
}


class Stock(NamedTuple):
    """What a room of one kind is furnished from; some pieces are in it several times, to be drawn more often."""

    standing: list[Furniture]
    hanging: list[Furniture]
    little: list[Furniture]  # things that fit on a table
    pictures: list[Picture]


def furnish(rng: Generator, catalogue: list[Furniture], pictures: list[Picture]) -> Scene:
    """One or two rooms with walls, openings, lamps, furniture and clutter."""
    scene = Scene()
    width, length, height = rng.uniform(2.2, 6.0), rng.uniform(2.4, 6.5), rng.uniform(2.3, 3.1)
    if rng.random() < 0.15:
        width, length = width * 1.7, length * 1.7
    spans = [(0.0, width)]
    if rng.random() < 0.4:
        spans.append((width + THICK, width + THICK + rng.uniform(2, 5)))
    for number, (x0, x1) in enumerate(spans):
        scene.rooms.append(Room(x0, 0.0, x1, length, height))
        add_shell(scene, rng, pictures, number, len(spans))
        add_lamps(scene, rng)
        fill(scene, rng, stock_for(str(rng.choice(list(KINDS))), catalogue, pictures))
    return scene


def stock_for(kind: str, catalogue: list[Furniture], pictures: list[Picture]) -> Stock:
    """The part of the catalogue that belongs into such a room."""
    main, *others = KINDS[kind]
    own = [piece for piece in catalogue if piece.category == main]
    near = [piece for piece in catalogue if piece.category in others]
    return Stock(
        [p for p in own * 3 + near if p.elevation_m == 0 and p.size_m[2] > 0.3 and p.size_m[:2].max() > 0.3],
        [p for p in own * 2 + near if p.elevation_m > 0.3],
        [p for p in catalogue if p.size_m.max() < 0.6 and p.elevation_m < 3],
        pictures,
    )


def require_stock(catalogue: list[Furniture]) -> None:
    """Raise HqmdError unless every kind of room can be furnished. Hanging things alone may be missing."""
    for kind in KINDS:
        stock = stock_for(kind, catalogue, [])
        if not stock.standing or not stock.little:
            lacking = "things under 60 cm" if stock.standing else "standing furniture"
            raise HqmdError(f"the furniture libraries hold no {lacking} for a {kind.lower()}; add more of them")


def fill(scene: Scene, rng: Generator, stock: Stock) -> None:
    """Furnish the scene's last room."""
    x0, y0, x1, y1, _ = scene.rooms[-1]
    area = (x1 - x0) * (y1 - y0)
    for _ in range(int(rng.uniform(6, 20) + area * 0.8)):
        piece = stock.standing[rng.integers(len(stock.standing))]
        stand_at_wall(scene, rng, stock, piece)
    for _ in range(int(rng.uniform(0, 4 + area * 0.35))):
        pool = stock.standing if rng.random() < 0.7 else stock.little
        piece = pool[rng.integers(len(pool))]
        angle = rng.choice([rng.uniform(0, 2 * np.pi), rng.integers(4) * np.pi / 2 + rng.normal(0, 0.1)])
        put(scene, rng, stock, piece, angle, spot_on_floor(scene, rng))
    for _ in range(int(rng.uniform(0, 3 + area * 0.2))):  # boxes, heaps and bags
        at = spot_on_floor(scene, rng)
        heap(scene, rng, stock, at, rng.uniform(0.15, 0.6))
    for _ in range(rng.integers(0, 6)):
        hang(scene, rng, stock)


def spot_on_floor(scene: Scene, rng: Generator) -> Floats:
    """Anywhere in the last room, (3,) metres."""
    x0, y0, x1, y1, _ = scene.rooms[-1]
    return np.array([rng.uniform(x0, x1), rng.uniform(y0, y1), 0.0])


def extent(room: Room, side: int) -> tuple[float, float]:
    """From where to where a wall runs, metres; `side` is 0 for +y, 1 for -x, 2 for -y, 3 for +x."""
    return (room.x0, room.x1) if side % 2 == 0 else (room.y0, room.y1)


def before_wall(room: Room, side: int, along: float, off: float) -> tuple[float, float]:
    """x and y of the place so far along a wall and so far off it, metres."""
    return (
        (along, room.y1 - off),
        (room.x0 + off, along),
        (along, room.y0 + off),
        (room.x1 - off, along),
    )[side]


def stand_at_wall(scene: Scene, rng: Generator, stock: Stock, piece: Furniture) -> None:
    """A piece of furniture with its back to a wall, sometimes repeated beside itself."""
    side = int(rng.integers(4))
    angle = side * np.pi / 2 + (rng.normal(0, 0.05) if rng.random() < 0.3 else 0)
    off = piece.size_m[1] / 2 + rng.choice([0.02, rng.uniform(0.02, 0.25)])
    start, end = extent(scene.rooms[-1], side)
    half = piece.size_m[0] / 2
    if end - start <= 2 * half + 0.05:
        return
    along = rng.uniform(start + half, end - half)
    for _ in range(1 if rng.random() < 0.75 else rng.integers(2, 5)):
        if along > end - half:
            break
        at = np.array([*before_wall(scene.rooms[-1], side, along, off), 0.0])
        put(scene, rng, stock, piece, angle, at)
        along += 2 * half + 0.02


def put(scene: Scene, rng: Generator, stock: Stock, piece: Furniture, angle: float, at: Floats) -> None:
    """Stand a piece at `at` (3,), turned by `angle` radians, if there is room for it, and things on it."""
    stretch = rng.uniform(0.9, 1.12, 3)
    half = piece.size_m[:2] * stretch[:2] / 2
    reach = np.abs([np.cos(angle), np.sin(angle)]) @ [[half[0], half[1]], [half[1], half[0]]]
    footprint = np.concatenate([at[:2] - reach, at[:2] + reach])
    x0, y0, x1, y1, height = scene.rooms[-1]
    inside = (footprint[:2] >= (x0, y0)).all() and (footprint[2:] <= (x1, y1)).all()
    if not inside or not scene.free(footprint) or piece.size_m[2] * stretch[2] > height - 0.05:
        return
    scene.taken.append(footprint)
    scene.place(piece.mesh, stretch, angle, at, tint(rng))
    for _ in range(rng.poisson(min(5.0, 5 * half[0] * half[1] * 4))):
        put_on(scene, rng, stock, piece, stretch, angle, at)


def put_on(
    scene: Scene, rng: Generator, stock: Stock, piece: Furniture, stretch: Floats, angle: float, at: Floats
) -> None:
    """A thing or a small heap somewhere on a piece that stands at `at`, unless it is too low or too high there."""
    cells = len(piece.tops_m)
    i, j = rng.integers(cells, size=2)
    top = piece.tops_m[i, j] * stretch[2]
    if not 0.25 < top < 1.5:
        return
    local = ((np.array([i, j]) + rng.uniform(0.2, 0.8, 2)) / cells - 0.5) * piece.size_m[:2] * stretch[:2]
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    spot = np.array([*(turn @ local + at[:2]), top])
    if rng.random() < 0.6:
        thing = stock.little[rng.integers(len(stock.little))]
        scene.place(thing.mesh, rng.uniform(0.8, 1.2, 3), rng.uniform(0, 2 * np.pi), spot, tint(rng))
    else:
        heap(scene, rng, stock, spot, rng.uniform(0.05, 0.3))


def heap(scene: Scene, rng: Generator, stock: Stock, at: Floats, side_m: float) -> None:
    """A few boxes on each other: books, cartons, bedding. On the floor only where it is free."""
    base, bottom = at[:2], at[2]
    half = side_m * rng.uniform(0.3, 1, 2) / 2
    if bottom == 0:
        footprint = np.concatenate([base - half, base + half])
        if not scene.free(footprint):
            return
        scene.taken.append(footprint)
    for _ in range(rng.integers(1, 5)):
        tall = side_m * rng.uniform(0.05, 0.9)
        shift = rng.uniform(-0.15, 0.15, 2) * half
        look = (np.ones(3), surface(rng, stock.pictures)) if rng.random() < 0.35 else (tone(rng, 0.9), None)
        scene.box([*(base + shift - half), bottom], [*(base + shift + half), bottom + tall], scene.paint(*look), side_m)
        bottom += tall
        half = half * rng.uniform(0.6, 1)


def hang(scene: Scene, rng: Generator, stock: Stock) -> None:
    """A picture, or something the catalogue hangs on walls."""
    side = int(rng.integers(4))
    if stock.hanging and rng.random() < 0.5:
        hang_piece(scene, rng, side, stock.hanging[rng.integers(len(stock.hanging))])
    else:
        hang_picture(scene, rng, side, stock.pictures)


def hang_piece(scene: Scene, rng: Generator, side: int, piece: Furniture) -> None:
    """A piece at its own height on a wall, if the wall is long and high enough."""
    room = scene.rooms[-1]
    start, end = extent(room, side)
    half = piece.size_m[0] / 2
    if end - start > 2 * half and piece.elevation_m + piece.size_m[2] < room.height:
        along = rng.uniform(start + half, end - half)
        at = np.array([*before_wall(room, side, along, piece.size_m[1] / 2), piece.elevation_m])
        scene.place(piece.mesh, np.ones(3), side * np.pi / 2, at, tint(rng))


def hang_picture(scene: Scene, rng: Generator, side: int, pictures: list[Picture]) -> None:
    """A flat box with a texture; it sticks out of the wall by 2 cm."""
    room = scene.rooms[-1]
    start, end = extent(room, side)
    wide, tall = rng.uniform(0.15, 0.6, 2)
    along, up = rng.uniform(start + wide, max(start + wide, end - wide)), rng.uniform(1.2, 1.8)
    half = np.array([wide, 0.02, tall]) if side % 2 == 0 else np.array([0.02, wide, tall])
    middle = np.array([*before_wall(room, side, along, 0), min(up, room.height - tall - 0.05)])
    scene.box(middle - half, middle + half, scene.paint(np.ones(3), surface(rng, pictures)), 2 * wide)
