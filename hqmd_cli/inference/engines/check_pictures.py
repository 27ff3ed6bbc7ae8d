"""Pictures on which two engines are compared: an export with torch, an accelerator with the CPU."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

CHECKED_SIZES = ((224, 298), (288, 384), (225, 301))  # even, larger and odd: padding differs


def check_pictures(sizes: Sequence[tuple[int, int]] = CHECKED_SIZES) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures with smooth regions, edges and noise in several sizes; the same ones on every call."""
    rng = np.random.default_rng(0)
    for height, width in sizes:
        down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        picture = np.stack([255 * down, 255 * across, np.full_like(down, 90)], axis=-1)
        picture[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 60)
        yield np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)
