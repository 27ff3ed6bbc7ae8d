"""A look at whether depth lies where the photo is: its edges drawn over the photo. Arrays in, arrays out."""

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import printable
from hqmd_cli.visualization.colormap import RGB, colorize
from hqmd_cli.visualization.panels import stacked, to_panel_height, with_text

JUMP = 1.05  # from a pixel to its neighbour: an edge of depth
EDGE_COLOUR = (255, 0, 90)


def overlays(samples: Sequence[Sample]) -> RGB:
    """A row a sample: the photo under the edges of its depth, dark where there is none, and the depth in colours."""
    return stacked([row_of(sample) for sample in samples])


def row_of(sample: Sample) -> RGB:
    """One row, its name and range of depth above it."""
    near_m, far_m = span_m(sample)
    colours = colorize(sample.depth_m, near_m, far_m)
    both = np.hstack([to_panel_height(picture) for picture in (with_edges(sample), colours)])
    return with_text(both, printable(sample.name) + (f": {near_m:.2f} to {far_m:.2f} m" if far_m else ": no depth"))


def span_m(sample: Sample) -> tuple[float, float]:
    """From the nearest hundredth of the depths to the farthest; 0 and 0 where there is none."""
    depths = sample.depth_m[sample.valid]
    return (float(np.percentile(depths, 1)), float(np.percentile(depths, 99))) if depths.size else (0.0, 0.0)


def with_edges(sample: Sample) -> RGB:
    """(H, W, 3): the photo, dark where there is no depth, and coloured on both sides of its jumps."""
    shown = sample.image.copy()
    shown[~sample.valid] //= 3
    shown[depth_edges(sample.depth_m, sample.valid)] = EDGE_COLOUR
    return shown


def depth_edges(depth_m: NDArray[np.float32], valid: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """(H, W), both sides of a jump between two of 8 neighbours that have depth; a hole's rim is none."""
    block = np.ones((3, 3), np.uint8)
    far = cv2.dilate(np.where(valid, depth_m, 0), block)
    near = cv2.erode(np.where(valid, depth_m, np.float32(np.inf)), block)
    return valid & (far / np.float32(JUMP) > near)
