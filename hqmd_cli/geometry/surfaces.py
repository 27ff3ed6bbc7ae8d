"""From a depth map to points, normals and a mesh. Arrays in, arrays out; no files.

Everything is in the camera's frame: x to the right, y down, z along the optical axis, metres, the camera at 0. Pixels
without valid depth (0, negative, NaN or infinite) belong to no surface.

At the border of an object depth jumps, and no surface connects the two sides. A jump is a relative change between
neighbouring pixels above `edge_rtol`, in a photo whose longer side is 640 pixels. The network sees larger photos at
reduced size, which spreads a jump over more pixels, so the limit per pixel is lower there.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import valid_depth
from hqmd_cli.geometry.camera import Intrinsics

# Chosen by eye on point clouds of NYU photos seen from above. Networks blur the borders of objects over several pixels
# of 1.5 to 4 % each; slanted floors and walls change by less than 1.2 % per pixel. Sharp jumps are far larger.
DEFAULT_EDGE_RTOL = 0.015
REFERENCE_SIDE = 640  # pixels; the longer side that edge_rtol is meant for


def unproject(depth_m: NDArray[np.floating], camera: Intrinsics) -> NDArray[np.float32]:
    """Turn depth (H, W), metres along the optical axis, into points (H, W, 3); NaN where depth is not valid."""
    height, width = depth_m.shape
    known_m = np.where(valid_depth(depth_m), depth_m, np.nan).astype(np.float32)
    points = np.empty((height, width, 3), np.float32)
    points[..., 0] = known_m * ((np.arange(width, dtype=np.float32) - camera.cx) / camera.fx)
    points[..., 1] = known_m * ((np.arange(height, dtype=np.float32) - camera.cy) / camera.fy)[:, None]
    points[..., 2] = known_m
    return points


def jump_limit(shape: tuple[int, ...], edge_rtol: float) -> float:
    """Return the relative change per pixel that is a jump in a map of this shape."""
    return edge_rtol * min(1.0, REFERENCE_SIDE / max(shape))


def on_jumps(depth_m: NDArray[np.floating], edge_rtol: float = DEFAULT_EDGE_RTOL) -> NDArray[np.bool_]:
    """Mark both sides of jumps to one of the 8 neighbours, and pixels without valid depth. (H, W) -> (H, W)."""
    known_m = np.where(valid_depth(depth_m), depth_m, 0).astype(np.float32)
    block = np.ones((3, 3), np.uint8)
    factor = np.float32(1 + jump_limit(depth_m.shape, edge_rtol))
    return (
        (cv2.dilate(known_m, block) > known_m * factor)
        | (known_m > cv2.erode(known_m, block) * factor)
        | (known_m == 0)
    )


def normals(
    depth_m: NDArray[np.floating],
    camera: Intrinsics,
    edge_rtol: float = DEFAULT_EDGE_RTOL,
    rows: slice = slice(None),
) -> NDArray[np.float32]:
    """Compute unit normals (H, W, 3), towards the camera, from depth (H, W) in metres; of `rows` only, if given.

    In each direction the slope is the mean of both sides if neither jumps, else the slope of the side that jumps less;
    at the border of the map it is the slope of the inner side. NaN if both sides lack depth, or the map is one pixel
    wide.

    A plane n . P = 1 has 1 / z = n . ((u - cx) / fx, (v - cy) / fy, 1): 1 / z is linear in the pixels, and its slopes
    are the normal. So a plane has the same normal at all its pixels, without differences of points.
    """
    height, width = depth_m.shape
    # Neighbours in a large map differ too little for a precise slope; see jump_limit.
    reach = max(1, round(max(height, width) / REFERENCE_SIDE))
    limit = jump_limit(depth_m.shape, edge_rtol)
    top, bottom, _ = rows.indices(height)
    reach_down = min(reach, height // 2)
    above = max(0, top - reach_down)
    seen_m = depth_m[above : min(height, bottom + reach_down)]  # with the neighbours of the first and the last row
    own = slice(top - above, bottom - above)
    inverse = (1 / np.where(valid_depth(seen_m), seen_m, np.nan)).astype(np.float32)
    along_v = slopes(inverse.T, reach_down, limit).T[own] if height > 1 else np.full_like(inverse, np.nan)
    inverse = inverse[own]
    along_u = slopes(inverse, min(reach, width // 2), limit)
    outward = np.empty((bottom - top, width, 3), np.float32)
    outward[..., 0] = along_u * np.float32(camera.fx)
    outward[..., 1] = along_v * np.float32(camera.fy)
    outward[..., 2] = inverse
    outward[..., 2] -= along_u * (np.arange(width, dtype=np.float32) - camera.cx)
    outward[..., 2] -= along_v * (np.arange(top, bottom, dtype=np.float32) - camera.cy)[:, None]
    outward /= -np.sqrt(np.einsum("hwc,hwc->hw", outward, outward))[..., None]
    return outward


def slopes(inverse: NDArray[np.float32], reach: int, limit: float) -> NDArray[np.float32]:
    """Compute the change of inverse depth (H, W) per pixel along a row, from neighbours `reach` pixels away.

    `reach` is at most half the width of the map, so that every pixel has at least one side.
    """
    if inverse.shape[1] == 1:
        return np.full_like(inverse, np.nan)
    left, right = inverse[:, :-reach], inverse[:, reach:]
    change = (right - left) / np.float32(reach)
    jump = np.nan_to_num(np.abs(right - left) / np.minimum(right, left), nan=np.inf)
    ahead, behind = ((0, 0), (0, reach)), ((0, 0), (reach, 0))  # how to pad differences to neighbours on one side
    jump_ahead, jump_behind = (np.pad(jump, side, constant_values=np.inf) for side in (ahead, behind))
    use_ahead = jump_ahead <= np.maximum(limit * reach, jump_behind)
    use_behind = jump_behind <= np.maximum(limit * reach, jump_ahead)
    total = np.where(use_ahead, np.pad(change, ahead), 0) + np.where(use_behind, np.pad(change, behind), 0)
    return total / (use_ahead.astype(np.float32) + use_behind)


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh without unused vertices."""

    points: NDArray[np.float32]  # (V, 3)
    pixels: NDArray[np.intp]  # (V,) where each vertex is in the photo, row after row
    triangles: NDArray[np.int32]  # (F, 3) vertices, counter-clockwise as the camera sees them
    share: float  # share of the triangles that a surface without jumps would have, 0..1


