"""How the values of single pictures become one figure: their mean, or what all pixels together give."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.bootstrap import resampled_sums
from hqmd_cli.evaluation.protocol import Aggregation

Values = NDArray[np.float64]

# Metrics that are a mean over pixels (1), or the root of the mean of squares (2): the value over all pictures' pixels
# follows from each picture's value and number of pixels. Medians, deviations and scores of edges have no such sum.
POOLED_POWER = {
    "AbsRel": 1,
    "SqRel": 1,
    "log10": 1,
    "delta1": 1,
    "delta2": 1,
    "delta3": 1,
    "RMSE": 2,
    "RMSElog": 2,
}


@dataclass(frozen=True)
class Average:
    """(sum of weight * value^power / sum of weights)^(1 / power), over the n pictures of which the value is known."""

    values: Values  # (n,), NaN: not known
    weights: Values  # (n,)
    power: int = 1

    @property
    def sums(self) -> Values:
        """(n, 2): what each picture adds to the numerator and the denominator."""
        weights = np.where(np.isnan(self.values), 0.0, self.weights)
        return np.stack([weights * np.nan_to_num(self.values) ** self.power, weights], axis=1)

    @property
    def figure(self) -> float:
        """The average; NaN where no value is known."""
        known = ~np.isnan(self.values)
        numerators, denominators = (column[known] for column in self.sums.T)
        return float(self.of_sums(numerators.sum(), denominators.sum()))

    def of_sums(self, numerators: Values, denominators: Values) -> Values:
        """Averages from the sums of `sums`, one or many."""
        with np.errstate(invalid="ignore"):  # 0 / 0: a resample without any known picture
            return (numerators / denominators) ** (1 / self.power)


def average(metric: str, values: Values, pixels: NDArray[np.int64], aggregation: Aggregation) -> Average:
    """How a metric's (n,) values are averaged; `pixels` is how many each picture has that count."""
    if aggregation == "pooled" and metric in POOLED_POWER:
        return Average(values, pixels.astype(np.float64), POOLED_POWER[metric])
    return Average(values, np.ones(len(values)))


def resampled_figures(averages: Sequence[Average]) -> list[Values]:
    """(RESAMPLES,) figures of each average, all of the same pictures and the same resamples of them."""
    sums = resampled_sums(np.concatenate([item.sums for item in averages], axis=1))
    return [item.of_sums(sums[:, 2 * i], sums[:, 2 * i + 1]) for i, item in enumerate(averages)]
