"""Pictures that show if depth and photo are aligned: depth edges drawn over the photo. Arrays in, arrays out."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import printable
from hqmd_cli.visualization.colormap import RGB, colorize
from hqmd_cli.visualization.panels import stacked, to_panel_height, with_text

JUMP = 1.05  # ratio of the depths of two neighbours: an edge
EDGE_COLOUR = (255, 0, 90)


def overlays(samples: Sequence[Sample]) -> RGB:
    """Draw a row per sample: the photo with depth edges, darkened where depth is unknown, and the depth in colours."""
    return stacked([row_of(sample) for sample in samples])


def row_of(sample: Sample) -> RGB:
    """Draw one row, with name and range of depth above it."""
    depths_m = sample.depth_m[sample.valid]
    near_m, far_m = np.percentile(depths_m, (1, 99)) if depths_m.size else (0.0, 0.0)
    colours = colorize(sample.depth_m, near_m, far_m)
    both = np.hstack([to_panel_height(picture) for picture in (with_edges(sample), colours)])
    return with_text(both, printable(sample.name) + (f": {near_m:.2f} to {far_m:.2f} m" if far_m else ": no depth"))


def with_edges(sample: Sample) -> RGB:
    """Return the photo (H, W, 3), darkened where depth is unknown, and coloured at depth edges."""
    shown = sample.image.copy()
    shown[~sample.valid] //= 3
    shown[depth_edges(sample.depth_m, sample.valid)] = EDGE_COLOUR
    return shown


def depth_edges(depth_m: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Return a mask (H, W) of both sides of each jump between neighbours (of 8). The rim of a hole is not an edge."""
    block = np.ones((3, 3), np.uint8)
    far = cv2.dilate(np.where(valid, depth_m, 0), block)
    near = cv2.erode(np.where(valid, depth_m, np.float32(np.inf)), block)
    return valid & (far / np.float32(JUMP) > near)
