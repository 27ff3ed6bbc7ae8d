"""A photo as an ONNX file wants it: resized, padded, normalized. NumPy, OpenCV and Pillow; no torch."""

import math
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.inference.foreign.onnx_profile import Profile

Size = tuple[int, int]  # (height, width)
PILLOW = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class Picture(NamedTuple):
    """A photo as it is shown to a network."""

    rgb: NDArray[np.uint8]  # (h, w, 3), with what is padded around it; floats if the padding is not whole
    inner: tuple[slice, slice]  # rows and columns of the photo in it
    ratio: float  # of the photo's focal length in pixels: how much of it is left


def shown(image: NDArray[np.uint8], profile: Profile, fixed: Size | None) -> Picture:
    """Resize a photo (H, W, 3); `fixed` is the only (h, w) that the graph takes, None: any."""
    height, width = image.shape[:2]
    picture = image
    for size in sizes(profile, height, width, fixed):
        picture = resized(picture, size, profile.resize)
    rows, columns = picture.shape[:2]
    ratio = (rows / height + columns / width) / 2
    if profile.fit != "pad":
        return Picture(picture, (slice(0, rows), slice(0, columns)), ratio)
    whole = fixed or (profile.size[0], profile.size[1])
    top, left = (whole[0] - rows) // 2, (whole[1] - columns) // 2
    padded = np.empty((*whole, 3), np.float32)
    padded[:] = profile.padding
    inner = (slice(top, top + rows), slice(left, left + columns))
    padded[inner] = picture
    return Picture(padded, inner, ratio)  # type: ignore[arg-type]


def sizes(profile: Profile, height: int, width: int, fixed: Size | None) -> list[Size]:
    """Return the sizes through which a photo goes, the last one is that of the network."""
    if profile.fit == "pad":
        rows, columns = fixed or profile.size
        scale = min(rows / height, columns / width)
        return [(max(1, int(height * scale)), max(1, int(width * scale)))]
    if fixed or profile.fit == "stretch":
        rows, columns = fixed or profile.size
        return [(rows, columns)]
    down, across = profile.side / height, profile.side / width
    scale = {
        "own": 1.0,
        "shorter": max(down, across),
        "longer": min(down, across),
        "closest": across if abs(1 - across) < abs(1 - down) else down,
    }[profile.fit]
    scale = min(scale, math.sqrt(profile.most_pixels / (height * width)))
    exact = (height * scale, width * scale)
    steps = (max(1, round(exact[0])), max(1, round(exact[1])))
    if profile.fit == "longer":  # in two steps, as Depth Anything 3 does it
        return [steps, (to_multiple(steps[0], profile.multiple), to_multiple(steps[1], profile.multiple))]
    return [(to_multiple(exact[0], profile.multiple), to_multiple(exact[1], profile.multiple))]


def to_multiple(side: float, multiple: int) -> int:
    """Round to a multiple, of which there is at least one; a whole side half-way between two becomes larger."""
    steps = side / multiple
    nearest = math.floor(steps + 0.5) if isinstance(side, int) else round(steps)
    return max(1, nearest) * multiple


def resized(image: NDArray[np.uint8], size: Size, how: str) -> NDArray[np.uint8]:
    """Resize (H, W, 3) to (h, w)."""
    if image.shape[:2] == size:
        return image
    if how in PILLOW:
        return np.asarray(Image.fromarray(image).resize(size[::-1], PILLOW[how]))
    grows = size[0] > image.shape[0] or size[1] > image.shape[1]
    by = {"linear": cv2.INTER_LINEAR, "area": cv2.INTER_CUBIC if grows else cv2.INTER_AREA}[how]
    return cv2.resize(image, size[::-1], interpolation=by)  # type: ignore[return-value]


def fed(picture: NDArray[np.uint8], profile: Profile, kind: Any) -> NDArray[Any]:
    """Normalize a picture (h, w, 3) and arrange its axes; `kind` is the type of the graph's input."""
    values: NDArray[Any] = picture
    if kind != np.uint8:
        mean, std = np.array(profile.mean, np.float32), np.array(profile.std, np.float32)
        values = ((picture.astype(np.float32) / np.float32(255) - mean) / std).astype(kind)
    if not profile.channels_last:
        values = np.ascontiguousarray(values.transpose(2, 0, 1))
    return values[None, None] if profile.views else values[None]
