"""What every dataset hands over, and what a dataset is."""

from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.units import Kind

TOLERATED_FAULTS = 0.01  # of the frames may be broken: training does without them, and does not begin with more
GroundTruth = Literal["filled", "raw", "as given"]


@dataclass(frozen=True)
class Sample:
    """One photo with its depth."""

    name: str
    image: NDArray[np.uint8]  # (H, W, 3) RGB, upright
    depth_m: NDArray[np.float32]  # (H, W) metres; 0 where there is none
    valid: NDArray[np.bool_]  # (H, W) where depth_m can be trusted
    edges: NDArray[np.bool_] | None = None  # (H, W) where people have drawn depth edges; None: nobody has


class Dataset(Protocol):
    """A list of samples; cheap to open and to send to another process, read on access."""

    ground_truth: GroundTruth  # "as given": the files do not say whether holes were filled
    description: str  # for the line under a table, such as "nyu.mat, test"

    @property
    def names(self) -> list[str]:
        """The samples' names, in order, without reading them: predictions made elsewhere are found by them."""

    @property
    def photos(self) -> list[str]:
        """One text a sample that no other photo has: what was trained on must not be validated on."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def sample_from(name: str, image: NDArray[np.uint8], depth_m: NDArray[np.float32]) -> Sample:
    """Pair a photo with its depth; depth counts where it is positive and finite.

    Raises ValueError when the sizes differ.
    """
    if image.shape[:2] != depth_m.shape:
        raise ValueError(f"photo is {image.shape[1]} x {image.shape[0]}, depth {depth_m.shape[1]} x {depth_m.shape[0]}")
    valid = np.isfinite(depth_m) & (depth_m > 0)
    return Sample(name, image, np.where(valid, depth_m, np.float32(0)), valid)


def require_depth(depth_m: NDArray[np.floating], name: str, kind: Kind = "depth") -> None:
    """Refuse a map that is no depth: NaN, infinite, zero or negative somewhere. (H, W) metres.

    What has no metres may be zero or negative: far away, or as its zero happens to lie.
    """
    if not np.isfinite(depth_m).all():
        raise HqmdError(f"{name}: the prediction has {np.count_nonzero(~np.isfinite(depth_m))} NaN or infinite pixels")
    if kind == "depth" and depth_m.min() <= 0:
        raise HqmdError(f"{name}: the prediction has depths of 0 or less, {depth_m.min():g} the lowest")


def evenly(total: int, most: int) -> list[int]:
    """Up to `most` places of `total`, both ends among them."""
    return sorted({int(place) for place in np.linspace(0, total - 1, min(most, total))})
