"""Turn the values of single pictures into one figure: their mean, or the value of all pixels together."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.bootstrap import resampled_sums, summed_by
from hqmd_cli.evaluation.metrics.registry import METRICS, Pool
from hqmd_cli.evaluation.protocol import Aggregation

Values = NDArray[np.float64]

# The value over the pixels of all pictures follows from each picture's value to this power and its number of pixels.
POWER: dict[Pool, int] = {"mean": 1, "root mean square": 2}


@dataclass(frozen=True)
class Average:
    """(sum of weight * value^power / sum of weights)^(1 / power), over the pictures whose value is known."""

    values: Values  # (n,), NaN: unknown
    weights: Values  # (n,)
    power: int = 1

    @property
    def sums(self) -> Values:
        """(n, 2): each picture's share of the numerator and the denominator."""
        weights = np.where(np.isnan(self.values), 0.0, self.weights)
        return np.stack([weights * np.nan_to_num(self.values) ** self.power, weights], axis=1)

    @property
    def figure(self) -> float:
        """The average; NaN if no value is known."""
        known = ~np.isnan(self.values)
        numerators, denominators = (column[known] for column in self.sums.T)
        return float(self.of_sums(numerators.sum(), denominators.sum()))

    def of_sums(self, numerators: Values, denominators: Values) -> Values:
        """Divide one or many sums of `sums` over pictures into averages."""
        with np.errstate(invalid="ignore"):  # 0 / 0: a resample without a known picture
            return (numerators / denominators) ** (1 / self.power)


def average(metric: str, values: Values, pixels: NDArray[np.int64], aggregation: Aggregation) -> Average:
    """Average a metric's (n,) values over pictures with `pixels` scored pixels each, (n,)."""
    if aggregation == "pooled" and is_pooled(metric):
        return Average(values, pixels.astype(np.float64), POWER[METRICS[metric].pool])
    return Average(values, np.ones(len(values)))


def aggregated(
    per_picture: Mapping[str, Values], pixels: NDArray[np.int64], aggregation: Aggregation
) -> dict[str, float]:
    """Aggregate the (n,) values of every metric; NaN if a metric is known for no picture."""
    return {name: average(name, values, pixels, aggregation).figure for name, values in per_picture.items()}


def is_pooled(metric: str) -> bool:
    """True if the metric's value over the pixels of all pictures follows from the values of the pictures."""
    return METRICS[metric].pool in POWER


def pooling_note(metrics: Iterable[str], aggregation: Aggregation) -> str:
    """Say which of a table's metrics are means over pictures although the protocol pools; empty if none is."""
    metrics = list(metrics)
    excepted = [metric for metric in metrics if aggregation == "pooled" and not is_pooled(metric)]
    if not excepted:
        return ""
    return f"but mean over pictures for {', '.join(excepted) if len(excepted) < len(metrics) else 'all figures here'}"


def resampled_figures(averages: Sequence[Average], scenes: Sequence[str] = ()) -> list[Values]:
    """Resample averages over the same pictures: (RESAMPLES,) figures of each, all of the same resamples.

    With `scenes`, one for each picture, whole scenes are drawn instead of pictures.
    """
    columns = np.concatenate([item.sums for item in averages], axis=1)
    sums = resampled_sums(summed_by(scenes, columns) if scenes else columns)
    return [item.of_sums(sums[:, 2 * i], sums[:, 2 * i + 1]) for i, item in enumerate(averages)]
