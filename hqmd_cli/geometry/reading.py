"""A measured distance from the lens to what is seen at a pixel."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import LARGEST_DEPTH_M, SMALLEST_DEPTH_M
from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry.camera import Intrinsics


@dataclass(frozen=True)
class Reading:
    """The straight distance in metres to what is seen at pixel (x, y) of the upright photo, counted from 0."""

    x: int
    y: int
    metres: float

    @classmethod
    def parse(cls, text: str, where: str) -> "Reading":
        """Read X,Y,METRES, such as 320,240,1.85. Raises HqmdError, which begins with `where`, for anything else."""
        try:
            x, y, metres = text.split(",")
            reading = cls(int(x), int(y), float(metres))
        except ValueError as error:
            raise HqmdError(f"{where} {text}: must be X,Y,METRES, such as 320,240,1.85") from error
        if not SMALLEST_DEPTH_M <= reading.metres <= LARGEST_DEPTH_M:
            raise HqmdError(f"{where} {text}: the distance is in metres, {SMALLEST_DEPTH_M:g} to {LARGEST_DEPTH_M:.0f}")
        return reading

    def predicted(self, depth_m: NDArray[np.float32], intrinsics: Intrinsics, where: str) -> float:
        """Return the same distance by a depth map (H, W): depth is along the optical axis, the distance along the ray.

        Raises HqmdError, which begins with `where`, for a pixel outside the photo.
        """
        height, width = depth_m.shape
        if not (0 <= self.x < width and 0 <= self.y < height):
            raise HqmdError(f"{where}: ({self.x}, {self.y}) lies outside the photo, which is {width} x {height}")
        aside = ((self.x - intrinsics.cx) / intrinsics.fx, (self.y - intrinsics.cy) / intrinsics.fy)
        return float(depth_m[self.y, self.x]) * math.hypot(1, *aside)
