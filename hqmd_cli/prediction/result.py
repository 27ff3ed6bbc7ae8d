"""What predict hands to every output: a photo, its depth, and the camera that places both in space. No torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.units import Kind


@dataclass(frozen=True)
class DepthResult:
    """One photo's depth, at the photo's own size."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB, upright
    depth_m: NDArray[np.float32]  # (H, W) metres along the optical axis; of another kind, what units.py says
    intrinsics: Intrinsics  # of the camera, for (H, W)
    scale_factor: float = 1.0  # by which the network's depth was multiplied, where the user measured one distance
    kind: Kind = "depth"
