"""Results of an evaluation: the figures of single pictures, and of a model over all of them."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, GroundTruth
from hqmd_cli.evaluation.aggregation import aggregated, average, resampled_figures
from hqmd_cli.evaluation.bootstrap import METHOD, percentile_interval
from hqmd_cli.evaluation.protocol import Aggregation, Protocol


@dataclass(frozen=True)
class ScoredPicture:
    """One picture's figures."""

    name: str
    pixels: int  # scored
    figures: dict[str, float]  # metric -> value; NaN: unknown
    by_depth: NDArray[np.float64] | None = None  # error_by_depth.sums_by_depth; None: not asked for


@dataclass(frozen=True)
class Result:
    """Figures of one model on one dataset under one protocol."""

    protocol: Protocol
    data: str
    ground_truth: GroundTruth
    names: list[str]  # pictures, in order
    per_picture: dict[str, NDArray[np.float64]]  # metric -> (n,); NaN: unknown (edges of sparse truth)
    pixels: NDArray[np.int64]  # (n,) scored
    remark: str = ""  # a note on the predictions, for readers of the figures
    by_depth: NDArray[np.float64] | None = None  # (n, BINS, 3), error_by_depth.sums_by_depth; None: not asked for

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The printed figures, aggregated as the protocol says; NaN if a metric is known for no picture."""
        return self.aggregated(self.protocol.aggregation)

    def aggregated(self, how: Aggregation) -> dict[str, float]:
        """Aggregate every metric over all pictures; metrics that cannot be pooled are always means over pictures."""
        return aggregated(self.per_picture, self.pixels, how)

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each of `metrics`, by bootstrap.METHOD."""
        how = self.protocol.aggregation
        draws = resampled_figures([average(name, v, self.pixels, how) for name, v in self.per_picture.items()])
        return {name: percentile_interval(drawn) for name, drawn in zip(self.per_picture, draws, strict=True)}

    @property
    def recipe(self) -> str:
        """The protocol in words, with the hash that tells recipes apart."""
        return f"{self.protocol.recipe(self.ground_truth)} (hash {self.protocol.digest})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with None in place of NaN."""
        figures = (self.metrics, *(aggregated(self.per_picture, self.pixels, how) for how in ("mean", "pooled")))
        metrics, mean, pooled = map(without_nan, figures)
        ends = {name: None if math.isnan(low) else [low, high] for name, (low, high) in self.intervals.items()}
        return {
            "protocol": self.protocol.name,
            "protocol_hash": self.protocol.digest,
            "recipe": self.recipe,
            "data": self.data,
            "remark": self.remark,
            "n": len(self.names),
            "aggregation": self.protocol.aggregation,
            "metrics": metrics,
            "intervals": ends,
            "intervals_by": METHOD,
            "mean_over_pictures": mean,
            "pooled_over_pixels": pooled,
        }


def without_nan(figures: dict[str, float]) -> dict[str, float | None]:
    """Replace NaN by None, for JSON."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def collect(scores: Iterable[ScoredPicture], dataset: Dataset, protocol: Protocol, remark: str = "") -> Result:
    """Gather the pictures that evaluate.score_each yields."""
    scores = list(scores)
    per_picture = {metric: np.array([scored.figures[metric] for scored in scores]) for metric in scores[0].figures}
    pixels = np.array([scored.pixels for scored in scores])
    names = [scored.name for scored in scores]
    sums = [scored.by_depth for scored in scores if scored.by_depth is not None]
    by_depth = np.stack(sums) if sums else None
    return Result(protocol, dataset.description, dataset.ground_truth, names, per_picture, pixels, remark, by_depth)
