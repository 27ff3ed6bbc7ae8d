"""Numbers in depth files that stand for "no depth", whatever the unit.

65535            the largest 16-bit number, in files of whole numbers with 16 bits or more
65504, 65535     the largest half-precision number and the largest 16-bit one, in files of fractional numbers
1e9 and more     "infinitely far", such as 1e10 for the sky; no unit makes them a distance that a camera sees

0, negative numbers, NaN and infinity are no depth either, but no sentinels: nobody takes them for metres. 8-bit files
use their whole range. Any other outlier stays: `hqmd check` reports it.
"""

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.files.photos import LARGEST_16_BIT

LARGEST_HALF = 65504
INFINITELY_FAR = 1e9
IN_WORDS = "65535, 65504 in fractional numbers, or 1e9 and more"


def is_sentinel(values: NDArray[np.number]) -> NDArray[np.bool_]:
    """Mark the numbers of a depth file (H, W), in the file's own unit, that stand for "no depth"."""
    if values.dtype == np.float16:  # which cannot be compared with 1e9
        values = values.astype(np.float32)
    if values.dtype.kind == "f":
        return (values == LARGEST_HALF) | (values == LARGEST_16_BIT) | (values >= INFINITELY_FAR) & np.isfinite(values)
    if values.dtype.itemsize == 1:
        return np.zeros(values.shape, bool)
    return (values == LARGEST_16_BIT) | (values >= INFINITELY_FAR)


def to_metres(values: NDArray[np.number], units_per_metre: float) -> NDArray[np.float32]:
    """Convert the numbers of a depth file (H, W) to metres, infinite where they stand for "no depth"."""
    with np.errstate(over="ignore"):  # too large numbers become infinite
        depth_m = values.astype(np.float32) / np.float32(units_per_metre)
    if (masked := is_sentinel(values)).any():
        depth_m[masked] = np.inf
    return depth_m
