"""Relative surface normals: do surfaces bend as those of the truth do?"""

import math

import numpy as np

from hqmd_cli.evaluation.metrics.normals import Normals, angles_between
from hqmd_cli.geometry.surfaces import REFERENCE_SIDE

EVERY_PX = 8  # pairs lie on a grid of every eighth row and column of a map of up to 640; wider in a larger one
STEPS = (1, 2, 4)  # of the grid, between the two pixels of a pair
DISTANCES_PX = tuple(EVERY_PX * step for step in STEPS)
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns to the right


def relative_normal_error(normals: Normals) -> float:
    """Mean of |a - b| in degrees: a is the angle between the normals of two pixels, b that in the truth.

    A surface that is tilted as a whole has no error, unlike a flat one that is made bumpy, which errors of depth hardly
    notice. Wu, Nugent, Yang and Deng 2025 (https://arxiv.org/abs/2510.19814), as in their evalmde/metrics/rel_normal.py
    (https://github.com/princeton-vl/EvalMDE at 31551d1). Written anew, with another sampling, so NOT COMPARABLE with
    their figures: normals are those of normals.py, of planes through 7 x 7 pixels, in place of triangles; pairs are
    DISTANCES_PX apart in DIRECTIONS, in place of a million quasi-random ones up to 32 pixels apart, at four sizes of
    the map, with up to 180 degrees for a pixel that has no prediction. NaN if no pair has both normals.
    """
    every = round(EVERY_PX * max(1.0, max(normals.chosen.shape) / REFERENCE_SIDE))
    grid = np.s_[::every, ::every]
    chosen, fields = normals.chosen[grid], [vectors[:, *grid].copy() for vectors in (normals.pred, normals.truth)]
    height, width = chosen.shape
    total, count = 0.0, 0
    for down, right in ((v * step, u * step) for step in STEPS for v, u in DIRECTIONS):
        left = max(0, -right)  # columns that have no partner on this side
        here = np.s_[: max(0, height - down), left : max(left, width - max(0, right))]
        there = np.s_[down:, left + right : max(0, width - left)]
        pairs = chosen[here] & chosen[there]
        bent, true = (angles_between(vectors[:, *here][:, pairs], vectors[:, *there][:, pairs]) for vectors in fields)
        total += float(np.abs(bent - true).sum(dtype=np.float64))
        count += int(np.count_nonzero(pairs))
    return total / count if count else math.nan
