"""Photos to network input, and samples to training input. Arrays in, arrays out; no torch.

One base scale serves both, `base_scale`: depth in metres follows from how large things look, so training at scale 1
has to show the network what predict will show it. Shapes are (H, W).
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.base import SMALLEST_SIDE
from hqmd_cli.geometry.resize import shrink

LONGEST_ASPECT = 4.0  # of a photo at the network; a longer panorama is shrunk further, to bound the memory


def base_scale(size: tuple[int, int], height: int, width: int) -> float:
    """By how much a photo is shrunk: until its shorter side is the shorter of the network's `size`."""
    short, long = min(height, width), max(height, width)
    return min(min(size) / short, LONGEST_ASPECT * min(size) / long)


@dataclass(frozen=True)
class Preprocess:
    """What predict, evaluate and validation do to a photo before the network sees it.

    `size` is the network's (H, W); of the photo, shape and aspect ratio are kept up to rounding to multiples of
    `multiple`. A convolution with stride pads an odd side unlike an even one, and shifts what it sees: at 289 x 385 a
    network that has learnt at multiples of 32 is 5 % worse than at 288 x 384.
    """

    size: tuple[int, int]
    multiple: int = 1

    def working_size(self, height: int, width: int) -> tuple[int, int]:
        """The (H, W) at which a photo of this size goes through the network."""
        scale = base_scale(self.size, height, width)
        smallest = math.ceil(SMALLEST_SIDE / self.multiple)
        rows, columns = (max(smallest, round(side * scale / self.multiple)) * self.multiple for side in (height, width))
        return rows, columns

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """(H, W, 3) uint8 RGB -> (h, w, 3) uint8 RGB."""
        return shrink(image, self.working_size(*image.shape[:2]))


def to_network(image: NDArray[np.uint8]) -> NDArray[np.float32]:
    """(H, W, 3) uint8 -> (3, H, W) float32 in 0..1."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
