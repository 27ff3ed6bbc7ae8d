"""Photos with marks at pixels, and a line of text beside each."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from hqmd_cli.visualization.colormap import RGB
from hqmd_cli.visualization.panels import PANEL_HEIGHT, to_panel_height

RADIUS = 6
TEXT = 15
LINE = TEXT + 5  # from one text to the next


class Mark(NamedTuple):
    """A pixel of a photo, with what is written beside it."""

    x: int
    y: int
    text: str


def marked(rgb: RGB, marks: Sequence[Mark]) -> RGB:
    """Shrink a photo (H, W, 3) to the height of a panel, and draw a ring and a text at each mark.

    A text that would cover another one, or a ring, goes below it, as far as there is room, with a line from its ring.
    """
    panel = Image.fromarray(to_panel_height(rgb))
    share = PANEL_HEIGHT / rgb.shape[0], panel.width / rgb.shape[1]
    draw, font = ImageDraw.Draw(panel), ImageFont.load_default(TEXT)
    rings = [((mark.x + 0.5) * share[1], (mark.y + 0.5) * share[0]) for mark in marks]
    taken = [(x - RADIUS, x + RADIUS, y - TEXT / 2) for x, y in rings]  # left, right and top, of each text, too
    for mark, (x, y) in zip(marks, rings, strict=True):
        for radius, colour in ((RADIUS + 1, "black"), (RADIUS, "white")):
            draw.ellipse((x - radius, y - radius, x + radius, y + radius), outline=colour)
        wide = draw.textlength(mark.text, font)
        left = x + RADIUS + 4 if x + RADIUS + 4 + wide < panel.width else max(0, x - RADIUS - 4 - wide)
        top = level = min(max(0, y - TEXT / 2), panel.height - TEXT - 3)
        beside = [other_top for start, end, other_top in taken if left < end and start < left + wide]
        while top < panel.height - TEXT - 3 and any(abs(top - other_top) < LINE for other_top in beside):
            top += 1
        taken.append((left, left + wide, top))
        if top >= level + LINE / 2:
            draw.line((x, y + RADIUS, min(max(x, left), left + wide), top), "white")
        draw.text((left, top), mark.text, "white", font, stroke_width=2, stroke_fill="black")
    return np.asarray(panel)
