"""Tables: each format names protocol and data, marks the best, and survives odd names and unknown figures."""

import csv
import io
import json

import numpy as np
import pytest

from hqmd_cli import tables
from hqmd_cli.evaluation import Result
from hqmd_cli.metrics import METRICS
from hqmd_cli.protocol import PROTOCOLS

PICTURES = ["a", "b", "c"]


def result(**figures: float) -> Result:
    """Three pictures: every metric 0.5, 0.6, 0.7 around the given means."""
    per_picture = {name: figures.get(name, 0.6) + np.array([-0.1, 0, 0.1]) for name in METRICS}
    return Result(PROTOCOLS["hqmd"], "some [old] data_1, val", "filled", PICTURES, per_picture)


RESULTS = {"mine_1": result(RMSE=0.5, delta1=0.7, bias=1.2), "runs/other[2]": result(RMSE=0.55, delta1=0.8, bias=0.9)}


@pytest.mark.parametrize("suffix", tables.FORMATS)
def test_every_format_names_models_protocol_and_data(suffix: str) -> None:
    plain = tables.FORMATS[suffix](RESULTS).replace("\\", "")
    for word in (*RESULTS, "hqmd", "filled ground truth, whole picture", "some [old] data_1, val"):
        assert word in plain


def test_the_best_is_bold_by_the_metrics_own_direction() -> None:
    mine, _, _, other, *_ = tables.rows(RESULTS, "*{}*".format)
    by_metric = {name: (mine[i + 1], other[i + 1]) for i, name in enumerate(METRICS)}
    assert by_metric["RMSE"] == ("*0.5000*", "0.5500")  # lower
    assert by_metric["delta1"] == ("0.7000", "*0.8000*")  # higher
    assert by_metric["bias"] == ("1.2000", "*0.9000*")  # nearer to 1
    assert by_metric["AbsRel"] == ("*0.6000*", "*0.6000*")  # equal as printed


def test_nothing_is_best_of_one() -> None:
    assert "*" not in "".join(tables.rows({"mine": result()}, "*{}*".format)[0])


def test_intervals_stand_under_the_figures() -> None:
    _, low, high, *_ = tables.rows(RESULTS, str)
    column = 1 + list(METRICS).index("RMSE")
    assert 0.4 <= float(low[column]) < 0.5 < float(high[column]) <= 0.6
    assert "10,000 resamples" in tables.caption(RESULTS)


def test_csv_and_json_have_full_precision_and_intervals() -> None:
    (first, _) = csv.DictReader(io.StringIO(tables.as_csv(RESULTS)))
    assert float(first["RMSE"]) == RESULTS["mine_1"].metrics["RMSE"] and first["n"] == "3"
    (as_json, _) = json.loads(tables.as_json(RESULTS))
    assert as_json["intervals"]["RMSE"] == [float(first["RMSE_low"]), float(first["RMSE_high"])]


def test_an_unknown_figure_is_never_best_and_is_valid_json() -> None:
    unknown = result()
    unknown.per_picture["edgeF1"][:] = np.nan
    both = {"unknown": unknown, "known": result()}
    assert tables.best_models(both)["edgeF1"] == {"known"}
    assert json.loads(tables.as_json(both), parse_constant=pytest.fail)[0]["metrics"]["edgeF1"] is None


def test_latex_escapes_names_and_balances() -> None:
    text = tables.as_latex(RESULTS)
    assert r"mine\_1" in text and r"95\%" in text
    assert text.count("{") == text.count("}") and text.count(r"\begin") == text.count(r"\end") == 2
    columns = 1 + len(METRICS)
    assert all(line.count("&") == columns - 1 for line in text.splitlines() if line.endswith(r"\\"))
