"""Tables: each format names protocol and data, marks the best, and survives odd names and unknown figures."""

import csv
import io
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from pylatexenc.latexwalker import LatexEnvironmentNode, LatexWalker
from rich.console import Console

from hqmd_cli.evaluation.metrics.registry import MAIN_METRICS
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.significance import PAIRED, comparisons_of
from hqmd_cli.reporting import tables
from hqmd_cli.reporting.comparison import FORMATS, comparisons_table
from hqmd_cli.reporting.literature import published_rows
from hqmd_cli.reporting.per_picture import per_picture_csv, write_parquet
from hqmd_cli.reporting.table_formats import Table, as_latex, as_markdown, for_screen

PICTURES = ["a", "b", "c"]


def result(protocol: str = "hqmd", **figures: float) -> Result:
    """Three pictures: every metric 0.5, 0.6, 0.7 around the given means."""
    per_picture = {name: figures.get(name, 0.6) + np.array([-0.1, 0, 0.1]) for name in MAIN_METRICS}
    pixels = np.array([100, 100, 100])
    return Result(PROTOCOLS[protocol], "some [old] data_1, val", "filled", PICTURES, per_picture, pixels)


RESULTS = {"mine_1": result(RMSE=0.5, delta1=0.7, bias=1.2), "runs/other[2]": result(RMSE=0.55, delta1=0.8, bias=0.9)}


COMPARISONS = comparisons_of(RESULTS)
PATH = Path("out/table")


def written(suffix: str, results: dict[str, Result] = RESULTS) -> dict[str, str]:
    """What compare writes: file name -> text."""
    files = FORMATS[suffix](PATH.with_suffix(suffix), results, comparisons_of(results))
    return {path.name: text for path, text in files.items()}


