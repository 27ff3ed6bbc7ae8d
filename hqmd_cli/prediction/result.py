"""What every writer gets: the depth of a photo with its camera, and the user's style."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import LARGEST_DEPTH_M
from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry import DEFAULT_EDGE_RTOL
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.registry import pick
from hqmd_cli.units import Kind
from hqmd_cli.visualization import COLORMAPS, DEFAULT_COLORMAP

FLAT_NOTE = "one value everywhere, since the photo shows nothing"
PANORAMA_NOTE = "a panorama ({projection}), whose depth is as if a straight lens had seen it"


Encoded = tuple[bytes | memoryview, str]  # the content of a file, and a remark about it or an empty string


class DepthResult(NamedTuple):  # as files/kinds.py
    """The depth of one photo, at the photo's own size."""

    image: NDArray[np.uint8]  # (H, W, 3) RGB, upright
    depth_m: NDArray[np.float32]  # (H, W) metres along the optical axis; for other kinds, the numbers of units.py
    intrinsics: Intrinsics  # of the camera, for (H, W)
    near: float  # the nearest and the farthest value of depth_m
    far: float
    scale_factor: float = 1.0  # that the network's depth was multiplied by, to match the user's measured distance
    kind: Kind = "depth"
    camera_factor: float = 1.0  # that the network's depth was multiplied by, for this camera
    remarks: tuple[str, ...] = ()  # what a reader of any file of this photo must know
    is_flat: bool = False  # True if one value stands everywhere
    uncertainty: Uncertainty | None = None  # None: unknown
    photo: str = ""  # its place among the sources, for a page that names it
    model: str = ""  # as the user gave it

    @property
    def shape_error(self) -> NDArray[np.float32]:
        """The relative error of each pixel within the photo (H, W), of a model that knows it."""
        assert self.uncertainty
        return self.uncertainty.at(self.depth_m.shape)


@dataclass(frozen=True)
class Style:
    """The style of colour pictures and meshes. Raises HqmdError for impossible ranges, limits or colormaps."""

    colormap: str = DEFAULT_COLORMAP
    near_m: float | None = None  # of the colours; None: the photo's nearest depth
    far_m: float | None = None
    legend: bool = False
    side_by_side: bool = False
    edge_rtol: float = DEFAULT_EDGE_RTOL  # see geometry/surfaces.py
    max_uncertainty: float | None = None  # of points and meshes: the largest relative error of the shape

    def __post_init__(self) -> None:
        pick(COLORMAPS, self.colormap, "colormap")
        for flag, depth_m in (("--vmin", self.near_m), ("--vmax", self.far_m)):
            if depth_m is not None and not 0 <= depth_m <= LARGEST_DEPTH_M:
                raise HqmdError(f"{flag} {depth_m:g}: a depth is a number of metres, 0 to {LARGEST_DEPTH_M:.0f}")
        if self.near_m is not None and self.far_m is not None and self.near_m >= self.far_m:
            raise HqmdError(f"--vmin {self.near_m:g} must be less than --vmax {self.far_m:g}")
        if not 0 < self.edge_rtol < math.inf:
            raise HqmdError(f"--edge-rtol {self.edge_rtol:g}: must be positive; the default is {DEFAULT_EDGE_RTOL}")
        if self.max_uncertainty is not None and not 0 < self.max_uncertainty < math.inf:
            raise HqmdError(f"--max-uncertainty {self.max_uncertainty:g}: must be positive, such as 0.2 for 20 %")
