"""Small pictures and depth maps whose parts can be told apart."""

import numpy as np


def corners(height: int = 24, width: int = 40) -> np.ndarray:
    """Four fields of different colour: which way is up, and which way is left, can be seen."""
    image = np.full((height, width, 3), 200, np.uint8)
    image[: height // 2, : width // 2] = 255, 0, 0
    image[: height // 2, width // 2 :] = 0, 255, 0
    image[height // 2 :, : width // 2] = 0, 0, 255
    return image


def some_depth() -> np.ndarray:
    return np.random.default_rng(0).uniform(0.1, 10, (24, 40)).astype(np.float32)
