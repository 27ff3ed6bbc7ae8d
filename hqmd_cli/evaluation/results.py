"""Results of an evaluation: the figures of single pictures, and of a model over all of them."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, GroundTruth
from hqmd_cli.evaluation.aggregation import aggregated, average, resampled_figures
from hqmd_cli.evaluation.bootstrap import FEWEST_SCENES, METHOD, percentile_interval
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
    scenes: tuple[str, ...] = ()  # of the pictures, in order, two at least; empty: unknown

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
        return self.resampled(())

    @cached_property
    def scene_intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each of `metrics` by resampling whole scenes; empty if the scenes are unknown."""
        return self.resampled(self.scenes) if self.scenes else {}

    def resampled(self, scenes: Sequence[str]) -> dict[str, tuple[float, float]]:
        """Compute the interval of each of `metrics` by resampling pictures or, if there are any, scenes."""
        how = self.protocol.aggregation
        averages = [average(name, values, self.pixels, how) for name, values in self.per_picture.items()]
        draws = resampled_figures(averages, scenes)
        return {name: percentile_interval(drawn) for name, drawn in zip(self.per_picture, draws, strict=True)}

    @cached_property
    def wider_by_scene(self) -> set[str]:
        """The metrics whose interval over scenes is the wider one."""
        widths = {name: high - low for name, (low, high) in self.intervals.items()}
        return {name for name, (low, high) in self.scene_intervals.items() if high - low > widths[name]}

    @property
    def shown_intervals(self) -> dict[str, tuple[float, float]]:
        """The wider interval of each metric, over pictures or scenes."""
        return self.intervals | {name: self.scene_intervals[name] for name in self.wider_by_scene}

    @property
    def recipe(self) -> str:
        """The protocol in words, with the hash that tells recipes apart."""
        return f"{self.protocol.recipe(self.ground_truth)} (hash {self.protocol.digest})"

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, with None instead of NaN."""
        figures = (self.metrics, *(aggregated(self.per_picture, self.pixels, how) for how in ("mean", "pooled")))
        metrics, mean, pooled = map(without_nan, figures)
        ends, by_scene = (
            {name: None if math.isnan(low) else [low, high] for name, (low, high) in intervals.items()}
            for intervals in (self.intervals, self.scene_intervals)
        )
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
            "scenes": len(set(self.scenes)) or None,
            "intervals_over_scenes": by_scene or None,
            "mean_over_pictures": mean,
            "pooled_over_pixels": pooled,
        }


def without_nan(figures: dict[str, float]) -> dict[str, float | None]:
    """Replace NaN by None, for JSON."""
    return {name: None if math.isnan(value) else value for name, value in figures.items()}


def collect(
    scores: Iterable[ScoredPicture],
    dataset: Dataset,
    protocol: Protocol,
    remark: str = "",
    scenes: Mapping[str, str] = MappingProxyType({}),
) -> Result:
    """Gather the pictures that evaluate.score_each yields. `scenes` by name; a picture without one is its own."""
    scores = list(scores)
    per_picture = {metric: np.array([scored.figures[metric] for scored in scores]) for metric in scores[0].figures}
    pixels = np.array([scored.pixels for scored in scores])
    names = [scored.name for scored in scores]
    sums = [scored.by_depth for scored in scores if scored.by_depth is not None]
    by_depth = np.stack(sums) if sums else None
    shown = tuple(scenes.get(name, name) for name in names)
    known = shown if scenes and len(set(shown)) >= FEWEST_SCENES else ()
    data, ground_truth = dataset.description, dataset.ground_truth
    return Result(protocol, data, ground_truth, names, per_picture, pixels, remark, by_depth, known)
