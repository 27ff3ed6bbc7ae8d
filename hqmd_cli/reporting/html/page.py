"""The report page: gathers what the template prints, and yields the HTML piece by piece."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment

import hqmd_cli
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.aggregation import pooling_note
from hqmd_cli.evaluation.error_by_depth import FEWEST_PICTURES, curve_of
from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, MAIN_METRICS
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocol import ALIGNED_BY, Protocol
from hqmd_cli.evaluation.significance import Comparison
from hqmd_cli.page.build import jinja_for, sha256
from hqmd_cli.reporting.comparison import explanation
from hqmd_cli.reporting.html import chart as drawing
from hqmd_cli.reporting.html.picture_choice import ORDERED_BY, anchors, choose
from hqmd_cli.reporting.html.pictures import Picture, draw_each, error_limit_m, gradients
from hqmd_cli.reporting.html.rows import UNKNOWN, figure, figures_of_pictures, known_metrics, pairs_by_metric, rows
from hqmd_cli.reporting.tables import Results, has_detail, method

FOLDER = Path(__file__).parent
TEMPLATE, STYLE, SCRIPT = "report.html.jinja", "report.css", "report.js"
SECTIONS = {  # id -> title; pictures never get one of these ids
    "-figures": "Figures",
    "-pairs": "Pairs of models",
    "-detail": "Edges, boundaries and normals",
    "-depth": "Error over depth",
    "-pictures": "Worst, median and best",
    "-all": "Every picture",
}

Progress = Callable[[Iterable[int], str, int], Iterable[int]]  # (items, label, total) -> the items


@dataclass(frozen=True)
class Report:
    """The contents of a page. Raises HqmdError unless all results are of the same pictures under one protocol."""

    results: Results
    dataset: Dataset
    sources: Mapping[str, PredictionSource]  # by the names that `results` has
    comparisons: list[Comparison]  # empty for one model
    command: str  # the command line that makes the page
    most_pictures: int  # shown on the page, 3 or more

    def __post_init__(self) -> None:
        if len({(result.protocol.digest, result.data, *result.names) for result in self.results.values()}) != 1:
            raise HqmdError("a report needs one protocol and the same pictures for all models")


def page(report: Report, progress: Progress = lambda items, what, total: items) -> Iterator[str]:
    """Yield the HTML in pieces. Pictures are predicted again one by one, so that only one is in memory."""
    template = environment().get_template(TEMPLATE)
    yield from template.generate(
        **about(report), **figures_in(report), **pictures_in(report, progress), **assets(), drawing=drawing
    )


def about(report: Report) -> dict[str, Any]:
    """Return the models, the facts about the measurement, and the titles of sections."""
    result = next(iter(report.results.values()))
    return {
        "models": list(report.results),
        "result": result,
        "remarks": {name: each.remark for name, each in report.results.items() if each.remark},
        "facts": facts(report),
        "sections": sections_of(report),
        "explanation": explanation(len(report.results)),
        "as_scored": as_scored_in_words(result.protocol),
    }


def figures_in(report: Report) -> dict[str, Any]:
    """Return the tables and the curves."""
    results = report.results
    return {
        "metrics": known_metrics(results),
        "figures": rows(results, MAIN_METRICS),
        "detail": rows(results, DETAIL_METRICS) if has_detail(results) else [],
        "pairs": pairs_by_metric(report.comparisons),
        "curves": {name: curve_of(each.by_depth) for name, each in results.items() if each.by_depth is not None},
        "fewest": FEWEST_PICTURES,
        "table": figures_of_pictures(results),
    }


def pictures_in(report: Report, progress: Progress) -> dict[str, Any]:
    """Return which pictures are shown, and iterators that draw each when the template asks for it."""
    result = next(iter(report.results.values()))
    choice = choose(report.results, report.most_pictures)
    limit_m = error_limit_m(report.results)

    def drawn(indices: Collection[int], what: str) -> Iterator[Picture]:
        tracked = progress(indices, what, len(indices))
        return draw_each(tracked, report.dataset, report.sources, result.protocol, limit_m)

    return {
        "choice": choice,
        "ordered_by": ORDERED_BY,
        "anchors": anchors(result.names, taken=SECTIONS),
        "limit_m": limit_m,
        "highlights": drawn(choice.highlights, "worst, median, best"),
        "others": drawn(choice.others, "pictures"),
    }


def assets() -> dict[str, Any]:
    """Return style, script, and the script's hash, by which the page's policy allows this script only."""
    script = (FOLDER / SCRIPT).read_text(encoding="utf-8")
    return {
        "gradients": gradients(),
        "style": (FOLDER / STYLE).read_text(encoding="utf-8"),
        "script": script,
        "script_hash": sha256(script),
    }


def environment() -> Environment:
    """Make Jinja's environment, with the filters of the report."""
    jinja = jinja_for(FOLDER)
    jinja.filters |= {
        "figure": figure,
        "maybe": lambda value: UNKNOWN if value is None else figure(value),
        "signed": lambda value: figure(value, sign="+"),
        "percent": lambda share: f"{share:.0%}",
        "in_address": lambda text: quote(text, safe="", errors="backslashreplace"),
    }
    return jinja


def facts(report: Report) -> dict[str, str]:
    """Return the lines of the protocol box below the protocol's name, head -> text."""
    result = next(iter(report.results.values()))
    note = pooling_note(known_metrics(report.results), result.protocol.aggregation)
    return {
        "recipe": ", ".join(filter(None, (result.protocol.recipe(result.ground_truth), note))),
        "hash": result.protocol.digest,
        "source": result.protocol.source or UNKNOWN,
        "data": result.data,
        "pictures": f"n = {len(result.names)}",
        "intervals": method(report.results, known_metrics(report.results)),
        "made by": f"hqmd {hqmd_cli.__version__}",
        "command": report.command,
    }


def as_scored_in_words(protocol: Protocol) -> str:
    """Say what the protocol does to predictions before they are scored and shown; empty if it does nothing."""
    parts = ["averaged with the mirrored photo's"] if protocol.flip else []
    parts += ["averaged over areas at {1} x {0}".format(*protocol.compared_at)] if protocol.compared_at else []
    parts += [ALIGNED_BY[protocol.alignment]] if protocol.alignment != "none" else []
    parts += ["clipped to {:g}..{:g} m".format(*protocol.clip_m)] if protocol.clip_m else []
    return ", ".join(parts)


def sections_of(report: Report) -> dict[str, str]:
    """Return the sections of this page, id -> title."""
    result = next(iter(report.results.values()))
    absent = {
        "-pairs": not report.comparisons,
        "-detail": not has_detail(report.results),
        "-depth": result.by_depth is None,
    }
    return {anchor: title for anchor, title in SECTIONS.items() if not absent.get(anchor)}
