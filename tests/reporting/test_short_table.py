"""The table on the screen: half-widths, marks of the paired test, and columns that leave in their order."""

from dataclasses import replace

import numpy as np
import pytest
from rich.console import Console

from hqmd_cli.evaluation.metrics.registry import MAIN_METRICS, METRICS, SPACES
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.significance import PAIRED, comparisons_of
from hqmd_cli.reporting.short_table import COLUMNS, short_protocols_table, short_table, spaces_table
from hqmd_cli.reporting.table_formats import for_screen
from hqmd_cli.reporting.tables import as_csv, detail_table, figures_table

PICTURES = 40
SPREAD = np.random.default_rng(0).normal(0, 0.05, PICTURES)
SPREAD -= SPREAD.mean()


def result(spread: np.ndarray = SPREAD, protocol: str = "hqmd", **figures: float) -> Result:
    per_picture = {name: figures.get(name, 0.6) + spread for name in MAIN_METRICS}
    names = [str(picture) for picture in range(PICTURES)]
    return Result(PROTOCOLS[protocol], "pairs, val", "filled", names, per_picture, np.full(PICTURES, 100))


def shown(results: dict[str, Result], width: int) -> tuple[list[str], dict[str, list[str]], str]:
    table = short_table(results, comparisons_of(results) if len(results) > 1 else [], width)
    return table.heads, {row[0]: row[1:] for row in table.rows}, table.caption


def test_a_cell_is_the_figure_and_half_its_interval() -> None:
    one = result(RMSE=1.2, AbsRel=0.15)
    _, rows, _ = shown({"mine": one}, 200)
    for place, (metric, figure) in enumerate({"RMSE": "1.", "AbsRel": "."}.items()):
        value, (low, high) = one.metrics[metric], one.intervals[metric]
        cell = rows["mine"][place]
        assert cell.startswith(figure) and len(cell.split(" ±")) == 2
        assert [float(part) for part in cell.split(" ±")] == pytest.approx([value, (high - low) / 2], abs=5e-4)


def test_the_best_and_its_ties_are_marked() -> None:
    noise = np.random.default_rng(1).normal(0, 0.3, PICTURES)
    noise -= noise.mean()
    results = {"best": result(RMSE=0.5), "tie": result(SPREAD + noise, RMSE=0.51), "worse": result(RMSE=0.7)}
    _, rows, caption = shown(results, 200)
    assert [rows[name][0][-1] for name in ("best", "tie")] == ["*", "="]
    assert rows["worse"][0][-1].isdigit()
    assert caption.startswith("best in RMSE: best, tied with tie; best in AbsRel, delta1, edgeF1: ")
    assert "* best; = tied: the paired test cannot tell it from the best" in caption
    untested = [row[len(PAIRED) :] for row in rows.values()]
    assert all(cell[-1].isdigit() for row in untested for cell in row)
    assert "bias, log10, RMSElog, delta2, delta3: not tested" in caption


def test_one_model_and_protocols_have_no_marks() -> None:
    _, rows, caption = shown({"mine": result()}, 200)
    assert "paired" not in caption and all(cell[-1].isdigit() for cell in rows["mine"])
    table = short_protocols_table("mine", {name: result(protocol=name) for name in ("hqmd", "fcrn")}, 200)
    assert [row[0] for row in table.rows] == ["hqmd", "fcrn"] and not table.bold
    assert "pooled over pixels (hash b53fc755)" in table.caption


@pytest.mark.parametrize("width", [20, 60, 80, 100, 140])
@pytest.mark.parametrize("name", ["m", "a/rather/long/folder/of/a/model"])
def test_columns_leave_in_their_order_until_the_table_fits(width: int, name: str) -> None:
    results = {name: result(bias=1.0), "other": result(bias=0.7)}
    heads, _, caption = shown(results, width)
    count = len(heads) - 1
    assert [head.split()[0] for head in heads[1:]] == list(COLUMNS[:count])
    hidden = COLUMNS[count:]
    assert (f"not shown in this width: {', '.join(hidden)}; --detail shows all" in caption) == bool(hidden)
    console = Console(width=width, color_system=None)
    with console.capture() as capture:
        console.print(for_screen(short_table(results, comparisons_of(results), width), lines=False))
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= width
    assert all(head in lines[0] or width < 60 for head in ("RMSE", "AbsRel")[:count])
    assert ".600" in "".join(lines) or width < 60


