"""Figures as tables: for the screen, Markdown, LaTeX, CSV and JSON. Each names its protocol."""

import csv
import io
import json
import math
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from hqmd_cli.evaluation import Result
from hqmd_cli.metrics import DIGITS, METRICS
from hqmd_cli.uncertainty import METHOD

if TYPE_CHECKING:
    from rich.table import Table

ENDS = ("95 % from", "to")  # the rows of intervals

Results = Mapping[str, Result]  # model -> figures, all on one dataset under one protocol


def caption(results: Results) -> str:
    """What stands under every table: protocol, recipe, data, number of pictures."""
    result = next(iter(results.values()))
    return f"protocol {result.protocol.name}: {result.recipe}; {result.data}, n = {len(result.names)}; {METHOD}"


def heads() -> list[str]:
    """Column heads: the metrics and which way is good; RMSE's unit is metres."""
    return [f"{name}{' [m]' if name == 'RMSE' else ''} {metric.arrow}" for name, metric in METRICS.items()]


def best_models(results: Results) -> dict[str, set[str]]:
    """Which models are best in each metric, as printed; nobody where there is no choice."""
    if len(results) < 2:
        return {metric: set() for metric in METRICS}
    best = {}
    for name, metric in METRICS.items():
        badness = {model: metric.badness(round(result.metrics[name], DIGITS)) for model, result in results.items()}
        lowest = min((value for value in badness.values() if not math.isnan(value)), default=math.nan)
        best[name] = {model for model, value in badness.items() if value == lowest}
    return best


def rows(results: Results, bold: Callable[[str], str]) -> list[list[str]]:
    """Three rows a model: its name and figures, the best of each column made bold; both ends of their intervals."""
    best = best_models(results)
    table = []
    for model, result in results.items():
        figures = [(name, f"{value:.{DIGITS}f}") for name, value in result.metrics.items()]
        table.append([model, *(bold(figure) if model in best[name] else figure for name, figure in figures)])
        for end, values in zip(ENDS, zip(*result.intervals.values(), strict=True), strict=True):
            table.append([end, *(f"{value:.{DIGITS}f}" for value in values)])
    return table


def for_screen(results: Results) -> "Table":
    """A rich table."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(caption=escape(caption(results)), caption_justify="left")
    table.add_column("model", overflow="fold")
    for head in heads():
        table.add_column(escape(head), justify="right", no_wrap=True)
    for model, *figures in rows(results, lambda figure: f"[bold]{figure}[/bold]"):
        table.add_row(escape(model), *figures)
    return table


def as_markdown(results: Results) -> str:
    """A Markdown table, the best in bold."""
    lines = [["model", *heads()], [":---", *["---:"] * len(METRICS)], *rows(results, "**{}**".format)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines) + f"\n\n{caption(results)}\n"


def as_latex(results: Results) -> str:
    """A booktabs table, the best in bold."""
    arrows = {"↓": r"$\downarrow$", "↑": r"$\uparrow$", "→1": r"$\to 1$"}
    table = [["model", *heads()], *rows(results, r"\textbf{{{}}}".format)]
    table = [[tex_name(line[0]), *line[1:]] for line in table]
    head, *body = (" & ".join(line) + r" \\" for line in table)
    for arrow, tex in arrows.items():
        head = head.replace(arrow, tex)
    return "\n".join(
        [
            r"\begin{table}",
            rf"\begin{{tabular}}{{l{'r' * len(METRICS)}}}",
            r"\toprule",
            head,
            r"\midrule",
            *body,
            r"\bottomrule",
            r"\end{tabular}",
            rf"\caption{{{tex_name(caption(results))}}}",
            r"\end{table}",
            "",
        ]
    )


def tex_name(text: str) -> str:
    """Plain text for LaTeX."""
    special = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
    return "".join(special.get(c, f"\\{c}" if c in "&%$#_{}" else c) for c in text)


def as_csv(results: Results) -> str:
    """A row a model with full precision: figures, the ends of their intervals, n, protocol, recipe and data."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    ends = [f"{metric}_{end}" for metric in METRICS for end in ("low", "high")]
    writer.writerow(["model", *METRICS, *ends, "n", "protocol", "recipe", "data"])
    for model, result in results.items():
        about = [len(result.names), result.protocol.name, result.recipe, result.data]
        ends_of = [end for interval in result.intervals.values() for end in interval]
        writer.writerow([model, *result.metrics.values(), *ends_of, *about])
    return text.getvalue()


def as_json(results: Results) -> str:
    """A list of models, each as in one_as_json."""
    return json.dumps([one_as_dict(model, result) for model, result in results.items()], indent=2) + "\n"


def one_as_json(model: str, result: Result) -> str:
    """One model's figures, their intervals, protocol, recipe, data and n."""
    return json.dumps(one_as_dict(model, result), indent=2) + "\n"


def one_as_dict(model: str, result: Result) -> dict[str, object]:
    """Plain data for JSON."""
    return {"model": model, **result.to_dict()}


FORMATS: dict[str, Callable[[Results], str]] = {
    ".md": as_markdown,
    ".tex": as_latex,
    ".csv": as_csv,
    ".json": as_json,
}
