"""The error of a prediction by true depth: sums over the pixels of each bin of depth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.bootstrap import RESAMPLES, percentile_interval, resampled_sums

Depths = NDArray[np.floating]
Sums = NDArray[np.float64]

# Steps of 12 %: about the uncertainty of depth, near and far, indoors and on streets.
BINS_PER_DECADE = 20
NEAREST_DECADE, FARTHEST_DECADE = -1, 3  # 0.1 to 1000 m; the outermost bins also count what lies beyond
BINS = BINS_PER_DECADE * (FARTHEST_DECADE - NEAREST_DECADE)
EDGES_M = 10 ** (np.arange(BINS + 1) / BINS_PER_DECADE + NEAREST_DECADE)
FEWEST_PICTURES = 5  # that must have pixels in a bin; fewer give no interval


def sums_by_depth(pred_m: Depths, depth_m: Depths) -> Sums:
    """Sum over the bins, from (T,) metres of scored pixels: (BINS, 3), count, sums of |d - g| / g and (d - g) / g."""
    place = (np.log10(depth_m) - NEAREST_DECADE) * BINS_PER_DECADE
    bins = np.clip(place.astype(np.int64), 0, BINS - 1)
    relative = (pred_m - depth_m) / depth_m
    columns = [np.bincount(bins, weights, BINS) for weights in (None, np.abs(relative), relative)]
    return np.stack(columns, axis=1).astype(np.float64)


@dataclass(frozen=True)
class Curve:
    """Mean errors in B bins of depth, pooled over the pixels of all pictures, with their intervals."""

    edges_m: NDArray[np.float64]  # (B + 1,)
    pixels: NDArray[np.int64]  # (B,)
    pictures: NDArray[np.int64]  # (B,) that have pixels in the bin
    abs_rel: NDArray[np.float64]  # (B, 3): mean of |d - g| / g, and the ends of its interval
    signed: NDArray[np.float64]  # (B, 3): mean of (d - g) / g, and the ends of its interval; above 0 is too far
    left_out: int  # pixels in bins that too few pictures have


def curve_of(by_depth: Sums) -> Curve:
    """Draw the curve of n pictures from their (n, BINS, 3) sums.

    It reaches from the nearest to the farthest bin in which FEWEST_PICTURES have pixels, or all pictures where there
    are fewer. Bins in between that too few pictures have are NaN.
    """
    pictures = np.count_nonzero(by_depth[:, :, 0], axis=0)
    enough = pictures >= min(FEWEST_PICTURES, len(by_depth))
    places = np.flatnonzero(enough)
    shown = slice(places[0], places[-1] + 1) if places.size else slice(0, 0)
    pixels = by_depth[:, :, 0].sum(axis=0).astype(np.int64)
    sums = by_depth[:, shown]
    draws = resampled_sums(sums.reshape(len(sums), sums[0].size)).reshape(RESAMPLES, *sums[0].shape)
    abs_rel, signed = (with_interval(sums.sum(axis=0), draws, column) for column in (1, 2))
    abs_rel[~enough[shown]] = signed[~enough[shown]] = np.nan
    edges_m = EDGES_M[shown.start : shown.stop + 1]
    return Curve(edges_m, pixels[shown], pictures[shown], abs_rel, signed, int(pixels[~enough].sum()))


def with_interval(sums: Sums, draws: Sums, column: int) -> Sums:
    """Divide a column of (B, 3) sums and of (R, B, 3) resamples into means and the ends of intervals: (B, 3)."""
    with np.errstate(invalid="ignore"):  # a resample may have no pixel in a bin
        means, drawn = sums[:, column] / sums[:, 0], draws[:, :, column] / draws[:, :, 0]
    ends = [percentile_interval(of_bin) for of_bin in drawn.T]
    return np.column_stack([means, np.array(ends).reshape(-1, 2)])
