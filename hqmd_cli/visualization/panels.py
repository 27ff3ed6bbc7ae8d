"""A look at whether depth lies where the photo is: its edges drawn over the photo. Arrays in, arrays out."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hqmd_cli.geometry.resize import shrink
from hqmd_cli.visualization.colormap import RGB

PANEL_HEIGHT = 300  # pixels


TEXT_HEIGHT = 18


def stacked(rows: Sequence[RGB]) -> RGB:
    """Pictures below each other, the narrower ones filled up with white."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.vstack(padded)


def with_text(picture: RGB, text: str) -> RGB:
    """The picture, and a line of text above it."""
    canvas = np.full((TEXT_HEIGHT + picture.shape[0], picture.shape[1], 3), 255, np.uint8)
    canvas[TEXT_HEIGHT:] = picture
    drawn = Image.fromarray(canvas)
    ImageDraw.Draw(drawn).text((4, 2), text, "black", ImageFont.load_default(TEXT_HEIGHT - 5))
    return np.array(drawn)


def to_panel_height(picture: RGB) -> RGB:
    """The picture as high as all others."""
    height, width = picture.shape[:2]
    return shrink(picture, (PANEL_HEIGHT, max(1, round(width * PANEL_HEIGHT / height))))
