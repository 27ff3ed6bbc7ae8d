"""What was measured: the figures of single pictures, and of a model over all of them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, GroundTruth
from hqmd_cli.evaluation.aggregation import average, resampled_figures
from hqmd_cli.evaluation.bootstrap import METHOD, percentile_interval
from hqmd_cli.evaluation.protocol import Aggregation, Protocol


@dataclass(frozen=True)
class Scored:
    """One picture's figures."""

    name: str
    pixels: int  # that count
    figures: dict[str, float]  # metric -> value; NaN: not known
    by_depth: NDArray[np.float64] | None = None  # depthwise.sums_by_depth, where it was asked for


@dataclass(frozen=True)
class Result:
    """Figures of one model on one dataset under one protocol."""

    protocol: Protocol
    data: str
    ground_truth: GroundTruth
    names: list[str]  # pictures, in order
    per_picture: dict[str, NDArray[np.float64]]  # metric -> (n,); NaN where it is not known (edges of sparse truth)
    pixels: NDArray[np.int64]  # (n,) that count
    remark: str = ""  # what a reader of the figures has to know of what was judged
    by_depth: NDArray[np.float64] | None = None  # (n, BINS, 3), depthwise.sums_by_depth, where it was asked for

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The figures that are printed, aggregated as the protocol says; NaN where a metric is known for no picture."""
        return self.aggregated(self.protocol.aggregation)

    def aggregated(self, how: Aggregation) -> dict[str, float]:
        """Every metric's figure over all pictures; one that cannot be pooled is a mean over pictures in any case."""
        return {name: average(name, values, self.pixels, how).figure for name, values in self.per_picture.items()}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each of `metrics`, by uncertainty.METHOD."""
        how = self.protocol.aggregation
        draws = resampled_figures([average(name, v, self.pixels, how) for name, v in self.per_picture.items()])
        return {name: percentile_interval(drawn) for name, drawn in zip(self.per_picture, draws, strict=True)}

    @property
    def recipe(self) -> str:
        """What was measured, in words, and the hash by which one sees that two recipes are the same."""
        return f"{self.protocol.recipe(self.ground_truth)} (hash {self.protocol.digest})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which has no NaN: what is not known is None."""
        return {
            "protocol": self.protocol.name,
            "protocol_hash": self.protocol.digest,
            "recipe": self.recipe,
            "data": self.data,
            "remark": self.remark,
            "n": len(self.names),
            "aggregation": self.protocol.aggregation,
            "metrics": without_nan(self.metrics),
            "intervals": {
                name: None if math.isnan(low) else [low, high] for name, (low, high) in self.intervals.items()
            },
            "intervals_by": METHOD,
            "mean_over_pictures": without_nan(self.aggregated("mean")),
            "pooled_over_pixels": without_nan(self.aggregated("pooled")),
        }


def without_nan(figures: dict[str, float]) -> dict[str, float | None]:
    """Figures for JSON."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def collect(scores: Iterable[Scored], dataset: Dataset, protocol: Protocol, remark: str = "") -> Result:
    """Gather what evaluation.score_each yields."""
    scores = list(scores)
    per_picture = {metric: np.array([scored.figures[metric] for scored in scores]) for metric in scores[0].figures}
    pixels = np.array([scored.pixels for scored in scores])
    names = [scored.name for scored in scores]
    sums = [scored.by_depth for scored in scores if scored.by_depth is not None]
    by_depth = np.stack(sums) if sums else None
    return Result(protocol, dataset.description, dataset.ground_truth, names, per_picture, pixels, remark, by_depth)