def mesh_of(
    depth_m: NDArray[np.floating],
    camera: Intrinsics,
    edge_rtol: float = DEFAULT_EDGE_RTOL,
    left_out: NDArray[np.bool_] | None = None,
) -> Mesh:
    """Make two triangles of every four pixels of depth (H, W), in metres, without those that touch a jump.

    Triangles that touch a pixel of `left_out` (H, W) are left out, too.
    """
    height, width = depth_m.shape
    solid = ~on_jumps(depth_m, edge_rtol)
    if left_out is not None:
        solid &= ~left_out
    index = np.arange(height * width, dtype=np.int32).reshape(height, width)
    above, above_right, below, below_right = np.s_[:-1, :-1], np.s_[:-1, 1:], np.s_[1:, :-1], np.s_[1:, 1:]
    kept = []
    for corners in ((above, below, above_right), (above_right, below, below_right)):
        whole = np.logical_and.reduce([solid[corner] for corner in corners])
        kept.append(np.stack([index[corner][whole] for corner in corners], axis=1))
    triangles = np.concatenate(kept)
    used = np.zeros(height * width, bool)
    used[triangles] = True
    pixels = np.flatnonzero(used)
    renumbered = np.cumsum(used, dtype=np.int32) - 1
    points = unproject(depth_m, camera).reshape(-1, 3)[pixels]
    room = 2 * (height - 1) * (width - 1)
    return Mesh(points, pixels, renumbered[triangles], len(triangles) / room if room else 0.0)
