"""Depth maps and normals as colour pictures."""

import math
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import valid_depth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.limits import LARGEST_DRAWN_PIXELS, require_drawn
from hqmd_cli.registry import pick, resolve
from hqmd_cli.units import Kind
from hqmd_cli.visualization import COLORMAPS, DEFAULT_COLORMAP

RGB = NDArray[np.uint8]  # (H, W, 3)

MATPLOTLIB_COLORMAP = "magma_r"
NO_DEPTH_GREY = 128
SMALLEST_TEXT = 11  # pixels


@cache
def colours_of(colormap: str) -> NDArray[np.uint8]:
    """(256, 3) RGB of a colormap, from far to near. Raises HqmdError listing the names for an unknown one."""
    if not pick(COLORMAPS, colormap, "colormap"):
        return np.repeat(np.arange(256, dtype=np.uint8)[:, None], 3, axis=1)
    bgr = cv2.applyColorMap(np.arange(256, dtype=np.uint8)[None], resolve(COLORMAPS, colormap, "colormap"))[0]
    return bgr[:, ::-1].astype(np.uint8)


def colorize(
    depth_m: NDArray[np.floating],
    near_m: float,
    far_m: float,
    colormap: str = DEFAULT_COLORMAP,
    kind: Kind = "depth",
) -> NDArray[np.uint8]:
    """Colour depth (H, W), in metres, as (H, W, 3) uint8 RGB: near bright, far dark, grey where depth is not valid.

    Depth outside near_m..far_m gets the colour of that end; outside_share measures how much. near_m may equal far_m, as
    in a map of one pixel. For other kinds, map and range are in their own numbers; a disparity is near at its larger
    end. Raises HqmdError if near lies beyond far, or for an unknown colormap.
    """
    if not (far_m <= near_m if kind == "disparity" else near_m <= far_m):
        raise HqmdError(f"colours from {near_m:g} to {far_m:g} m: near must be less than far")
    table = colours_of(colormap)
    known = valid_depth(depth_m, kind)
    # At least a micrometre, or a millionth of a unitless range, so that rounding errors do not become a landscape.
    least = 1e-6 if kind == "depth" else 1e-6 * max(abs(near_m), abs(far_m)) or 1e-6
    span = math.copysign(max(abs(far_m - near_m), least), far_m - near_m)
    # In place, because allocating a map takes several times as long as computing it.
    shades = np.where(known, depth_m, far_m)
    shades -= near_m
    shades /= span
    np.clip(shades, 0, 1, out=shades)
    np.subtract(1, shades, out=shades)
    shades *= 255
    np.round(shades, out=shades)
    rgb = cv2.applyColorMap(shades.astype(np.uint8), table[:, None])
    if not known.all():
        rgb[~known] = NO_DEPTH_GREY
    return rgb  # type: ignore[return-value]


def outside_share(depth_m: NDArray[np.floating], near_m: float, far_m: float) -> float:
    """Return the share of pixels, 0..1, that lie outside the range of colours."""
    return float(np.mean(valid_depth(depth_m) & ((depth_m < near_m) | (depth_m > far_m))))


def side_by_side(image: RGB, picture: RGB) -> RGB:
    """Put the photo left and the picture right; both are (H, W, 3) uint8 RGB of the same height.

    Raises HqmdError if that is larger than limits.LARGEST_DRAWN_PIXELS.
    """
    require_drawn(picture.shape[0], image.shape[1] + picture.shape[1], "side by side", "--side-by-side")
    return np.hstack([image, picture])


def with_legend(
    picture: RGB, near_m: float, far_m: float, colormap: str = DEFAULT_COLORMAP, kind: Kind = "depth"
) -> RGB:
    """Add a bar of the colours right of the picture, with near and far in metres at its ends.

    For other kinds the ends have no unit, and the kind stands between them. The bar is as high as the picture, or as
    its text if that is higher; the rest is white. The added width depends only on the height of the picture, so all
    frames of a video have one size; beside a picture that is much higher than wide the text stays small. Raises
    HqmdError for a legend that would make the picture larger than limits.LARGEST_DRAWN_PIXELS.
    """
    from PIL import Image, ImageDraw, ImageFont  # here, because text takes a font engine, and few pictures have any

    height, width = picture.shape[:2]
    size = max(SMALLEST_TEXT, round(min(height / 24, width / 4)))  # of the text, pixels
    font = ImageFont.load_default(size)
    bar = slice(size // 2, size // 2 + size)
    lines = 3 if kind == "depth" else 4
    text_left, full_height = bar.stop + size // 3, max(height, lines * size)
    legend_width = text_left + 5 * size
    if full_height * (width + legend_width) > LARGEST_DRAWN_PIXELS:
        require_drawn(full_height, width + legend_width, "with a legend", "--legend")
    canvas = np.full((full_height, legend_width, 3), 255, np.uint8)
    shades = np.linspace(255, 0, full_height).round().astype(np.uint8)
    canvas[:, bar] = colours_of(colormap)[shades][:, None]
    drawn = Image.fromarray(canvas)
    pen = ImageDraw.Draw(drawn)
    for value, edge, anchor in ((near_m, size // 4, "lt"), (far_m, full_height - size // 4, "lb")):
        pen.text((text_left, edge), in_numbers(value, kind), "black", font, anchor=anchor)
    if kind != "depth":
        pen.text((text_left, full_height // 2), kind, "black", font, anchor="lm")
    whole = np.full((full_height, width + legend_width, 3), 255, np.uint8)
    whole[:height, :width] = picture
    whole[:, width:] = np.asarray(drawn)
    return whole


def in_numbers(value: float, kind: Kind) -> str:
    """Format an end of the range: metres with centimetres below 100 m, other kinds with 3 digits."""
    return f"{value:.{2 if value < 100 else 0}f} m" if kind == "depth" else f"{value:.3g}"


def normals_to_rgb(normals: NDArray[np.floating]) -> RGB:
    """Colour (H, W, 3) unit normals in the camera's frame as (H, W, 3) uint8 RGB; grey where they are NaN.

    Red points right, green up, blue towards the camera, each from -1 (0) to 1 (255), as in OpenGL normal maps: a wall
    that faces the camera is light blue, a floor green.
    """
    known = np.isfinite(normals).all(axis=2)
    shown = np.round((normals * np.array([1, -1, -1], np.float32) + 1) * 127.5)
    return np.where(known[..., None], shown, NO_DEPTH_GREY).astype(np.uint8)
