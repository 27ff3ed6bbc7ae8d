"""docs/audit.md: its commands run, and print what the page shows."""

import csv
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest

from docs_pages import PAGES
from hqmd_cli.reporting.literature import FILE

ROOT = Path(__file__).parents[1]
PAGE = PAGES["audit"]
# An indented command, with the block of what it prints, if one follows.
COMMANDS = re.findall(r"^    python (benchmarks/audit\.py .*)\n(?:\n```text\n((?:[^`].*\n)*)```)?", PAGE, re.MULTILINE)


@pytest.fixture(scope="module")
def frames(tmp_path_factory):
    """Two pairs of NYU's size: soft blots, the depth of a floor."""
    folder = tmp_path_factory.mktemp("frames")
    for name in ("rgb", "depth"):
        (folder / name).mkdir()
    for index in range(2):
        blots = np.random.default_rng(index).integers(0, 255, (6, 8, 3), np.uint8)
        cv2.imwrite(str(folder / "rgb" / f"{index}.png"), cv2.resize(blots, (640, 480)))
        depth_mm = np.linspace(6000, 1500 + 200 * index, 480)[:, None].repeat(640, axis=1)
        cv2.imwrite(str(folder / "depth" / f"{index}.png"), depth_mm.astype(np.uint16))
    (folder / "val.txt").write_text("0\n1\n")
    return folder


def test_every_job_is_on_the_page():
    jobs = [shlex.split(command)[1] for command, _ in COMMANDS]
    assert sorted(jobs) == ["absrel", "chosen", "collapsed", "factor", "split"]


@pytest.mark.slow
@pytest.mark.parametrize(("command", "shown"), COMMANDS, ids=[shlex.split(command)[1] for command, _ in COMMANDS])
def test_the_commands_print_what_the_page_shows(command, shown, frames):
    arguments = [str(frames) if word == "PAIRS" else word for word in shlex.split(command)]
    command_line = [sys.executable, *arguments]
    run = subprocess.run(command_line, cwd=ROOT, capture_output=True, text=True, timeout=280, check=True)
    if shown:
        assert run.stdout == shown
    elif "factor" in command:
        rows = [line.strip("| ").split(" | ") for line in run.stdout.splitlines()[2:]]
        assert [row[:2] for row in rows] == [
            [model, protocol] for model in ("hqmd-indoor", "hqmd-indoor-small") for protocol in ("eigen-filled", "hu")
        ]
        assert all(float(pooled) >= float(mean) > 0 for *_, mean, pooled, _ in rows)
    else:
        assert re.fullmatch(r"hqmd-indoor-small: AbsRel [\d.]+ by the truth, [\d.]+ by the prediction\n", run.stdout)


def test_the_rows_are_counted_as_the_page_says():
    def stated(protocol):
        if protocol in ("not stated", "of its authors"):
            return protocol
        return "region not stated" if protocol.startswith("region not stated") else "the region"

    with FILE.open(newline="", encoding="utf-8") as file:
        counts = Counter(stated(row["protocol"]) for row in csv.DictReader(file))
    table = PAGE[PAGE.index("| the source states | rows |") :]
    shown = [int(number) for number in re.findall(r"^\|.*\| (\d+) \|$", table, re.MULTILINE)[:4]]
    assert shown == [counts[name] for name in ("not stated", "of its authors", "region not stated", "the region")]
    assert f"adds {counts.total()} published rows" in PAGE


def test_the_factors_follow_from_the_two_averages():
    rows = re.findall(r"\| (\d\.\d{3}) \| (\d\.\d{3}) \| (\d\.\d\d) \|", PAGE)
    assert len(rows) >= 6
    assert all(float(pooled) / float(mean) == pytest.approx(float(factor), abs=0.006) for mean, pooled, factor in rows)
