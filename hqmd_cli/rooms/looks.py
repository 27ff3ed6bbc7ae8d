"""Random colours and textures."""

import cv2
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from hqmd_cli.rooms.scene import Picture
from hqmd_cli.rooms.vectors import Floats

SIDE = 256  # pixels of a texture


def tone(rng: Generator, saturation: float, least: float = 0.05) -> NDArray[np.float64]:
    """A colour (3,), linear, at most that saturated and at least that bright."""
    hsv = np.array([[[rng.uniform(0, 360), rng.beta(1, 2) * saturation, rng.uniform(least, 0.9)]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0].astype(float)


def tint(rng: Generator) -> Floats:
    """A factor (3,) on a model's colours, so that the same chair is not always red."""
    return rng.uniform(0.5, 1.3) * rng.uniform(0.75, 1.25, 3) if rng.random() < 0.7 else tone(rng, 0.6, 0.1) * 1.5


def wall_look(rng: Generator, pictures: list[Picture]) -> tuple[Floats, Picture | None]:
    """Colour (3,) and texture of a wall: mostly plain paint, sometimes a pattern."""
    if rng.random() < 0.75:
        return tone(rng, 0.2 if rng.random() < 0.75 else 0.5, 0.35), None
    return np.ones(3) * rng.uniform(0.6, 1.0), surface(rng, pictures)


def surface(rng: Generator, pictures: list[Picture]) -> Picture:
    """A texture (SIDE, SIDE, 3): a piece of a picture or a pattern, recoloured."""
    kind = rng.random()
    mixed = piece_of(rng, pictures) if kind < 0.5 else pattern(rng, kind)
    return (np.clip(mixed, 0, 1) * 255).astype(np.uint8)


def piece_of(rng: Generator, pictures: list[Picture]) -> Floats:
    """A square of one of the pictures, (SIDE, SIDE, 3) from 0 to about 1.3; half of them without their colours."""
    picture = pictures[rng.integers(len(pictures))]
    side = int(min(picture.shape[:2]) * rng.uniform(0.4, 1))
    top, left = (int(rng.integers(full - side + 1)) for full in picture.shape[:2])
    base = cv2.resize(picture[top : top + side, left : left + side], (SIDE, SIDE)).astype(np.float32) / 255
    if rng.random() < 0.5:
        base = base.mean(-1, keepdims=True) * np.ones(3, np.float32)
    return base * rng.uniform(0.6, 1.3, 3)


def pattern(rng: Generator, kind: float) -> Floats:
    """Boards, tiles or grain in one colour, some with streaks: (SIDE, SIDE, 3), about 0 to 1. `kind`: 0.5 to 1."""
    if kind < 0.65:
        shade = boards(rng)
    elif kind < 0.8:
        shade = tiles(rng)
    else:  # carpet, plaster
        grain = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), rng.uniform(0.6, 12))
        shade = 0.75 + 0.15 * grain / grain.std()
    streaks = cv2.GaussianBlur(rng.normal(size=(SIDE, SIDE)), (0, 0), sigmaX=1, sigmaY=12)
    shade = shade + rng.choice([0, 0.07]) * streaks / streaks.std()
    return shade[..., None] * tone(rng, 0.5, 0.2)


def boards(rng: Generator) -> Floats:
    """Planks side by side with dark joints: (1, SIDE), the same in every row."""
    _, x = np.mgrid[:1, :SIDE] / SIDE
    number = int(rng.integers(3, 16))
    shade = rng.uniform(0.7, 1.1, number)[(x * number).astype(int) % number]
    return shade * (1 - 0.5 * ((x * number) % 1 < 0.04))


def tiles(rng: Generator) -> Floats:
    """Squares with joints, alike or as on a chessboard: (SIDE, SIDE)."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE
    number = int(rng.integers(1, 7))
    joint = ((x * number) % 1 < 0.04) | ((y * number) % 1 < 0.04)
    odd = ((x * number).astype(int) + (y * number).astype(int)) % 2
    return np.where(joint, rng.uniform(0.3, 1), 1 - odd * rng.choice([0, rng.uniform(0, 0.7)]))
