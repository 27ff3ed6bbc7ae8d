"""Guided filter: bring depth to the edges of the photo, which the network sees at a small size.

The fast guided filter (He and Sun, https://arxiv.org/abs/1505.00996; He, Sun and Tang, "Guided Image Filtering", TPAMI
2013, eq. 14-16 for colour): within a small window log depth is a linear function of the photo's colour. The functions
are fitted to small pictures, enlarged, and applied to the photo's own pixels. Even areas are smoothed a little. Where
colour changes and depth does not, the fit is flat, and no texture is copied.
"""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.geometry.resize import shrink

EPSILON = 1e-3  # squared colour in 0..1: contrast well below its root, 8 of 255, counts as noise
FIT_SIDE = 56  # pixels, shorter side of the fitted pictures; towards 40, edges on val get sharper and RMSE larger
MOST_TALL = 2**24  # values: 64 MB for each of four planes
STRIP_PIXELS = 2**16  # of the photo at a time: bounds the memory, and reusing it is faster than allocating

Floats = NDArray[np.float32]


def follow_edges(depth_m: Floats, image: NDArray[np.uint8], share: float) -> Floats:
    """Enlarge depth (h, w) in metres to its photo's size along the photo's edges; image (H, W, 3) uint8 RGB -> (H, W).

    `share` is the radius of the window, as a share of the shorter side of `depth_m`. The result stays within the range
    of `depth_m`.
    """
    scale = min(1.0, FIT_SIDE / min(depth_m.shape))
    size = (round(depth_m.shape[0] * scale), round(depth_m.shape[1] * scale))
    small = shrink(halved(image, size), size)
    log_depth = np.log(shrink(depth_m, size))
    colours = np.multiply(small, np.float32(1 / 255), dtype=np.float32)
    fits = local_fits(colours, log_depth, radius=max(1, round(share * min(size))))
    fits[..., :3] /= 255  # from here on functions of the photo's bytes
    nearest, farthest = float(log_depth.min()), float(log_depth.max())
    height, width = image.shape[:2]
    result = np.empty((height, width), np.float32)
    rows = max(1, STRIP_PIXELS // width)
    tall = [tall_plane(plane, height) for plane in cv2.split(fits)]
    fit_planes, photo_planes = np.empty((4, rows, width), np.float32), np.empty((3, rows, width), np.uint8)
    for top in range(0, height, rows):
        strip = slice(top, min(top + rows, height))
        wide, channels = (planes[:, : strip.stop - top] for planes in (fit_planes, photo_planes))
        for plane, enlarged in zip(tall, wide, strict=True):
            cv2.resize(plane(strip), enlarged.shape[::-1], dst=enlarged, interpolation=cv2.INTER_LINEAR)
        *slopes, fitted = wide
        for slope, channel in zip(slopes, cv2.split(image[strip], tuple(channels)), strict=True):
            fitted += np.multiply(slope, channel, out=slope)
        np.exp(np.clip(fitted, nearest, farthest, out=fitted), out=result[strip])
    return result


def tall_plane(plane: Any, height: int) -> Callable[[slice], Floats]:
    """Return a function that gives rows of a plane (h, w) enlarged to `height` rows.

    They are computed at once where that takes little memory, as of every usual photo. A photo that is a few pixels wide
    and millions high would take hundreds of times its own size, so its rows are computed as they are asked for.
    """
    if plane.shape[1] * height <= MOST_TALL:
        tall = cv2.resize(plane, (plane.shape[1], height), interpolation=cv2.INTER_LINEAR)
        return lambda rows: tall[rows]

    def some(rows: slice) -> Floats:
        places = (np.arange(rows.start, rows.stop) + 0.5) * (plane.shape[0] / height) - 0.5
        first = np.floor(places).astype(np.intp)
        share = (places - first).astype(np.float32)[:, None]
        low, high = (np.clip(first + step, 0, plane.shape[0] - 1) for step in (0, 1))
        return plane[low] * (1 - share) + plane[high] * share

    return some


def halved(image: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Halve an image until it is less than four times as large as `size`: OpenCV halves ten times as fast."""
    while min(image.shape[0] / size[0], image.shape[1] / size[1]) >= 4:
        image = shrink(image, (image.shape[0] // 2, image.shape[1] // 2))
    return image


def local_fits(colours: Floats, values: Floats, radius: int) -> Floats:
    """Fit a linear function of colour in each window: colours (h, w, 3) in 0..1, values (h, w) -> (h, w, 4).

    A pixel gets three slopes and an offset, averaged over the windows that contain it.
    """

    def mean(array: Floats) -> Floats:
        return cv2.blur(array, (2 * radius + 1, 2 * radius + 1)).astype(np.float32, copy=False)

    mean_colour, mean_value = mean(colours), mean(values)
    red, green, blue = (mean_colour[..., channel] for channel in range(3))
    squares, mixed = mean(colours * colours), mean(colours * np.roll(colours, -1, axis=2))  # RR GG BB, RG GB BR
    rr, gg, bb = (squares[..., i] - mean_colour[..., i] ** 2 + np.float32(EPSILON) for i in range(3))
    rg, gb, br = (mixed[..., i] - mean_colour[..., i] * mean_colour[..., (i + 1) % 3] for i in range(3))
    vr, vg, vb = np.moveaxis(mean(colours * values[..., None]) - mean_colour * mean_value[..., None], 2, 0)
    # Cramer's rule for the symmetric 3 x 3 system; a solver call per pixel takes ten times as long.
    i_rr, i_rg, i_br = gg * bb - gb * gb, gb * br - rg * bb, rg * gb - gg * br
    i_gg, i_gb, i_bb = rr * bb - br * br, br * rg - rr * gb, rr * gg - rg * rg
    scale = 1 / (rr * i_rr + rg * i_rg + br * i_br)
    slope_r = (i_rr * vr + i_rg * vg + i_br * vb) * scale
    slope_g = (i_rg * vr + i_gg * vg + i_gb * vb) * scale
    slope_b = (i_br * vr + i_gb * vg + i_bb * vb) * scale
    offset = mean_value - slope_r * red - slope_g * green - slope_b * blue
    return mean(np.stack([slope_r, slope_g, slope_b, offset], axis=2))
