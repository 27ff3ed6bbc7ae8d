"""Photos to network input, and samples to training input. Arrays in, arrays out; no torch.

One base scale serves both, `base_scale`: depth in metres follows from how large things look, so training at scale 1
has to show the network what predict will show it. Shapes are (H, W).
"""

from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = TypeVar("Pixels", NDArray[np.uint8], NDArray[np.float32])


def shrink(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize (H, W) or (H, W, 3) to `size`: pixel areas averaged when it gets smaller, bilinear when larger."""
    smaller = size[0] <= image.shape[0] and size[1] <= image.shape[1]
    return cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_LINEAR)  # type: ignore[return-value]
