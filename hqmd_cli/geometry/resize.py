"""Resize photos to the size at which a network sees them. Arrays in, arrays out; no torch. Sizes are (H, W).

Training and predict share `base_scale`: depth in metres follows from how large things appear, so training at scale 1
shows the network what predict shows it.
"""

import math
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.base import SMALLEST_SIDE

LONGEST_ASPECT = 4.0  # of a photo at the network; a longer panorama is shrunk further, to bound the memory
SHORT_OF_LONG = 0.75  # of a photo of 4 : 3: its shorter side over its longer one
FULLY_SHARPENED = 0.45  # of `sharpen_below`: photos of this side, and smaller ones, are sharpened the most

Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])


def shrink(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize (H, W) or (H, W, 3) to `size`: average pixel areas if no side grows, else bilinear."""
    smaller = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)  # type: ignore[return-value]


def base_scale(size: tuple[int, int], height: int, width: int) -> float:
    """Return the factor that brings a photo's shorter side to the shorter side of `size`."""
    short, long = min(height, width), max(height, width)
    return min(min(size) / short, LONGEST_ASPECT * min(size) / long)


class Preprocess(NamedTuple):  # as files/kinds.py
    """Resize a photo for the network, (H, W, 3) uint8 RGB -> (h, w, 3): in predict, evaluate and validation.

    `size` is the network's. The photo keeps its aspect ratio, up to rounding to multiples of `multiple`. A strided
    convolution pads an odd side unlike an even one, and shifts its map: a network trained at multiples of 32 is 5 %
    worse at 289 x 385 than at 288 x 384.

    A photo with fewer than `sharpen_below` pixels (`sharpening`) is sharpened, the more the smaller it is: it is
    blurred on its way to the network's size, and to a network that learned from larger photos, blurred means near.
    """

    size: tuple[int, int]
    multiple: int = 1
    sharpen_below: int = 0

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """Return the size at which a photo of height x width goes through the network."""
        scale = base_scale(self.size, height, width)
        smallest = math.ceil(SMALLEST_SIDE / self.multiple)
        rows, columns = (max(smallest, round(side * scale / self.multiple)) * self.multiple for side in (height, width))
        return rows, columns

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        picture = shrink(image, self.working_size(*image.shape[:2]))
        share = sharpening(image.shape[:2], self.sharpen_below)
        return sharpened(picture, share) if share else picture


def sharpening(size: tuple[int, ...], sharpen_below: int) -> float:
    """Return how much of its detail is added to a photo of `size` again: 0 to 1, and 0 from `sharpen_below` pixels on.

    Linear in the shorter side, or in that of a photo of 4 : 3 with the same longer side: a strip cut from a photo is
    as sharp as the photo.
    """
    side = max(min(size), SHORT_OF_LONG * max(size))
    if side >= sharpen_below:
        return 0.0
    return min(1.0, (1 - side / sharpen_below) / (1 - FULLY_SHARPENED))


def sharpened(picture: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """Add this share of what a mean over 3 x 3 pixels takes away from a picture (H, W, 3)."""
    blurred = cv2.blur(picture, (3, 3), borderType=cv2.BORDER_REPLICATE)
    return cv2.addWeighted(picture, 1 + share, blurred, -share, 0)  # type: ignore[return-value]