def test_an_unknown_figure_says_so() -> None:
    results = {"mine": result(edgeF1=np.nan), "other": result(edgeF1=np.nan)}
    _, rows, _ = shown(results, 200)
    assert rows["mine"][COLUMNS.index("edgeF1")] == "unknown"


def test_every_main_metric_has_a_column() -> None:
    assert set(COLUMNS) == set(MAIN_METRICS)


@pytest.mark.parametrize(("count", "warned"), [(29, True), (30, False)])
def test_a_small_set_is_called_one(count: int, warned: bool) -> None:
    small = result()
    few = Result(
        small.protocol,
        small.data,
        small.ground_truth,
        small.names[:count],
        {name: values[:count] for name, values in small.per_picture.items()},
        small.pixels[:count],
    )
    assert (f"only {count} pictures" in short_table({"mine": few}, [], 200).caption) == warned
    assert (f"only {count} pictures" in short_protocols_table("mine", {"hqmd": few}, 200).caption) == warned


def test_the_wider_interval_is_shown_and_said() -> None:
    """Four scenes of ten pictures; only RMSE is the same within a scene."""
    by_scene = np.repeat([-0.1, 0.1, 0.05, -0.05], 10)
    noise = np.random.default_rng(4).permutation(SPREAD)
    values = {name: 0.6 + (by_scene if name == "RMSE" else noise) for name in MAIN_METRICS}
    scenes = tuple(str(picture // 10) for picture in range(PICTURES))
    mine = replace(result(), per_picture=values, scenes=scenes)
    assert "RMSE" in mine.wider_by_scene and mine.wider_by_scene < set(MAIN_METRICS)
    _, rows, caption = shown({"mine": mine}, 200)
    low, high = mine.scene_intervals["RMSE"]
    assert float(rows["mine"][0].split(" ±")[1]) == pytest.approx((high - low) / 2, abs=5e-4)
    count = len(mine.wider_by_scene)
    assert f"and over 4 scenes; the wider is shown, that over scenes for {count} of {len(COLUMNS)} figures" in caption
    assert "only 4 scenes: do not rank models by so few" in caption
    table = figures_table({"mine": mine})
    assert [row[0] for row in table.rows] == ["mine", "95 % from", "to", "over scenes from", "to"]
    head, line = as_csv({"mine": mine}).splitlines()[:2]
    assert float(dict(zip(head.split(","), line.split(","), strict=False))["RMSE_scene_low"]) == low


def test_three_spaces_stand_side_by_side_with_their_recipes() -> None:
    values = {name: np.full(PICTURES, 0.1 if name == "AbsRelScaled" else 0.2) for name in METRICS}
    table = spaces_table(
        {"mine": replace(result(), per_picture=values), "other": replace(result(), per_picture=values)}
    )
    assert [head.split()[0] for head in table.heads[1:]] == list(SPACES)
    assert table.rows[0][1:4] == [".200 ±.000", ".100 ±.000", ".200 ±.000"]
    assert "clamped to 0.001 m at least" in table.caption and "clamped to the farthest truth" in table.caption
    assert "nothing is clamped" in table.caption


def test_what_is_unknown_is_left_out_of_the_detail_and_said() -> None:
    values = {name: np.full(PICTURES, np.nan if name.startswith("plane") else 0.2) for name in METRICS}
    table = detail_table({"mine": replace(result(), per_picture=values)})
    assert not any(row[0].startswith("plane") for row in table.rows)
    assert table.rows[0][1] == "0.2000 (0.2000 to 0.2000)"
    assert "left out, unknown here: planeFlatness, planeAngle (" in table.caption
