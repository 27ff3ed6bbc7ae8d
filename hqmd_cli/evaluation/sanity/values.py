"""What went wrong when maps of metres were written, told by what a whole set has in common.

Tried on NYU's val (74 pictures, and random subsets of it): nothing here speaks of the maps of hqmd's two models, of a
network of two epochs, or of maps with large smooth errors.
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.protocols import NYU_FRAME
from hqmd_cli.geometry.camera import find_intrinsics

FEWEST_MAPS = 3  # for one to be called odd among them, or a habit of all to be no chance

ONE_END = 1e-5  # of the largest value: how far ends of one range may lie apart

FEWEST_LEVELS = 16  # different depths of a map; even depth in 8 bits over 10 m has over a hundred
COARSER = 4  # times fewer of them than the truth has

ANOTHER_UNIT = 20.0  # times more or less than the set's ratio: no picture of a sound set is so far off

# Distances from the camera in place of depth. Divided by the rays' lengths, which are 1 to 1.26 in NYU's frames, they
# come closer to the truth. Of NYU's val so do 36 to 38 % of the depth maps of hqmd's two models, the spread of their
# errors rising by 2 to 3 %; of the same maps as distances 80 to 82 %, the spread falling by 5 to 7 %.
FEWEST_FOR_RAYS, CLOSER_SHARE, CLOSER = 20, 0.75, 0.95


Range = tuple[float, float]  # least and largest value of a map


def explain_range(ranges: list[Range], true_ranges: list[Range]) -> str | None:
    """Whether each map was stretched over one and the same range, which the truths do not have."""
    if len(ranges) < FEWEST_MAPS or not is_one(ranges) or is_one(true_ranges):
        return None
    low, high = ranges[0]
    return (
        f"each map runs from exactly {low:g} to exactly {high:g}: they were stretched one by one, and the metres are "
        "lost; write the numbers as the model gives them, or pass --pred-kind relative"
    )


def is_one(ranges: list[Range]) -> bool:
    """Whether all are the same, but for rounding."""
    ends = np.array(ranges)
    return bool(np.ptp(ends, axis=0).max() <= ONE_END * np.abs(ends).max())


def explain_levels(levels: float, true_levels: float) -> str | None:
    """Whether maps were rounded too coarsely; given are how many different values a map and its truth have."""
    if levels > FEWEST_LEVELS or true_levels < COARSER * levels:
        return None
    return (
        f"a map has only {levels:g} different depths, the truth {true_levels:g}: they were rounded when they were "
        "written; write fractions of metres, or whole millimetres"
    )


def explain_odd_units(names: list[str], ratios: list[float]) -> str | None:
    """Which maps have another unit than the rest; given are the medians of prediction / truth, NaN where unknown."""
    middle = float(np.nanmedian(ratios))
    odd = [i for i, ratio in enumerate(ratios) if max(ratio / middle, middle / ratio) >= ANOTHER_UNIT]  # NaN is not
    if len(names) < FEWEST_MAPS or not odd:
        return None
    return (
        f"{len(odd)} of {len(names)} predictions have another unit than the rest, such as that for {names[odd[0]]}, "
        f"whose median of prediction / truth is {ratios[odd[0]]:.4g}, that of the set {middle:.4g}; write all in one"
    )


def explain_rays(closer: list[float]) -> str | None:
    """Whether maps hold distances from the camera; given is what spread_along_rays says of each."""
    known = [value for value in closer if not np.isnan(value)]
    if len(known) < FEWEST_FOR_RAYS or np.median(known) > CLOSER or np.mean(np.array(known) < 1) < CLOSER_SHARE:
        return None
    return (
        f"{np.mean(np.array(known) < 1):.0%} of the maps fit better when divided by the lengths of their pixels' rays: "
        "these look like distances from the camera, not depth along its axis; divide by them before they are written"
    )


def spread_along_rays(log_ratio: NDArray[np.floating], places: NDArray[np.intp], shape: tuple[int, ...]) -> float:
    """The spread of ln(prediction / truth) after division by the rays' lengths over that before, at flat `places`.

    NaN where the camera is not known, which is so of frames of another (H, W) `shape` than NYU's.
    """
    before = float(np.std(log_ratio))
    if shape != NYU_FRAME or not before:
        return np.nan
    return float(np.std(log_ratio - log_ray_lengths(*shape).ravel()[places])) / before


@lru_cache(maxsize=1)
def log_ray_lengths(height: int, width: int) -> NDArray[np.float32]:
    """(H, W): ln of how long the ray to a point at depth 1 is."""
    camera = find_intrinsics(height, width)
    rows, columns = np.ogrid[:height, :width]
    squared = 1 + ((columns - camera.cx) / camera.fx) ** 2 + ((rows - camera.cy) / camera.fy) ** 2
    return (0.5 * np.log(squared)).astype(np.float32)


def spearman(values: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Rank correlation of two (N,) arrays, ties at their mean rank; 0 where one is constant."""
    a, b = (ranks_of(array) - 0.5 for array in (values, others))
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0


def ranks_of(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ranks of (N,) values scaled into 0..1 with mean 1/2, ties at their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts / 2)[places] / values.size).astype(np.float32)
