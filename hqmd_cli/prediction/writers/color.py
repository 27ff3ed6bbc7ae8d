"""Depth as a colour picture."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.images import encode_image
from hqmd_cli.prediction.result import DepthResult, Encoded, Style
from hqmd_cli.units import IN_WORDS, Kind
from hqmd_cli.visualization.colormap import colorize, outside_share, side_by_side, with_legend


def encode_color(path: Path, result: DepthResult, style: Style) -> Encoded:
    """Encode the colour picture; where `style` leaves the range open, colours span the photo's own depth."""
    near, far = range_of(path, result, style)
    is_depth = result.kind == "depth"
    try:
        picture = painted(result.image, result.depth_m, near, far, style, result.kind)
    except HqmdError as error:
        raise HqmdError(f"{path}: {error}") from error
    note = "" if is_depth else f"colours of {IN_WORDS[result.kind]}"
    content = encode_image(path, picture, note)
    if not is_depth:
        return content, f"{note}: near {near:.6g}, far {far:.6g}"
    given = style.near_m is not None or style.far_m is not None
    outside = outside_share(result.depth_m, near, far) if given else 0.0
    beyond = f"; {outside:.1%} of the pixels lie beyond, shown in the colours of the ends" if outside else ""
    return content, f"colours from {near:.2f} to {far:.2f} m{beyond}"


def range_of(path: Path, result: DepthResult, style: Style) -> tuple[float, float]:
    """Return the nearest and the farthest value of the colours. Raises HqmdError if the user's end lies beyond."""
    near = result.near if style.near_m is None else style.near_m
    far = result.far if style.far_m is None else style.far_m
    if result.kind == "depth" and near > far:
        raise HqmdError(
            f"{path}: no colours from {near:g} to {far:g} m, since depth is {result.near:.2f} to {result.far:.2f} m; "
            "give both --vmin and --vmax"
        )
    return near, far


def painted(
    image: NDArray[np.uint8],
    depth_m: NDArray[np.floating],
    near_m: float,
    far_m: float,
    style: Style,
    kind: Kind = "depth",
) -> NDArray[np.uint8]:
    """Colour the depth (H, W) of `image` (H, W, 3) from near_m to far_m; add photo and legend as `style` asks."""
    picture = colorize(depth_m, near_m, far_m, style.colormap, kind)
    if style.side_by_side:
        picture = side_by_side(image, picture)
    return with_legend(picture, near_m, far_m, style.colormap, kind) if style.legend else picture