def csv_rows(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_file_names_models_protocol_hash_and_data(suffix: str) -> None:
    for text in written(suffix).values():
        plain = text.replace("\\", "")
        for word in (*RESULTS, "hqmd", "filled ground truth, whole picture", "hash b020299c", "some [old] data_1, val"):
            assert word in plain


def test_the_best_is_bold_by_the_metrics_own_direction() -> None:
    table = tables.figures_table(RESULTS)
    assert [row[0] for row in table.rows] == ["mine_1", *tables.ENDS, "runs/other[2]", *tables.ENDS]
    column = {name: 1 + i for i, name in enumerate(MAIN_METRICS)}
    figures = {name: (table.rows[0][column[name]], table.rows[3][column[name]]) for name in MAIN_METRICS}
    assert figures["RMSE"] == ("0.5000", "0.5500") and figures["bias"] == ("1.2000", "0.9000")
    best = {name: {row for row, bold_column in table.bold if bold_column == column[name]} for name in MAIN_METRICS}
    assert best["RMSE"] == {0}  # lower
    assert best["delta1"] == {3}  # higher
    assert best["bias"] == {3}  # nearer to 1
    assert best["AbsRel"] == {0, 3}  # equal as printed


def test_nothing_is_best_of_one_model_nor_of_protocols() -> None:
    assert not tables.figures_table({"mine": result()}).bold
    table = tables.protocols_table("mine", {name: result(name) for name in ("hqmd", "fcrn")})
    assert not table.bold
    assert [row[0] for row in table.rows] == ["hqmd", *tables.ENDS, "fcrn", *tables.ENDS]
    for name in ("hqmd", "fcrn"):
        protocol = PROTOCOLS[name]
        assert f"protocol {name}: {protocol.recipe('filled')} (hash {protocol.digest})" in table.caption


def test_intervals_stand_under_the_figures() -> None:
    _, low, high, *_ = tables.figures_table(RESULTS).rows
    column = 1 + list(MAIN_METRICS).index("RMSE")
    assert 0.4 <= float(low[column]) < 0.5 < float(high[column]) <= 0.6
    assert "10,000 resamples" in tables.caption(RESULTS)


def test_csv_and_json_have_full_precision_and_intervals() -> None:
    (first, _) = csv_rows(written(".csv")["table.csv"])
    assert float(first["RMSE"]) == RESULTS["mine_1"].metrics["RMSE"] and first["n"] == "3"
    (as_json, _) = json.loads(written(".json")["table.json"])["models"]
    assert as_json["intervals"]["RMSE"] == [float(first["RMSE_low"]), float(first["RMSE_high"])]


def test_an_unknown_figure_is_never_best_and_is_valid_json() -> None:
    unknown = result()
    unknown.per_picture["edgeF1"][:] = np.nan
    both = {"unknown": unknown, "known": result()}
    assert tables.best_models(both)["edgeF1"] == {"known"}
    (first, _) = json.loads(written(".json", both)["table.json"], parse_constant=pytest.fail)["models"]
    assert first["metrics"]["edgeF1"] is None
    assert {comparison.metric for comparison in comparisons_of(both)} == set(PAIRED) - {"edgeF1"}


def test_pairs_stand_in_every_format() -> None:
    comparison = COMPARISONS[0]
    assert (comparison.metric, comparison.first, comparison.second) == ("RMSE", *RESULTS)
    table = comparisons_table(COMPARISONS, RESULTS)
    assert table.rows[0] == [
        *("RMSE [m] ↓", "mine_1", "runs/other[2]", "-0.0500", "-0.0500", "-0.0500", "100%", "0%", "3"),
        *("0.0002", "0.0002"),  # the least there is: of 10,000 resamples none is beyond 0
    ]
    files = {suffix: written(suffix) for suffix in FORMATS}
    assert "| RMSE [m] ↓ | mine_1 | runs/other[2] | -0.0500 |" in files[".md"]["table.md"]
    assert r"RMSE [m] $\downarrow$ & mine\_1 & runs/other[2] & -0.0500 &" in files[".tex"]["table.tex"]
    (first, *_) = csv_rows(files[".csv"]["table.pairs.csv"])
    (pair, *_) = json.loads(files[".json"]["table.json"])["pairs"]
    assert float(first["difference"]) == pair["difference"] == comparison.difference == pytest.approx(-0.05)
    assert first["protocol_hash"] == PROTOCOLS["hqmd"].digest


@pytest.mark.parametrize("suffix", FORMATS)
def test_one_model_has_no_pairs(suffix: str) -> None:
    files = written(suffix, {"mine_1": RESULTS["mine_1"]})
    assert list(files) == [f"table{suffix}"]
    assert "against" not in files[f"table{suffix}"] and '"pairs"' not in files[f"table{suffix}"]


def test_a_row_a_picture_and_model() -> None:
    rows = csv_rows(per_picture_csv(RESULTS))
    assert [(row["picture"], row["model"]) for row in rows] == [(name, model) for model in RESULTS for name in PICTURES]
    assert [float(row["RMSE"]) for row in rows[:3]] == RESULTS["mine_1"].per_picture["RMSE"].tolist()
    assert {row["pixels"] for row in rows} == {"100"}
    assert {row["protocol_hash"] for row in rows} == {PROTOCOLS["hqmd"].digest}
    assert {row["model"]: row["remark"] for row in rows} == {name: result.remark for name, result in RESULTS.items()}


ODD = Table(["name [x]", "a|b"], [["[bold]1_2%", "3"]], "90% of\n{it}", frozenset({(0, 1)}))


def test_what_looks_like_markup_is_text_in_every_format() -> None:
    screen = Console(width=60)
    with screen.capture() as capture:
        screen.print(for_screen(ODD))
    assert "[bold]1_2%" in capture.get() and "name [x]" in capture.get()
    assert as_markdown(ODD).splitlines() == [
        *("| name [x] | a\\|b |", "| :--- | ---: |", "| [bold]1_2% | **3** |", "", "90% of", "", "{it}")
    ]
    assert r"{[}bold]1\_2\% & \textbf{3} \\" in as_latex(ODD)


def test_latex_escapes_names_and_balances() -> None:
    text = as_latex(tables.figures_table(RESULTS))
    assert r"mine\_1" in text and r"95\%" in text
    assert text.count("{") == text.count("}") and text.count(r"\begin") == text.count(r"\end") == 2
    columns = 1 + len(MAIN_METRICS)
    assert all(line.count("&") == columns - 1 for line in text.splitlines() if line.endswith(r"\\"))


HOSTILE = ["[a]", r"a_b & 50 % #1 {x} ~^\ $", "λ + µ", "-0", '"q"', "<b>|</b>"]
DOCUMENT = r"""\documentclass{article}
\usepackage[T1]{fontenc}
\usepackage{booktabs}
\begin{document}
%s
\end{document}
"""


def hostile_tex() -> str:
    """All tables of models with hostile names, as one document."""
    results = {name: result(RMSE=0.5 + i / 100) for i, name in enumerate(HOSTILE)}
    files = FORMATS[".tex"](Path("t.tex"), results, comparisons_of(results), published_rows())
    return DOCUMENT % next(iter(files.values()))


def test_latex_is_read_by_a_parser() -> None:
    """Every table is a table with a tabular in it, and nothing is left over that a parser would stumble upon."""
    walker = LatexWalker(hostile_tex(), tolerant_parsing=False)
    nodes, _, _ = walker.get_latex_nodes()
    document = next(node for node in nodes if isinstance(node, LatexEnvironmentNode))
    found = [node for node in document.nodelist if isinstance(node, LatexEnvironmentNode)]
    assert [node.environmentname for node in found] == ["table"] * 3
    for table in found:
        inner = [node for node in table.nodelist if isinstance(node, LatexEnvironmentNode)]
        assert [node.environmentname for node in inner] == ["tabular"]


@pytest.mark.slow
@pytest.mark.skipif(not shutil.which("pdflatex"), reason="pdflatex is not installed")
def test_latex_compiles(tmp_path: Path) -> None:
    (tmp_path / "t.tex").write_text(hostile_tex(), encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "t.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0 and (tmp_path / "t.pdf").is_file(), done.stdout[-2000:]


def test_per_picture_in_parquet_says_what_the_csv_says(tmp_path: Path) -> None:
    from pyarrow.parquet import read_table

    unknown = result()
    unknown.per_picture["edgeF1"][1] = np.nan
    results = {"mine": unknown, "other": result(RMSE=0.7)}
    write_parquet(tmp_path / "p.parquet", results)
    table = read_table(tmp_path / "p.parquet")
    rows = csv_rows(per_picture_csv(results))
    assert table.column_names == list(rows[0]) and table.num_rows == len(rows) == 6
    for row, expected in zip(table.to_pylist(), rows, strict=True):
        assert row["picture"] == expected["picture"] and row["pixels"] == int(expected["pixels"])
        assert row["RMSE"] == float(expected["RMSE"])  # to the last digit
        assert row["edgeF1"] == (None if expected["edgeF1"] == "nan" else float(expected["edgeF1"]))
    assert table["edgeF1"].null_count == 1
    assert "hash b020299c" in table.schema.metadata[b"hqmd"].decode()
