"""Relative surface normals: do surfaces bend as those of the truth do?"""

import math

import numpy as np

from hqmd_cli.evaluation.metrics.normals import Normals, angles_between
from hqmd_cli.geometry.surfaces import REFERENCE_SIDE

DISTANCES_PX = (8, 16, 32)  # between the two pixels of a pair, in a map of up to 640; more in a larger one
DIRECTIONS = ((0, 1), (1, 0), (1, 1), (1, -1))  # rows down, columns to the right
EVERY_PX = 4  # the first pixels of pairs lie in every fourth row and column


def relative_normal_error(normals: Normals) -> float:
    """Mean of |a - b| in degrees: a is the angle between the normals of two pixels, b that in the truth.

    A surface that is tilted as a whole has no error, unlike a flat one that is made bumpy, which errors of depth hardly
    notice. Wu, Nugent, Yang and Deng 2025 (https://arxiv.org/abs/2510.19814), as in their evalmde/metrics/rel_normal.py
    (https://github.com/princeton-vl/EvalMDE at 31551d1). Written anew, with another sampling, so NOT COMPARABLE with
    their figures: normals are those of normals.py, of planes through 7 x 7 pixels, in place of triangles; pairs are
    DISTANCES_PX apart in DIRECTIONS, in place of a million quasi-random ones up to 32 pixels apart, at four sizes of
    the map, with up to 180 degrees for a pixel that has no prediction. NaN if no pair has both normals.
    """
    height, width = normals.chosen.shape
    larger = max(1.0, max(height, width) / REFERENCE_SIDE)
    total, count = 0.0, 0
    for distance in (round(px * larger) for px in DISTANCES_PX):
        for down, right in ((v * distance, u * distance) for v, u in DIRECTIONS):
            left = max(0, -right)
            here = np.s_[0 : max(0, height - down) : EVERY_PX, left : max(left, width - max(0, right)) : EVERY_PX]
            there = np.s_[down:height:EVERY_PX, left + right : max(0, width - left) : EVERY_PX]
            pairs = normals.chosen[here] & normals.chosen[there]
            bent, true = (
                angles_between(vectors[:, *here][:, pairs], vectors[:, *there][:, pairs])
                for vectors in (normals.pred, normals.truth)
            )
            total += float(np.abs(bent - true).sum(dtype=np.float64))
            count += int(np.count_nonzero(pairs))
    return total / count if count else math.nan
