"""By what a model's depth is wrong as a whole, told by held-out photos: metres are c d^p of its depth d.

Beside the factor c a power p, as networks say less than there is: of photos unlike those it learned from a network
keeps to the middle, the near too far and the far too near. One pair of numbers for all photos; nothing here looks at
the photo that is predicted, nor at its truth. One number more would be one too many: on NYU's validation rooms a curve
in log depth, or the place in the picture, fitted better and predicted worse (docs/notebook.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset
from hqmd_cli.evaluation.evaluate import as_scored, predicted
from hqmd_cli.evaluation.metrics.pixels import Depths, abs_rel, bias, rmse
from hqmd_cli.evaluation.prediction_source import Judged
from hqmd_cli.evaluation.protocol import Protocol

POWERS = np.arange(0.7, 1.501, 0.01).round(2)
PIXELS = 5000  # of a picture


def depth_pairs(judged: Judged, dataset: Dataset, protocol: Protocol) -> Iterator[tuple[Depths, Depths]]:
    """Of each picture, at pixels evenly chosen among those that count: predicted metres, not clipped, and the truth."""
    unclipped = replace(protocol, clip_m=None)
    for index in range(len(dataset)):
        sample = dataset[index]
        pred_m, depth_m, scored = as_scored(predicted(judged, sample, protocol), sample, unclipped, judged.kind)
        stride = -(-int(scored.sum()) // PIXELS)
        yield pred_m[scored][::stride], depth_m[scored][::stride]


def best_power(pairs: Sequence[tuple[Depths, Depths]], clip_m: tuple[float, float] | None) -> float:
    """The power of POWERS with the least RMSE times AbsRel, both means over pictures, when the factor makes bias 1.

    The product, as either alone has its own wish: RMSE looks at what is far, AbsRel at what is near.
    """
    return min(map(float, POWERS), key=lambda power: (error_with(power, pairs, clip_m), abs(power - 1)))


def error_with(power: float, pairs: Sequence[tuple[Depths, Depths]], clip_m: tuple[float, float] | None) -> float:
    """RMSE times AbsRel in metres."""
    bent = [(pred_m**power, depth_m) for pred_m, depth_m in pairs]
    factor = 1 / np.mean([bias(*pair) for pair in bent])
    errors: list[NDArray[np.float64]] = []
    for pred_m, depth_m in bent:
        metres = (factor * pred_m).clip(*clip_m) if clip_m else factor * pred_m
        errors.append(np.array([rmse(metres, depth_m), abs_rel(metres, depth_m)]))
    return float(np.prod(np.mean(errors, axis=0)))
