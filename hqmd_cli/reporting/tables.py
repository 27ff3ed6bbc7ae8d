"""Figures as tables, CSV and JSON, each with the name, the recipe and the hash of its protocol."""

import csv
import io
import json
import math
from collections.abc import Iterable, Mapping
from typing import Any

from hqmd_cli.evaluation.aggregation import pooling_note
from hqmd_cli.evaluation.bootstrap import METHOD
from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, MAIN_METRICS, METRICS, SPACES, Metric
from hqmd_cli.evaluation.results import Result
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.units import DIGITS

FEW, FEW_SCENES = 30, 10  # pictures, scenes; with fewer, the bootstrap's intervals are too narrow
ENDS = ("95 % from", "to")  # heads of an interval's ends
SCENE_ENDS = ("over scenes from", "to")

Results = Mapping[str, Result]  # model -> result, all on one dataset under one protocol


def caption(results: Results, metrics: Iterable[str] = MAIN_METRICS, how: str = "") -> str:
    """Write the line below a table; `how` intervals are made, if not as those of figures."""
    return "; ".join(facts(results, metrics, how))


def facts(results: Results, metrics: Iterable[str] = MAIN_METRICS, how: str = "") -> list[str]:
    """Say what a table rests on: protocol and recipe, data, how intervals are made, warnings, remarks on models."""
    remarks = [f"{name}: {result.remark}" for name, result in results.items() if result.remark]
    measured = measured_on(next(iter(results.values())), metrics)
    return [*measured, how or method(results, metrics), *few(results), *remarks]


def method(results: Results, metrics: Iterable[str] = MAIN_METRICS) -> str:
    """Say how intervals are made and, where scenes are known, how many of the figures have the wider one of scenes."""
    result = next(iter(results.values()))
    if not result.scenes:
        return METHOD
    figures = [(each, metric) for each in results.values() for metric in metrics]
    by_scene = sum(metric in each.wider_by_scene for each, metric in figures)
    return (
        f"{METHOD}, and over {len(set(result.scenes))} scenes; the wider is shown, that over scenes for {by_scene} of "
        f"{len(figures)} figures"
    )


def few(results: Results) -> list[str]:
    """Say that there are too few pictures or scenes to rely on the figures, if that is so."""
    result = next(iter(results.values()))
    counts = {"pictures": (len(result.names), FEW), "scenes": (len(set(result.scenes)) or FEW, FEW_SCENES)}
    low = [f"{count} {what}" for what, (count, least) in counts.items() if count < least]
    warning = "do not rank models by so few, and expect too narrow intervals and too small p"
    return [f"only {' of '.join(low)}: {warning}"] if low else []


def measured_on(result: Result, metrics: Iterable[str] = MAIN_METRICS) -> tuple[str, str]:
    """Name a result's protocol and recipe, and its data and number of pictures."""
    note = pooling_note(metrics, result.protocol.aggregation)
    recipe = f"{result.recipe}, {note}" if note else result.recipe
    return f"protocol {result.protocol.name}: {recipe}", f"{result.data}, n = {len(result.names)}"


def head_of(metric: str) -> str:
    """Return a metric's name with its unit and an arrow in the direction that is better, such as "RMSE [m] ↓"."""
    about = METRICS[metric]
    return f"{metric}{'' if about.unit == '1' else f' [{about.unit}]'} {about.arrow}"


def best_models(results: Results, metrics: Mapping[str, Metric] = MAIN_METRICS) -> dict[str, set[str]]:
    """Return the best models in each metric, compared as printed; no model if there is only one."""
    if len(results) < 2:
        return {metric: set() for metric in metrics}
    best = {}
    for name, metric in metrics.items():
        badness = {model: metric.badness(round(result.metrics[name], DIGITS)) for model, result in results.items()}
        lowest = min((value for value in badness.values() if not math.isnan(value)), default=math.nan)
        best[name] = {model for model, value in badness.items() if value == lowest}
    return best


def figures_table(results: Results) -> Table:
    """Three rows a model: figures, with the best of each column in bold, and both ends of their intervals."""
    best = best_models(results)
    bold = frozenset(
        ((1 + len(ENDS)) * i, 1 + j)
        for i, model in enumerate(results)
        for j, metric in enumerate(MAIN_METRICS)
        if model in best[metric]
    )
    rows = [row for model, result in results.items() for row in rows_of(model, result)]
    return Table(["model", *map(head_of, MAIN_METRICS)], rows, caption(results), bold)


