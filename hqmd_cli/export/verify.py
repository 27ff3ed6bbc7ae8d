"""Compare an exported graph with torch, before it is kept."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.engines.check_pictures import CHECKED_SIZES, check_pictures
from hqmd_cli.inference.engines.onnx import OnnxEngine


class Limits(NamedTuple):
    """The largest difference from torch that an export may have."""

    mean_mm: float
    largest_mm: float
    error: float = 0.005  # of relative errors, which are a single file's further outputs


# A network of intervals (models/ordinal.py) answers with the middle of one. Where it holds two for equally likely,
# rounding decides, and a pixel jumps by a whole interval. So many pixels of a picture may, and are then left out of the
# largest difference, not of the mean.
BORDER_SHARE = 1e-3


class Difference(NamedTuple):
    """How far an export is from torch, over all check_pictures."""

    mean_mm: float
    largest_mm: float  # of all pixels but those at borders
    at_borders: int = 0  # pixels of a network of intervals that fall into another one than torch's
    pixels: int = 0

    @property
    def in_words(self) -> str:
        """Describe it for a message."""
        besides = f", besides {self.at_borders} of {self.pixels} pixels at a border between two depth intervals"
        return f"{self.mean_mm:.4f} mm on average, {self.largest_mm:.4f} mm at most{besides if self.at_borders else ''}"


LIMITS = {"fp32": Limits(1, 10), "int8": Limits(50, 500, 0.1)}  # by precision; int8 of hqmd-indoor: 25 and 244


def difference(
    one: Engine, other: Engine, sizes: Sequence[tuple[int, int]], tolerated_mm: float = np.inf, intervals: bool = False
) -> Difference:
    """Compare two engines' depth over check_pictures.

    `intervals`: the network chooses among depth intervals, and up to BORDER_SHARE of a picture's pixels may differ by
    more than `tolerated_mm`.
    """
    gaps = [np.abs(one(picture) - other(picture)).ravel() * 1000 for picture in check_pictures(sizes)]
    mean = float(np.mean([gap.mean() for gap in gaps]))
    within, at_borders = [], 0
    for gap in gaps:
        beyond = gap > tolerated_mm
        jumps = int(beyond.sum())
        if intervals and 0 < jumps <= BORDER_SHARE * gap.size:
            gap, at_borders = gap[~beyond], at_borders + jumps
        within.append(float(gap.max()))
    return Difference(mean, max(within), at_borders, sum(gap.size for gap in gaps))


def verify(
    path: Path,
    reference: Engine,
    limits: Limits,
    sizes: Sequence[tuple[int, int]] = CHECKED_SIZES,
    intervals: bool = False,
) -> Difference:
    """Compare an exported file with torch, as `difference` does.

    Raises HqmdError if the mean or the largest difference is above its limit or not a number.
    """
    found = difference(OnnxEngine(path), reference, sizes, limits.largest_mm, intervals)
    if not (found.mean_mm <= limits.mean_mm and found.largest_mm <= limits.largest_mm):
        raise HqmdError(
            f"the export differs from torch by {found.in_words}; "
            f"the limits are {limits.mean_mm:g} and {limits.largest_mm:g}"
        )
    return found
