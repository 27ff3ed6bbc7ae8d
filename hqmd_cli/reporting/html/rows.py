"""The figures of a report: rows of tables, intervals to draw, and the figures of every picture."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, MAIN_METRICS, Metric
from hqmd_cli.evaluation.significance import Comparison
from hqmd_cli.reporting.tables import Results, best_models, has_detail, head_of
from hqmd_cli.units import DIGITS

UNKNOWN = "\N{EN DASH}"


@dataclass(frozen=True)
class Cell:
    """A figure and its interval as printed."""

    best: bool  # in its row
    figure: str
    low: str
    high: str


@dataclass(frozen=True)
class Row:
    """A metric: a cell a model, and the intervals to draw on one scale."""

    head: str
    cells: list[Cell]
    spans: list["Span"]


@dataclass(frozen=True)
class Span:
    """Places of an interval and its figure on a scale from 0 to 100."""

    low: float
    at: float
    high: float


def figure(value: float, sign: str = "") -> str:
    """Format a figure as in every table of hqmd."""
    return UNKNOWN if math.isnan(value) else f"{value:{sign}.{DIGITS}f}"


def known_metrics(results: Results) -> dict[str, Metric]:
    """Return the metrics that have a column."""
    return MAIN_METRICS | (DETAIL_METRICS if has_detail(results) else {})


def rows(results: Results, metrics: Mapping[str, Metric]) -> list[Row]:
    """Make a row for each metric."""
    best = best_models(results, metrics)
    found = []
    for metric in metrics:
        figures = {name: (result.metrics[metric], *result.shown_intervals[metric]) for name, result in results.items()}
        cells = [Cell(name in best[metric], *map(figure, values)) for name, values in figures.items()]
        known = [value for values in figures.values() for value in values if not math.isnan(value)]
        low, high = (min(known), max(known)) if known else (0.0, 1.0)
        found.append(Row(head_of(metric), cells, [span(*values, low, high) for values in figures.values()]))
    return found


def span(value: float, low: float, high: float, left: float, right: float) -> Span:
    """Place a figure and its interval between `left` and `right`; in the middle if unknown, or if these are equal."""

    def place(at: float) -> float:
        return 50.0 if math.isnan(at) or left == right else round(100 * (at - left) / (right - left), 1)

    return Span(place(low), place(value), place(high))


def pairs_by_metric(comparisons: list[Comparison]) -> dict[str, list[tuple[Comparison, Span]]]:
    """Group comparisons by the head of their metric. The spans of a metric share one scale with 0 in the middle."""
    found: dict[str, list[tuple[Comparison, Span]]] = {}
    for comparison in comparisons:
        reach = max(max(abs(each.low), abs(each.high)) for each in comparisons if each.metric == comparison.metric)
        drawn = span(comparison.difference, comparison.low, comparison.high, -reach, reach)
        found.setdefault(head_of(comparison.metric), []).append((comparison, drawn))
    return found


def figures_of_pictures(results: Results) -> dict[str, Any]:
    """Return every figure of every picture as printed: values[model][metric][picture], None if unknown."""
    metrics = list(known_metrics(results))
    values = [[printed(result.per_picture[metric]) for metric in metrics] for result in results.values()]
    return {"models": list(results), "metrics": metrics, "heads": [head_of(metric) for metric in metrics]} | {
        "values": values
    }


def printed(values: Iterable[float]) -> list[float | None]:
    """Round values as in the tables; NaN becomes None, for JSON."""
    return [None if math.isnan(value) else round(float(value), DIGITS) for value in values]
