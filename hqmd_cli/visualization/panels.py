"""Rows of small pictures with a line of text."""

from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hqmd_cli.geometry.resize import shrink
from hqmd_cli.visualization.colormap import RGB

PANEL_HEIGHT = 300  # pixels
MOST_WIDTH = 20 * PANEL_HEIGHT
TEXT_HEIGHT = 18


def stacked(rows: Sequence[RGB]) -> RGB:
    """Stack pictures, and pad the narrower ones with white."""
    width = max(row.shape[1] for row in rows)
    padded = [np.pad(row, ((0, 0), (0, width - row.shape[1]), (0, 0)), constant_values=255) for row in rows]
    return np.vstack(padded)


def with_text(picture: RGB, text: str) -> RGB:
    """Put a line of text above a picture."""
    canvas = np.full((TEXT_HEIGHT + picture.shape[0], picture.shape[1], 3), 255, np.uint8)
    canvas[TEXT_HEIGHT:] = picture
    drawn = Image.fromarray(canvas)
    ImageDraw.Draw(drawn).text((4, 2), text, "black", ImageFont.load_default(TEXT_HEIGHT - 5))
    return np.array(drawn)


def to_panel_height(picture: RGB) -> RGB:
    """Resize a picture to PANEL_HEIGHT; a very long panorama becomes no wider than MOST_WIDTH."""
    height, width = picture.shape[:2]
    return shrink(picture, (PANEL_HEIGHT, min(MOST_WIDTH, max(1, round(width * PANEL_HEIGHT / height)))))
