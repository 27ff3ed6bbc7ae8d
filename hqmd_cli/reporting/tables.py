"""Figures as tables, CSV and JSON. Each names its protocol, says its recipe and bears its hash."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from hqmd_cli.evaluation.bootstrap import METHOD
from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, METRICS, Metric
from hqmd_cli.evaluation.results import Result
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.units import DIGITS

ENDS = ("95 % from", "to")  # the rows of intervals

Results = Mapping[str, Result]  # model -> figures, all on one dataset under one protocol


def caption(results: Results) -> str:
    """What stands under every table: protocol, recipe, data, number of pictures; and what is special about a model."""
    remarks = [f"{name}: {result.remark}" for name, result in results.items() if result.remark]
    return "; ".join([measured_on(next(iter(results.values()))), METHOD, *remarks])


def measured_on(result: Result) -> str:
    """The same of one result, without the method of its intervals."""
    return f"protocol {result.protocol.name}: {result.recipe}; {result.data}, n = {len(result.names)}"


def head_of(metric: str) -> str:
    """A metric with its unit and which way is good."""
    about = (METRICS | DETAIL_METRICS)[metric]
    return f"{metric}{'' if about.unit == '1' else f' [{about.unit}]'} {about.arrow}"


def best_models(results: Results, metrics: Mapping[str, Metric] = METRICS) -> dict[str, set[str]]:
    """Which models are best in each metric, as printed; nobody where there is no choice."""
    if len(results) < 2:
        return {metric: set() for metric in metrics}
    best = {}
    for name, metric in metrics.items():
        badness = {model: metric.badness(round(result.metrics[name], DIGITS)) for model, result in results.items()}
        lowest = min((value for value in badness.values() if not math.isnan(value)), default=math.nan)
        best[name] = {model for model, value in badness.items() if value == lowest}
    return best


def figures_table(results: Results) -> Table:
    """Three rows a model: its figures, the best of each column in bold, and both ends of their intervals."""
    best = best_models(results)
    bold = frozenset(
        ((1 + len(ENDS)) * i, 1 + j)
        for i, model in enumerate(results)
        for j, metric in enumerate(METRICS)
        if model in best[metric]
    )
    rows = [row for model, result in results.items() for row in rows_of(model, result)]
    return Table(["model", *map(head_of, METRICS)], rows, caption(results), bold)


def detail_table(results: Results) -> Table:
    """Three rows a metric of detail, a column a model: the figures, the best in bold, and both ends of intervals."""
    best = best_models(results, DETAIL_METRICS)
    rows: list[list[str]] = []
    bold: set[tuple[int, int]] = set()
    for name in DETAIL_METRICS:
        bold |= {(len(rows), 1 + j) for j, model in enumerate(results) if model in best[name]}
        rows.append([head_of(name), *(f"{result.metrics[name]:.{DIGITS}f}" for result in results.values())])
        for i, end in enumerate(ENDS):
            rows.append([end, *(f"{result.intervals[name][i]:.{DIGITS}f}" for result in results.values())])
    return Table(["detail", *results], rows, caption(results), frozenset(bold))


def protocols_table(model: str, by_protocol: Results) -> Table:
    """One model's figures, three rows a protocol: nothing in bold, as no protocol is better than another."""
    rows = [row for protocol, result in by_protocol.items() for row in rows_of(protocol, result)]
    notes = [measured_on(result) for result in by_protocol.values()]
    remark = next(iter(by_protocol.values())).remark
    about = f"{model}; each protocol measures something else: compare within a row only; {METHOD}"
    about += f"; {remark}" if remark else ""
    return Table(["protocol", *map(head_of, METRICS)], rows, "\n".join([about, *notes]))


def rows_of(label: str, result: Result) -> list[list[str]]:
    """One result: label and figures, then the lower and the upper ends of their intervals."""
    lines = [(label, [result.metrics[metric] for metric in METRICS])]
    lines += [(end, [result.intervals[metric][i] for metric in METRICS]) for i, end in enumerate(ENDS)]
    return [[head, *(f"{value:.{DIGITS}f}" for value in values)] for head, values in lines]


def as_csv(results: Results) -> str:
    """A row a model with full precision: figures, the ends of their intervals, n, protocol, its hash, recipe, data."""
    metrics = list(next(iter(results.values())).per_picture)
    ends = [f"{metric}_{end}" for metric in metrics for end in ("low", "high")]
    lines: list[list[Any]] = [["model", *metrics, *ends, "n", "protocol", "protocol_hash", "recipe", "data", "remark"]]
    for model, result in results.items():
        ends_of = [end for metric in metrics for end in result.intervals[metric]]
        about = [len(result.names), *protocol_of(result), result.data, result.remark]
        lines.append([model, *(result.metrics[metric] for metric in metrics), *ends_of, *about])
    return csv_text(lines)


def per_picture_csv(results: Results) -> str:
    """A row a picture and model with full precision: how many pixels count, all metrics, protocol, its hash, recipe."""
    heads, rows = per_picture_rows(results)
    return csv_text([heads, *rows])


def per_picture_rows(results: Results) -> tuple[list[str], list[list[Any]]]:
    """Names of the columns, and the rows: texts, a whole number, and figures, NaN where one is not known."""
    metrics = list(next(iter(results.values())).per_picture)
    rows: list[list[Any]] = []
    for model, result in results.items():
        values = zip(result.names, result.pixels, *(result.per_picture[metric] for metric in metrics), strict=True)
        rows += [[name, model, pixels, *figures, *protocol_of(result)] for name, pixels, *figures in values]
    return ["picture", "model", "pixels", *metrics, "protocol", "protocol_hash", "recipe"], rows


def has_detail(results: Results) -> bool:
    """Whether detail.py's metrics were measured."""
    return all(set(DETAIL_METRICS) <= set(result.per_picture) for result in results.values())


def protocol_of(result: Result) -> list[str]:
    """What every row of a CSV says of its protocol."""
    return [result.protocol.name, result.protocol.digest, result.recipe]


def csv_text(lines: Iterable[Iterable[Any]]) -> str:
    """Lines of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def as_json(rows: Any) -> str:
    """Plain data as a file's text."""
    return json.dumps(rows, indent=2) + "\n"


def one_as_dict(model: str, result: Result) -> dict[str, Any]:
    """One model's figures, their intervals, protocol, recipe, data and n, as plain data for JSON."""
    return {"model": model, **result.to_dict()}
