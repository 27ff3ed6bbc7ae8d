"""Find mistakes in how maps of metres were written, by what a whole set of them has in common.

On NYU's val (74 pictures, and random subsets) none of these checks complains about the maps of hqmd's two models, of a
network of two epochs, or about maps with large smooth errors.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.protocols import NYU_FRAME
from hqmd_cli.geometry.camera import find_intrinsics

FEWEST_MAPS = 3  # needed to call one of them odd, or to call a common property more than chance

ONE_END = 1e-5  # of the largest value; ends of one range differ by rounding only

FEWEST_LEVELS = 16  # different depths of a map; even 8 bits over 10 m give over a hundred
COARSER = 4  # times fewer levels than the truth

ANOTHER_UNIT = 20.0  # times more or less than the set's ratio: no picture of a sound set is so far off

# Distances from the camera in place of depth come closer to the truth when divided by the lengths of the rays, 1 to
# 1.26 in NYU's frames. On NYU's val 36 to 38 % of the depth maps of hqmd's two models do so, and the spread of their
# errors rises by 2 to 3 %; of the same maps written as distances 80 to 82 % do, and the spread falls by 5 to 7 %.
FEWEST_FOR_RAYS, CLOSER_SHARE, CLOSER = 20, 0.75, 0.95


Range = tuple[float, float]  # smallest and largest value of a map


def explain_range(ranges: list[Range], true_ranges: list[Range]) -> str | None:
    """Say that all maps were stretched over the same range, which the truths do not share; None if they were not."""
    if len(ranges) < FEWEST_MAPS or not is_one(ranges) or is_one(true_ranges):
        return None
    low, high = ranges[0]
    return (
        f"each map runs from exactly {low:g} to exactly {high:g}: they were stretched one by one, and the metres are "
        "lost; write the numbers as the model gives them, or pass --pred-kind relative"
    )


def is_one(ranges: list[Range]) -> bool:
    """True if all ranges are the same up to rounding."""
    ends = np.array(ranges)
    return bool(np.ptp(ends, axis=0).max() <= ONE_END * np.abs(ends).max())


def explain_levels(levels: float, true_levels: float) -> str | None:
    """Say that maps were rounded too coarsely, by the number of different values of a map and its truth; else None."""
    if levels > FEWEST_LEVELS or true_levels < COARSER * levels:
        return None
    return (
        f"a map has only {levels:g} different depths, the truth {true_levels:g}: they were rounded when they were "
        "written; write fractions of metres, or whole millimetres"
    )


def explain_odd_units(names: list[str], ratios: list[float]) -> str | None:
    """Say which maps have another unit than the rest, by their medians of prediction / truth; NaN: unknown."""
    middle = float(np.nanmedian(ratios))
    odd = [i for i, ratio in enumerate(ratios) if max(ratio / middle, middle / ratio) >= ANOTHER_UNIT]  # NaN is not odd
    if len(names) < FEWEST_MAPS or not odd:
        return None
    return (
        f"{len(odd)} of {len(names)} predictions have another unit than the rest, such as that for {names[odd[0]]}, "
        f"whose median of prediction / truth is {ratios[odd[0]]:.4g}, while the set's is {middle:.4g}; write all "
        "maps in one unit"
    )


def explain_rays(closer: list[float]) -> str | None:
    """Say that maps hold distances from the camera, by each map's spread_along_rays; None if they do not."""
    known = [value for value in closer if not np.isnan(value)]
    if len(known) < FEWEST_FOR_RAYS or np.median(known) > CLOSER or np.mean(np.array(known) < 1) < CLOSER_SHARE:
        return None
    return (
        f"{np.mean(np.array(known) < 1):.0%} of the maps fit better when divided by the lengths of their pixels' rays: "
        "these look like distances from the camera, not depth along its axis; divide by them before they are written"
    )


def spread_along_rays(log_ratio: NDArray[np.floating], places: NDArray[np.intp], shape: tuple[int, ...]) -> float:
    """Divide the spread of ln(prediction / truth) after division by the rays' lengths by the spread before.

    `places` are flat indices into maps of (H, W) `shape`. NaN for other frames than NYU's, whose camera is unknown.
    """
    before = float(np.std(log_ratio))
    if shape != NYU_FRAME or not before:
        return np.nan
    return float(np.std(log_ratio - log_ray_lengths(*shape).ravel()[places])) / before


@lru_cache(maxsize=1)
def log_ray_lengths(height: int, width: int) -> NDArray[np.float32]:
    """Compute the logarithm of the length of each pixel's ray to depth 1, (H, W)."""
    camera = find_intrinsics(height, width)
    rows, columns = np.ogrid[:height, :width]
    squared = 1 + ((columns - camera.cx) / camera.fx) ** 2 + ((rows - camera.cy) / camera.fy) ** 2
    return (0.5 * np.log(squared)).astype(np.float32)


def spearman(values: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Compute the rank correlation of two (N,) arrays, ties at their mean rank; 0 if one is constant."""
    a, b = (ranks_of(array) - 0.5 for array in (values, others))
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0


def ranks_of(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Rank (N,) values, scaled into 0..1 with mean 1/2, ties at their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts / 2)[places] / values.size).astype(np.float32)
