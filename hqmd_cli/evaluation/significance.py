"""Test whether one model is better than another: paired differences on the same pictures."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from typing import Literal

import numpy as np

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.aggregation import average, resampled_figures
from hqmd_cli.evaluation.bootstrap import holm, percentile_interval, two_sided_p
from hqmd_cli.evaluation.metrics.registry import METRICS
from hqmd_cli.evaluation.results import Result

Over = Literal["pictures", "scenes"]
PAIRED = ("RMSE", "AbsRel", "delta1", "edgeF1")


@dataclass(frozen=True)
class Comparison:
    """Two models compared in one metric, on the n pictures where it is known for all models."""

    metric: str
    first: str
    second: str
    n: int
    difference: float  # first figure minus second
    low: float  # the ends of its interval
    high: float
    won: float  # share of the pictures on which the first is better
    lost: float  # share of the pictures on which the second is better; on the others they are equal
    p: float  # two-sided, by the same resamples
    p_holm: float  # corrected for the number of pairs in this metric
    over: Over = "pictures"  # what was resampled: the one that gives the larger p


def comparisons_of(results: Mapping[str, Result]) -> list[Comparison]:
    """Compare every pair of models in each metric of PAIRED that is known for some picture.

    Raises HqmdError where the models were not measured on the same pictures by the same protocol.
    """
    if len({(result.protocol.digest, result.data, tuple(result.names)) for result in results.values()}) > 1:
        raise HqmdError("models can only be compared on the same pictures under the same protocol")
    return [comparison for metric in PAIRED for comparison in comparisons_in(metric, results)]


def comparisons_in(metric: str, results: Mapping[str, Result]) -> list[Comparison]:
    """Compare every pair of models in one metric."""
    known = ~np.isnan([result.per_picture[metric] for result in results.values()]).any(axis=0)
    pairs = list(combinations(results, 2))
    if not pairs or not known.any():
        return []
    averages = {
        model: average(
            metric, np.where(known, result.per_picture[metric], np.nan), result.pixels, result.protocol.aggregation
        )
        for model, result in results.items()
    }
    figures = {model: item.figure for model, item in averages.items()}
    scenes = next(iter(results.values())).scenes
    ways: dict[Over, Sequence[str]] = {"pictures": (), "scenes": scenes} if scenes else {"pictures": ()}
    drawn = {
        over: dict(zip(averages, resampled_figures(list(averages.values()), groups), strict=True))
        for over, groups in ways.items()
    }
    badness = {
        model: np.array([METRICS[metric].badness(value) for value in item.values[known]])
        for model, item in averages.items()
    }
    found = []
    for first, second in pairs:
        differences = {over: draws[first] - draws[second] for over, draws in drawn.items()}
        p, over = max((two_sided_p(each), over) for over, each in differences.items())
        low, high = percentile_interval(differences[over])
        won, lost = (float(np.mean(sign * (badness[second] - badness[first]) > 0)) for sign in (1, -1))
        n, difference = int(known.sum()), figures[first] - figures[second]
        found.append(Comparison(metric, first, second, n, difference, low, high, won, lost, p, p, over))
    corrected = holm([comparison.p for comparison in found])
    return [replace(comparison, p_holm=p_holm) for comparison, p_holm in zip(found, corrected, strict=True)]
