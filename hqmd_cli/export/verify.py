"""Compare an exported graph with torch, before it is kept."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.engines.onnx import OnnxEngine


class Limits(NamedTuple):
    """The largest difference from torch that an export may have."""

    mean_mm: float
    largest_mm: float


LIMITS = {"fp32": Limits(1, 10), "int8": Limits(50, 500)}  # by precision; int8 of hqmd-indoor: 25 and 244
CHECKED_SIZES = ((224, 298), (288, 384), (225, 301))  # even, larger and odd: padding differs


def check_pictures(sizes: Sequence[tuple[int, int]] = CHECKED_SIZES) -> Iterator[NDArray[np.uint8]]:
    """Yield pictures with smooth regions, edges and noise in several sizes; the same ones on every call."""
    rng = np.random.default_rng(0)
    for height, width in sizes:
        down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        picture = np.stack([255 * down, 255 * across, np.full_like(down, 90)], axis=-1)
        picture[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 60)
        yield np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


def difference_mm(one: Engine, other: Engine, sizes: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Return the mean and the largest difference of two engines' depth over check_pictures, in millimetres."""
    gaps = [np.abs(one(picture) - other(picture)) * 1000 for picture in check_pictures(sizes)]
    return float(np.mean([gap.mean() for gap in gaps])), float(max(gap.max() for gap in gaps))


def verify(
    path: Path, reference: Engine, limits: Limits, sizes: Sequence[tuple[int, int]] = CHECKED_SIZES
) -> tuple[float, float]:
    """Compare an exported file with torch; return the mean and the largest difference in millimetres.

    Raises HqmdError if one of them is above its limit or not a number.
    """
    mean, largest = difference_mm(OnnxEngine(path), reference, sizes)
    if not (mean <= limits.mean_mm and largest <= limits.largest_mm):
        raise HqmdError(
            f"the export differs from torch by {mean:.3f} mm on average and {largest:.3f} mm at most; "
            f"the limits are {limits.mean_mm:g} and {limits.largest_mm:g}"
        )
    return mean, largest
