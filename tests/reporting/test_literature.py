"""Published figures: transcribed as printed, apart from what was measured, and only beside NYU's data."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest

from hqmd_cli.data.sample import Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import evaluate
from hqmd_cli.evaluation.protocols import NYU_FRAME, PROTOCOLS, find_protocol
from hqmd_cli.reporting.comparison import FORMATS
from hqmd_cli.reporting.literature import literature_table, published_rows, require_nyu

FIGURES = published_rows()[0].figures


class Frames:
    """Two pictures of a size."""

    ground_truth, description = "filled", "fake.mat, test"

    def __init__(self, size):
        self.size, self.names, self.photos = size, ["a", "b"], []

    def __len__(self):
        return 2

    def __getitem__(self, index) -> Sample:
        ramp = np.linspace(1, 5, self.size[1], dtype=np.float32) * np.ones((self.size[0], 1), np.float32)
        return sample_from(self.names[index], np.zeros((*self.size, 3), np.uint8), ramp + index)


@pytest.fixture(scope="module")
def result():
    return evaluate(
        lambda image: np.linspace(1, 5, 640, dtype=np.float32) + np.ones((480, 1), np.float32),
        Frames(NYU_FRAME),
        find_protocol("eigen-filled"),
    )


def test_table_1_is_the_papers():
    rows = published_rows(only_table_1=True)
    assert len(rows) == 15
    by_method = {row.method: row.figures for row in rows}
    assert list(by_method["DORN [14]"].values()) == ["0.115", "0.051", "0.509", "", "0.828", "0.965", "0.992"]
    full = by_method["Baseline+ w/ full loss"]
    assert (full["AbsRel"], full["RMSE"], full["RMSElog"], full["delta1"]) == ("0.127", "0.468", "0.165", "0.841")
    assert by_method["Liu et al. [4]"]["RMSElog"] == ""
    sums = [sum(float(figures[name]) for figures in by_method.values() if figures[name]) for name in FIGURES]
    # Of the columns as printed.
    assert sums == pytest.approx([2.332, 0.692, 9.318, 2.142, 11.594, 14.067, 14.726], abs=1e-9)


def test_every_row_has_a_source_a_protocol_and_plausible_figures():
    rows = published_rows()
    assert len(rows) > 80
    for row in rows:
        assert row.source and row.protocol and "memory" not in row.source
        figures = {name: float(text) for name, text in row.figures.items() if text}
        assert figures, row
        deltas = [figures[name] for name in ("delta1", "delta2", "delta3") if name in figures]
        assert deltas == sorted(deltas) and all(0 < value <= 1 for value in deltas)
        assert all(0 < figures[name] < 2 for name in ("AbsRel", "RMSE") if name in figures)
    assert {"hqmd", "eigen-raw"} <= {row.protocol for row in rows} & PROTOCOLS.keys()


def test_they_are_a_table_of_their_own(result):
    rows = published_rows(only_table_1=True)
    table = literature_table(rows, result)
    assert not table.bold and len(table.rows) == len(rows)
    assert "do not rank" in table.caption and "fake.mat, test has 2" in table.caption
    assert "none of these rows state it" in table.caption


@pytest.mark.parametrize("suffix", FORMATS)
def test_in_every_format_apart(result, suffix):
    rows = published_rows(only_table_1=True)
    files = FORMATS[suffix](Path("table").with_suffix(suffix), {"mine": result}, [], rows)
    text = "\n".join(files.values())
    assert "DORN" in text and "mine" in text
    if suffix == ".csv":
        assert [path.name for path in files] == ["table.csv", "table.published.csv"]
        assert len(list(csv.reader(files[Path("table.published.csv")].splitlines()))) == 16
    if suffix == ".json":
        plain = json.loads(text)
        assert len(plain["models"]) == 1 and plain["published"][0]["metrics"]["log10"] is None


def test_other_data_is_refused(hqmd, pairs, trained_run):
    require_nyu(Frames(NYU_FRAME))
    with pytest.raises(HqmdError, match="is other data"):
        require_nyu(Frames((48, 64)))
    flags = ("--model", trained_run / "best", "--data", pairs, "--split", "val")
    refused = hqmd("evaluate", *flags, "--table1")
    assert refused.returncode == 1 and "published figures are of NYU" in refused.stderr and not refused.stdout