def detail_table(results: Results) -> Table:
    """A row a metric of detail, a column a model: figures, with the best in bold, and both ends of intervals.

    The three spaces have a table of their own (short_table.py).
    """
    best = best_models(results, DETAIL_METRICS)
    names = [name for name in DETAIL_METRICS if name not in SPACES]
    known = [name for name in names if any(not math.isnan(each.metrics[name]) for each in results.values())]
    rows = [[head_of(name), *(with_ends(result, name) for result in results.values())] for name in known]
    places = ((i, j, model) for i in range(len(known)) for j, model in enumerate(results))
    bold = frozenset((i, 1 + j) for i, j, model in places if model in best[known[i]])
    notes = [caption(results, known), *unknown(name for name in names if name not in known)]
    return Table(["detail", *results], rows, "\n".join(notes), bold)


def with_ends(result: Result, metric: str) -> str:
    """Write a figure with both ends of its interval, such as "0.1471 (0.1402 to 0.1540)"."""
    value, (low, high) = result.metrics[metric], result.shown_intervals[metric]
    return "unknown" if math.isnan(value) else f"{value:.{DIGITS}f} ({low:.{DIGITS}f} to {high:.{DIGITS}f})"


def unknown(metrics: Iterable[str]) -> list[str]:
    """Name the metrics without a figure, if there are any, and what they need."""
    names = ", ".join(metrics)
    needs = (
        "normals and points need the data's camera, planes those of iBims-1, AbsRel between two depths such pixels, "
        "FOVerror and AUSE a model that says more than depth"
    )
    return [f"left out, unknown here: {names} ({needs})"] if names else []


def protocols_table(model: str, by_protocol: Results) -> Table:
    """Three rows a protocol with the figures of one model. Nothing is bold: protocols do not compete."""
    rows = [row for protocol, result in by_protocol.items() for row in rows_of(protocol, result)]
    notes = ["; ".join(measured_on(result)) for result in by_protocol.values()]
    remark = next(iter(by_protocol.values())).remark
    about = f"{model}; each protocol measures something else, so compare only within a row; {method(by_protocol)}"
    about += f"; {remark}" if remark else ""
    return Table(["protocol", *map(head_of, MAIN_METRICS)], rows, "\n".join([about, *notes]))


def rows_of(label: str, result: Result) -> list[list[str]]:
    """Return three rows: the figures of a result, the lower and the upper ends of their intervals.

    Five if scenes are known, with the intervals over them.
    """
    lines = [(label, [result.metrics[metric] for metric in MAIN_METRICS])]
    for heads, intervals in ((ENDS, result.intervals), (SCENE_ENDS, result.scene_intervals)):
        lines += [(end, [intervals[m][i] for m in MAIN_METRICS]) for i, end in enumerate(heads) if intervals]
    return [[head, *(f"{value:.{DIGITS}f}" for value in values)] for head, values in lines]


def as_csv(results: Results) -> str:
    """A row a model in full precision: figures, intervals, n, protocol with hash and recipe, data, remark.

    Intervals over scenes follow those over pictures, if scenes are known.
    """
    metrics = list(next(iter(results.values())).per_picture)
    kinds = ("", "_scene") if any(result.scenes for result in results.values()) else ("",)
    ends = [f"{metric}{kind}_{end}" for kind in kinds for metric in metrics for end in ("low", "high")]
    lines: list[list[Any]] = [["model", *metrics, *ends, "n", "protocol", "protocol_hash", "recipe", "data", "remark"]]
    for model, result in results.items():
        intervals = (result.intervals, result.scene_intervals)[: len(kinds)]
        ends_of = [end for each in intervals for metric in metrics for end in each[metric]]
        about = [len(result.names), *protocol_of(result), result.data, result.remark]
        lines.append([model, *(result.metrics[metric] for metric in metrics), *ends_of, *about])
    return csv_text(lines)


def has_detail(results: Results) -> bool:
    """True if DETAIL_METRICS were measured for every model."""
    return all(set(DETAIL_METRICS) <= set(result.per_picture) for result in results.values())


def protocol_of(result: Result) -> list[str]:
    """Return a protocol's name, hash and recipe, as in each row of a CSV file."""
    return [result.protocol.name, result.protocol.digest, result.recipe]


def csv_text(lines: Iterable[Iterable[Any]]) -> str:
    """Write rows as the text of a CSV file."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(lines)
    return text.getvalue()


def as_json(rows: Any) -> str:
    """Write plain data as the text of a JSON file."""
    return json.dumps(rows, indent=2) + "\n"


def one_as_dict(model: str, result: Result) -> dict[str, Any]:
    """Return a model's figures, intervals, protocol, recipe, data and n as plain data for JSON."""
    return {"model": model, **result.to_dict()}
