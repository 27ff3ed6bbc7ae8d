"""From the outputs of an ONNX file to a map, where its authors leave a step outside the file.

MoGe gives points up to a shift along the optical axis, for a focal length that it does not name. Both follow from the
points themselves: they have to project onto the pixels that they were predicted for.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError

Map = NDArray[np.float32]
SKY_FROM = 0.3  # Depth Anything 3: src/depth_anything_3/utils/alignment.py, compute_sky_mask
SKY_AT = 0.99  # and model/da3.py: the sky is as far as this quantile of the rest
FEWEST = 10  # pixels of sky and of the rest; with fewer, nothing is changed
MASK_FROM = 0.5  # MoGe: moge/model/v2.py, infer
SAMPLES = 64  # each way: MoGe solves on so many points
STEPS, ENOUGH = 30, 1e-6  # of the solver
EXACT = 1e-12  # squared error in half diagonals, of points that leave nothing to solve


class Answer(NamedTuple):
    """A map at the network's size, up to the model's scale."""

    depth: Map  # (h, w), finite
    focal_px: float | None = None  # of a camera that sees a picture of (h, w)
    left_out: float = 0.0  # share of the pixels that have no depth of their own


def plain(outputs: Mapping[str, NDArray[Any]], name: str, focal_px: float | None) -> Answer:
    """Take one output as the map."""
    return Answer(as_map(outputs[name], name))


def without_sky(outputs: Mapping[str, NDArray[Any]], name: str, focal_px: float | None) -> Answer:
    """Put the sky, where it is marked, behind the rest, as Depth Anything 3 does."""
    depth, sky = as_map(outputs[name], name), as_map(outputs["sky"], "sky") >= SKY_FROM
    if min(sky.sum(), (~sky).sum()) <= FEWEST:
        return Answer(depth)
    return Answer(np.where(sky, np.quantile(depth[~sky], SKY_AT).astype(np.float32), depth), left_out=float(sky.mean()))


def moge(outputs: Mapping[str, NDArray[Any]], name: str, focal_px: float | None) -> Answer:
    """Find the focal length, unless it is known, and the shift; what has no depth is put as far as the farthest."""
    points = np.asarray(outputs[name], np.float32)
    points = points.reshape(points.shape[-3:])
    mask = as_map(outputs["mask"], "mask") > MASK_FROM
    scale = float(np.ravel(outputs["scale"])[0])
    height, width = mask.shape
    if points.shape != (height, width, 3):
        raise HqmdError(f"its points have the shape {points.shape} for a mask of {mask.shape}")
    half_diagonal = math.hypot(height, width) / 2  # the unit of MoGe's focal lengths
    focal, shift = focal_and_shift(points, mask, focal_px / half_diagonal if focal_px else None)
    depth = points[..., 2] + np.float32(shift)
    known = mask & (depth > 0)
    if not known.any():
        raise HqmdError("its mask leaves no pixel with a depth")
    depth = np.where(known, depth, depth[known].max()) * np.float32(scale)
    return Answer(depth, focal * half_diagonal, float(1 - known.mean()))


AFTER = {"": plain, "sky": without_sky, "moge": moge}
NEEDED = {"": (), "sky": ("sky",), "moge": ("mask", "scale")}  # outputs besides the map
ALSO_CALLED = {"scale": "metric_scale"}  # in MoGe's documentation; its published files say scale


def as_map(values: NDArray[Any], name: str) -> Map:
    """Return an output as (h, w). Raises HqmdError if it has more than one map."""
    sides = values.shape[-2:]
    if values.ndim < 2 or values.size != math.prod(sides):
        raise HqmdError(f"its output {name} has the shape {values.shape}, which is not a single map")
    return values.reshape(sides).astype(np.float32, copy=False)


def focal_and_shift(points: Map, mask: NDArray[np.bool_], focal: float | None) -> tuple[float, float]:
    """Return MoGe's focal length, in half diagonals, and shift, for points (h, w, 3) that the mask (h, w) allows.

    The points p = (x, y, z) of the pixels u, seen from the middle in half diagonals, minimize |f (x, y) / (z + s) - u|
    over s, and over f unless it is known (moge/utils/geometry_numpy.py, solve_optimal_focal_shift). For a given s, f
    has a closed form, so one unknown is left, for a Levenberg-Marquardt search from 0.
    """
    rows, columns = (np.arange(SAMPLES) * side // SAMPLES for side in mask.shape)  # nearest, as MoGe samples
    chosen = mask[rows[:, None], columns]
    sampled = points[rows[:, None], columns][chosen].astype(np.float64)
    if len(sampled) < 2:
        return focal or 1.0, 0.0
    height, width = mask.shape
    half = math.hypot(height, width) / 2
    down, across = np.meshgrid((rows - (height - 1) / 2) / half, (columns - (width - 1) / 2) / half, indexing="ij")
    pixels = np.stack([across, down], axis=-1)[chosen]

    def seen(shift: float) -> tuple[float, NDArray[np.float64]]:
        projected = sampled[:, :2] / (sampled[:, 2:] + shift)
        f = focal or float((projected * pixels).sum() / np.square(projected).sum())
        return f, (f * projected - pixels).ravel()

    shift, damping = 0.0, 1e-3
    best, errors = seen(shift)
    for _ in range(STEPS):
        if errors @ errors <= EXACT * len(errors):  # of a flat wall, any shift fits, with a focal length of its own
            break
        step = 1e-6 * max(1.0, abs(shift))
        slope = (seen(shift + step)[1] - errors) / step
        change = -float(slope @ errors) / (float(slope @ slope) * (1 + damping) or 1.0)
        f, tried = seen(shift + change)
        stays = (sampled[:, 2] + shift + change > 0).sum() >= (sampled[:, 2] + shift > 0).sum()  # before the camera
        if stays and tried @ tried < errors @ errors:
            shift, best, errors, damping = shift + change, f, tried, damping / 10
            if abs(change) <= ENOUGH * max(1.0, abs(shift)):
                break
        else:
            damping *= 10
    return best, shift
