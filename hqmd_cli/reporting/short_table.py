"""The table that evaluate and compare print: one row a model, each figure with half its interval, within a width."""

import math
from collections.abc import Mapping, Sequence

from hqmd_cli.evaluation.metrics.registry import MAIN_METRICS, METRICS, SPACES
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.significance import PAIRED, Comparison
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.reporting.tables import Results, best_models, caption, facts, few, head_of, measured_on, method

# In a narrow terminal the last column is the first to go.
COLUMNS = tuple(dict.fromkeys((*PAIRED, "bias", *MAIN_METRICS)))
DIGITS = 3  # decimals: half an interval is seldom below 0.002
CELL = len("1.000 ±.000") + 2  # with its mark, and the space to the next column
SHORTEST_NAME, LONGEST_NAME = 8, 24
SIGNIFICANT = 0.05
BEST, TIE = "*", "="


def short_table(results: Results, comparisons: Sequence[Comparison], width: int) -> Table:
    """Make a row a model, with the best of each tested column marked, and the models that tie with it."""
    shown = columns_within(width, results)
    best = {metric: best_models(results)[metric] for metric in PAIRED}
    ties = {metric: ties_with(best[metric], metric, comparisons) for metric in PAIRED}

    def mark(model: str, metric: str) -> str:
        if model in best.get(metric, ()):
            return BEST
        return TIE if model in ties.get(metric, ()) else ""

    rows = [[model, *cells(result, shown, [mark(model, m) for m in shown])] for model, result in results.items()]
    bold = frozenset((i, j) for i, row in enumerate(rows) for j, cell in enumerate(row) if j and cell.endswith(BEST))
    notes = [
        *([verdict(results, best, ties), marks_in_words(shown)] if comparisons else []),
        *facts(results, shown),
        *left_out(shown),
    ]
    return Table(["model", *map(head_of, shown)], rows, "\n".join(notes), bold)


def short_protocols_table(model: str, by_protocol: Results, width: int) -> Table:
    """Make a row a protocol, with the figures of one model. Nothing is marked: protocols do not compete."""
    shown = columns_within(width, by_protocol)
    rows = [[name, *cells(result, shown, [""] * len(shown))] for name, result in by_protocol.items()]
    remark = next(iter(by_protocol.values())).remark
    about = (
        f"{model}; each protocol measures something else, so compare only within a row; {method(by_protocol, shown)}"
    )
    about += f"; {remark}" if remark else ""
    notes = ["; ".join(measured_on(result, shown)) for result in by_protocol.values()]
    return Table(
        ["protocol", *map(head_of, shown)], rows, "\n".join([about, *notes, *few(by_protocol), *left_out(shown)])
    )


def spaces_table(results: Results) -> Table:
    """Make a row a model: AbsRel and delta1 in the three spaces side by side, with the best of each in bold."""
    best = best_models(results, {metric: METRICS[metric] for metric in SPACES})
    rows = [[model, *cells(result, SPACES, [""] * len(SPACES))] for model, result in results.items()]
    bold = frozenset((i, 1 + j) for i, model in enumerate(results) for j, m in enumerate(SPACES) if model in best[m])
    recipes = [f"{metric}: {METRICS[metric].formula}" for metric in SPACES[:3]]
    about = "a wrong scale is an error in the first space only, a wrong shape in all three; delta1 likewise"
    notes = [about, *recipes, caption(results, SPACES)]
    return Table(["three spaces", *map(head_of, SPACES)], rows, "\n".join(notes), bold)


def columns_within(width: int, labels: Results) -> tuple[str, ...]:
    """Return the metrics that fit beside the labels in `width` columns of characters: one at least."""
    name = min(max(SHORTEST_NAME, *map(len, labels)), LONGEST_NAME)
    return COLUMNS[: max(1, (width - name - 1) // CELL)]


def cells(result: Result, metrics: Sequence[str], marks: Sequence[str]) -> list[str]:
    """Write each figure with half the width of its interval, such as ".156 ±.017", and its mark."""
    texts = []
    for metric, mark in zip(metrics, marks, strict=True):
        value, (low, high) = result.metrics[metric], result.shown_intervals[metric]
        text = "unknown" if math.isnan(value) else f"{short(value)} ±{short((high - low) / 2)}"
        texts.append(text + mark)
    return texts


def short(value: float) -> str:
    """Write a figure without a leading zero, such as ".156"."""
    text = f"{value:.{DIGITS}f}"
    return text.removeprefix("0") if text.startswith("0.") else text


def ties_with(best: set[str], metric: str, comparisons: Sequence[Comparison]) -> set[str]:
    """Return the models that the paired test cannot tell from the best one in a metric."""
    pairs = [
        {comparison.first, comparison.second}
        for comparison in comparisons
        if comparison.metric == metric and not comparison.p_holm < SIGNIFICANT
    ]
    return {model for pair in pairs if pair & best for model in pair} - best


def verdict(results: Results, best: Mapping[str, set[str]], ties: Mapping[str, set[str]]) -> str:
    """Say who is best in each tested metric, and if that is significant."""
    metrics_of: dict[str, list[str]] = {}
    for metric, models in best.items():
        first, tied = (", ".join(model for model in results if model in each) for each in (models, ties[metric]))
        if first:
            who = f"{first}, tied with {tied}" if tied else f"{first}, significantly"
            metrics_of.setdefault(who, []).append(metric)
    return "; ".join(f"best in {', '.join(metrics)}: {who}" for who, metrics in metrics_of.items())


def marks_in_words(shown: Sequence[str]) -> str:
    """Explain the marks, and which columns have none."""
    untested = [metric for metric in shown if metric not in PAIRED]
    rest = f"; {', '.join(untested)}: not tested" if untested else ""
    return (
        f"{BEST} best; {TIE} tied: the paired test cannot tell it from the best (p of {SIGNIFICANT} or more, Holm's "
        f"correction){rest}"
    )


def left_out(shown: Sequence[str]) -> list[str]:
    """Name the columns that do not fit, if there are any."""
    hidden = COLUMNS[len(shown) :]
    return [f"not shown in this width: {', '.join(hidden)}; --detail shows all"] if hidden else []
