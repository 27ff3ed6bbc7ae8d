"""The report: its numbers are those of the results, it loads nothing, and names are never markup."""

import base64
import hashlib
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

import hqmd_cli
from hqmd_cli.data import open_dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.metrics.registry import DETAIL_METRICS, MAIN_METRICS
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.results import collect
from hqmd_cli.files.atomic import write_pieces
from hqmd_cli.reporting.html.page import page
from hqmd_cli.reporting.html.picture_choice import anchors, choose
from hqmd_cli.reporting.html.rows import UNKNOWN
from hqmd_cli.reporting.tables import head_of
from scenes import CROPPED, JUDGED, NAMES, REPORT, WHOLE, Scenes, report_of

HTML = "".join(page(REPORT))


class Page(HTMLParser):
    """All elements with their attributes, the texts of scripts, and tables as rows of texts by their class."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.scripts: list[str] = []
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.open: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        found = {name: value or "" for name, value in attributes}
        self.elements.append((tag, found))
        if tag == "script":
            self.scripts.append("")
        elif tag == "table":
            self.table: list[list[str]] = []
            self.tables.setdefault(found["class"], []).append(self.table)
        elif tag == "tr":
            self.table.append([])
        elif tag in ("th", "td", "small"):
            self.table[-1].append("")
        self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        while self.open and self.open.pop() != tag:  # those without an end, such as img
            pass

    def handle_data(self, data: str) -> None:
        if "script" in self.open:
            self.scripts[-1] += data
        elif {"th", "td"} & set(self.open):
            self.table[-1][-1] += data.strip()

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]


PAGE = Page(HTML)


# ---- names, and what the page loads


def test_names_are_never_markup() -> None:
    assert len(PAGE.all("script")) == 2  # the figures, and ours
    assert not any(name.startswith("on") for _, attributes in PAGE.elements for name in attributes)
    assert not any(markup in HTML for markup in ("<i>of</i>", "<b>c", "compare <b>", "<img src=x", "<far>"))
    assert [row[0] for row in PAGE.tables["every"][0][1:]] == NAMES
    assert PAGE.tables["every"][0][0] == ["picture", *map(head_of, MAIN_METRICS)]
    assert json.loads(PAGE.scripts[0])["models"] == list(JUDGED)


def test_a_name_that_is_no_text_comes_as_an_escape(tmp_path: Path) -> None:
    """A file name of other bytes than UTF-8, as Python hands it over."""
    odd = report_of({"m\udcfe": PredictionSource(lambda sample: 1.1 * sample.depth_m)}, names=["plain", "odd\udcff"])
    write_pieces(tmp_path / "page.html", page(odd))
    written = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert [row[0] for row in written.tables["every"][0]] == ["picture", "plain", r"odd\udcff"]
    assert {"href": "#odd%5Cudcff"} in written.all("a")


def test_the_page_loads_nothing() -> None:
    loading = ("src", "href", "srcset", "action", "poster", "data", "background", "xlink:href", "formaction")
    addresses = [a[name] for _, a in PAGE.elements for name in loading if name in a]
    assert len(addresses) > len(NAMES)
    assert all(address.startswith(("data:", "#")) for address in addresses)
    style = re.search(r"<style>(.*?)</style>", HTML, re.DOTALL)[1]
    assert "url(" not in style and "@import" not in style
    assert not re.search(r"fetch|XMLHttp|import\(|https?:|eval|innerHTML", PAGE.scripts[1])


def test_the_browser_is_told_to_load_nothing_and_to_run_our_script_only() -> None:
    (policy,) = (meta["content"] for meta in PAGE.all("meta") if meta.get("http-equiv") == "Content-Security-Policy")
    digest = base64.b64encode(hashlib.sha256(PAGE.scripts[1].encode()).digest()).decode()
    assert "default-src 'none'" in policy and f"script-src 'sha256-{digest}'" in policy


def test_each_picture_has_an_anchor_of_its_own() -> None:
    names = ["a b", "a\tb", "a_b", " ", "-x", "-x"]
    assert anchors(names, taken=["-x"]) == ["a_b", "a_b-2", "a_b-3", "_", "-x-2", "-x-3"]
    ids = [attributes["id"] for _, attributes in PAGE.elements if "id" in attributes]
    assert len(set(ids)) == len(ids) and not any(re.search(r"\s", each) for each in ids)


# ---- the numbers


def test_figures_are_the_results() -> None:
    (table,) = PAGE.tables["figures"]
    for row, metric in zip(table[1:], MAIN_METRICS, strict=True):
        expected = [head_of(metric)]
        for result in REPORT.results.values():
            low, high = result.intervals[metric]
            expected += [f"{result.metrics[metric]:.4f}", f"{low:.4f} to {high:.4f}"]
        assert row[: len(expected)] == expected


def test_the_best_is_bold() -> None:
    best = [REPORT.results[name].metrics for name in JUDGED]
    bold = re.findall(r"<td><b>([\d.]+)</b>", HTML)
    expected = [min(figures["RMSE"] for figures in best), max(figures["delta2"] for figures in best)]
    assert {f"{value:.4f}" for value in expected} <= set(bold) and len(bold) >= len(MAIN_METRICS)
    assert "<td><b>" not in "".join(page(report_of({"alone": JUDGED["photo"]})))


def test_pairs_are_the_comparisons() -> None:
    (table,) = PAGE.tables["pairs"]
    for row, comparison in zip(table[1:], REPORT.comparisons, strict=True):
        assert row[:3] == [
            head_of(comparison.metric),
            comparison.first + comparison.second,
            f"{comparison.difference:+.4f}",
        ]
        assert row[3] == f"{comparison.low:+.4f} to {comparison.high:+.4f}"
        assert row[5:] == [
            f"{comparison.won:.0%}",
            f"{comparison.lost:.0%}",
            str(comparison.n),
            f"{comparison.p:.4f}",
            f"{comparison.p_holm:.4f}",
        ]


def test_every_picture_has_its_figures() -> None:
    told = json.loads(PAGE.scripts[0])
    assert told["metrics"] == list(MAIN_METRICS)
    for values, result in zip(told["values"], REPORT.results.values(), strict=True):
        for column, metric in zip(values, MAIN_METRICS, strict=True):
            assert column == [round(value, 4) for value in result.per_picture[metric]]
    first = next(iter(REPORT.results.values()))
    for i, row in enumerate(PAGE.tables["every"][0][1:]):
        assert row[1:] == [f"{first.per_picture[metric][i]:.4f}" for metric in MAIN_METRICS]


def test_unknown_figures_are_no_numbers() -> None:
    """Edges of sparse truth: no number in a table, null in the JSON, which has no NaN."""
    results = {name: replace(each, per_picture=dict(each.per_picture)) for name, each in REPORT.results.items()}
    for result in results.values():
        result.per_picture["edgeF1"] = np.full(len(NAMES), np.nan)
    unknown = Page("".join(page(replace(REPORT, results=results))))
    told = json.loads(unknown.scripts[0], parse_constant=pytest.fail)
    assert told["values"][0][list(MAIN_METRICS).index("edgeF1")] == [None] * len(NAMES)
    assert unknown.tables["figures"][0][-1][:3] == ["edgeF1 ↑", UNKNOWN, f"{UNKNOWN} to {UNKNOWN}"]


def test_the_box_says_what_was_measured() -> None:
    result = next(iter(REPORT.results.values()))
    for words in (result.protocol.recipe("filled"), result.protocol.digest, f"n = {len(NAMES)}", "10,000 resamples"):
        assert words in HTML
    assert f"hqmd {hqmd_cli.__version__}" in HTML and "hqmd compare &lt;b&gt;" in HTML


def test_nothing_is_ranked_across_protocols() -> None:
    other = report_of(JUDGED, CROPPED).results["photo"]
    with pytest.raises(HqmdError, match="needs one protocol"):
        replace(REPORT, results={**REPORT.results, "photo": other})


def test_a_remark_is_told() -> None:
    results = {name: replace(each, remark="scored although <odd>") for name, each in REPORT.results.items()}
    assert HTML.count('class="remark"') == 0
    assert "".join(page(replace(REPORT, results=results))).count("</b>: scored although &lt;odd&gt;</p>") == 2


def test_curves_do_not_change_the_figures() -> None:
    data = Scenes(NAMES)
    plain = collect(score_each(JUDGED["photo"], data, WHOLE), data, WHOLE)
    assert plain.by_depth is None and plain.metrics == REPORT.results["photo"].metrics
    without = {name: replace(each, by_depth=None) for name, each in REPORT.results.items()}
    assert "Error over depth" not in "".join(page(replace(REPORT, results=without)))


# ---- which pictures


@pytest.mark.parametrize(("n", "most"), [(1, 3), (2, 3), (3, 3), (4, 3), (10, 3), (101, 100), (654, 100), (11, 10)])
def test_the_worst_the_median_and_the_best_are_shown(n: int, most: int) -> None:
    rng = np.random.default_rng(n)
    figures = rng.permutation(n) / n
    results = {"a": replace(REPORT.results["photo"], per_picture={"AbsRel": figures}, names=[str(i) for i in range(n)])}
    choice = choose(results, most)
    order = np.argsort(-figures)
    assert [choice.ranks[i] for i in order] == list(range(1, n + 1))
    assert len(choice.shown) == min(n, most) and not choice.highlights.keys() & set(choice.others)
    expected = {1: ["The only picture"], 2: ["Worst", "Best"]}.get(n, ["Worst", "Median", "Best"])
    assert list(choice.highlights.values()) == expected
    places = [order.tolist().index(i) for i in choice.highlights]
    assert places == {1: [0], 2: [0, 1]}.get(n, [0, (n - 1) // 2, n - 1])
    if n > most:
        shown = sorted(order.tolist().index(i) for i in choice.shown)
        worst, around, best = (int(number) for number in re.findall(r"the (\d+)", choice.parts))
        assert worst + around + best == most
        assert shown[:worst] == list(range(worst)) and shown[-best:] == list(range(n - best, n))


def test_what_is_not_shown_is_listed_and_said() -> None:
    few = Page(html := "".join(page(replace(REPORT, most_pictures=3))))
    assert len(few.all("article")) == 3 and len(few.tables["every"][0]) == 1 + len(NAMES)
    assert f"the 1 worst, the 1 around the median and the 1 best of {len(NAMES)} pictures" in html
    assert f"The other {len(NAMES) - 3} are listed" in html and f"--report-pictures {len(NAMES)}" in html
    assert sum("shown" in row.get("class", "") for row in few.all("tr")) == 3
    assert "are listed with their figures only" not in HTML and len(PAGE.all("article")) == len(NAMES)


# ---- the commands


@pytest.fixture
def folders(pairs: Path, tmp_path: Path) -> list[Path]:
    """Two folders of predictions for the six pairs: too near and too far."""
    data = open_dataset(pairs, "all")
    for name, factor in (("near", 0.9), ("far", 1.2)):
        (tmp_path / name).mkdir()
        for sample in (data[i] for i in range(len(data))):
            np.save(tmp_path / name / f"{sample.name}.npy", factor * sample.depth_m)
    return [tmp_path / "near", tmp_path / "far"]


@pytest.mark.slow
def test_commands_write_the_page(hqmd, pairs, folders, tmp_path) -> None:
    out = tmp_path / "out" / "report.html"
    near, far = folders
    common = ["--data", pairs, "--split", "all", "--report", out.parent]
    result = hqmd("compare", "--pred", near, "--pred", far, *common, "--report-pictures", 3)
    assert result.returncode == 0, result.stderr
    assert f"report: {out}, " in result.stderr.splitlines()[-1]
    html = out.read_text(encoding="utf-8")
    assert f"hqmd compare --pred {near} --pred {far} --data {pairs}" in html
    assert "Edges, boundaries and normals" in html and "Pairs of models" in html
    assert [len(Page(html).all(tag)) for tag in ("article", "template")] == [3, 0]
    assert len(Page(html).tables["figures"][1]) == 1 + len(DETAIL_METRICS)

    assert "report.html: exists already; pass --overwrite" in hqmd("evaluate", "--pred", near, *common).stderr
    alone = hqmd("evaluate", "--pred", near, *common, "--json", "--overwrite")
    html = out.read_text(encoding="utf-8")
    figures = json.loads(alone.stdout)["metrics"]
    assert [row[1] for row in Page(html).tables["figures"][0][1:]] == [f"{figures[name]:.4f}" for name in MAIN_METRICS]
    assert "Pairs of models" not in html and len(Page(html).all("article")) == 6
    assert [path.name for path in out.parent.iterdir()] == ["report.html"]


def test_a_report_that_cannot_be_is_refused_at_once(hqmd, pairs, folders, tmp_path) -> None:
    (tmp_path / "file").write_text("mine")
    arguments = ["evaluate", "--pred", folders[0], "--data", pairs, "--split", "val"]
    assert "--report takes a folder" in hqmd(*arguments, "--report", tmp_path / "file").stderr
    refused = hqmd(*arguments, "--report", tmp_path / "out", "--protocol", "all")
    assert "--report has no meaning with --protocol all" in refused.stderr
    assert hqmd(*arguments, "--report", tmp_path / "out", "--report-pictures", 2).returncode == 2
    assert (tmp_path / "file").read_text() == "mine" and not (tmp_path / "out").exists()
