"""Score any callable `image -> depth_m` on a dataset under a protocol."""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, GroundTruth, Sample, require_depth
from hqmd_cli.errors import HqmdError
from hqmd_cli.metrics import MAP_METRICS, METRICS, PIXEL_METRICS
from hqmd_cli.protocol import Protocol
from hqmd_cli.uncertainty import METHOD, bootstrap_interval

Predict = Callable[[NDArray[np.uint8]], NDArray[np.floating]]  # (H, W, 3) RGB -> (H, W) metres


@dataclass(frozen=True)
class Result:
    """Figures of one model on one dataset under one protocol."""

    protocol: Protocol
    data: str
    ground_truth: GroundTruth
    names: list[str]  # pictures, in order
    per_picture: dict[str, NDArray[np.float64]]  # metric -> (n,)

    @cached_property
    def known(self) -> dict[str, NDArray[np.float64]]:
        """per_picture without the pictures where a metric is not known (edges, where the truth is sparse)."""
        return {name: values[~np.isnan(values)] for name, values in self.per_picture.items()}

    @cached_property
    def metrics(self) -> dict[str, float]:
        """Mean over pictures; NaN where a metric is known for none."""
        return {name: float(values.mean()) if values.size else math.nan for name, values in self.known.items()}

    @cached_property
    def intervals(self) -> dict[str, tuple[float, float]]:
        """The interval of each mean, by uncertainty.METHOD."""
        return {name: bootstrap_interval(values) for name, values in self.known.items()}

    @property
    def recipe(self) -> str:
        """What was measured, in words."""
        return self.protocol.recipe(self.ground_truth)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON, which has no NaN: what is not known is None."""
        return {
            "protocol": self.protocol.name,
            "recipe": self.recipe,
            "data": self.data,
            "n": len(self.names),
            "metrics": {name: None if math.isnan(value) else value for name, value in self.metrics.items()},
            "intervals": {
                name: None if math.isnan(low) else [low, high] for name, (low, high) in self.intervals.items()
            },
            "intervals_by": METHOD,
        }


def evaluate(predict: Predict, dataset: Dataset, protocol: Protocol) -> Result:
    """Run `predict` over the dataset and average each metric over the pictures.

    Raises HqmdError naming the picture when a prediction or its ground truth cannot be scored.
    """
    return collect(score_each(predict, dataset, protocol), dataset, protocol)


def score_each(predict: Predict, dataset: Dataset, protocol: Protocol) -> Iterator[tuple[str, dict[str, float]]]:
    """Name and metrics of one picture after the other, for callers that show progress."""
    require_ground_truth(dataset, protocol)
    for index in range(len(dataset)):
        sample = dataset[index]
        yield sample.name, score(predict(sample.image), sample, protocol)


def require_ground_truth(dataset: Dataset, protocol: Protocol) -> None:
    """Refuse a dataset whose depth is not of the kind that the protocol measures against."""
    # Depth that came as files may be either, which its caption says; only as raw, which is easier, it never passes.
    accepted = {"raw": ("raw",), "filled": ("filled", "as given")}[protocol.ground_truth]
    if dataset.ground_truth not in accepted:
        raise HqmdError(
            f"protocol {protocol.name} needs {protocol.ground_truth} ground truth, that of {dataset.description} is "
            f"{dataset.ground_truth}"
        )


def collect(scores: Iterable[tuple[str, dict[str, float]]], dataset: Dataset, protocol: Protocol) -> Result:
    """Gather score_each's rows."""
    names, rows = zip(*scores, strict=True)
    per_picture = {metric: np.array([row[metric] for row in rows]) for metric in METRICS}
    return Result(protocol, dataset.description, dataset.ground_truth, list(names), per_picture)


def score(pred_m: NDArray[np.floating], sample: Sample, protocol: Protocol) -> dict[str, float]:
    """All metrics of one prediction, (H, W) metres like the truth.

    Raises HqmdError for another size, for NaN, infinite, non-positive or constant predictions, and where the
    protocol leaves no valid pixel: none of these has an honest score.
    """
    if pred_m.shape != sample.depth_m.shape:
        raise HqmdError(f"{sample.name}: prediction is {pred_m.shape}, ground truth {sample.depth_m.shape}")
    require_depth(pred_m, sample.name)
    if pred_m.min() == pred_m.max():
        raise HqmdError(f"{sample.name}: the prediction is {pred_m.min():g} everywhere")
    scored = scored_pixels(sample, protocol)
    if not scored.any():
        raise HqmdError(
            f"{sample.name}: no valid ground truth under protocol {protocol.name}; is this the right file and split?"
        )
    if protocol.depth_range_m:
        pred_m = pred_m.clip(*protocol.depth_range_m)
    pred, truth = pred_m[scored].astype(np.float64), sample.depth_m[scored].astype(np.float64)
    of_pixels = {name: metric.compute(pred, truth) for name, metric in PIXEL_METRICS.items()}
    of_maps = {name: metric.compute(pred_m, sample.depth_m, scored) for name, metric in MAP_METRICS.items()}
    return of_pixels | of_maps


def scored_pixels(sample: Sample, protocol: Protocol) -> NDArray[np.bool_]:
    """(H, W) mask of the pixels that count."""
    scored = sample.valid.copy()
    if protocol.depth_range_m:
        near, far = protocol.depth_range_m
        scored &= (sample.depth_m > near) & (sample.depth_m < far)
    if protocol.crop:
        if sample.depth_m.shape != protocol.frame:
            raise HqmdError(
                f"{sample.name}: protocol {protocol.name} crops frames of {protocol.frame}, this one is "
                f"{sample.depth_m.shape}; use protocol hqmd for other sizes"
            )
        top, bottom, left, right = protocol.crop
        inside = np.zeros_like(scored)
        inside[top:bottom, left:right] = True
        scored &= inside
    return scored
