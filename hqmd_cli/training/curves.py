"""Curves of a run's history: history.jsonl -> curves.png."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.run_folder import Row, best_row, points_of
from hqmd_cli.files.images import figure_text, write_figure

if TYPE_CHECKING:
    from matplotlib.figure import Figure

CURVES_FILE = "curves.png"
COLUMNS = 3
# Key of a row -> title of its panel. A key that no row has gets no panel.
PANELS = {
    "loss": "training loss",
    "RMSE": "val RMSE, metres",
    "AbsRel": "val AbsRel",
    "delta1": "val delta1",
    "lr": "learning rate",
}


def write_curves(run_dir: Path, rows: Sequence[Row]) -> None:
    """Draw the rows of a run's history into its folder; without rows, write no file."""
    if rows:
        write_figure(run_dir / CURVES_FILE, curves(rows, run_dir.resolve().name))


def curves(rows: Sequence[Row], title: str) -> "Figure":
    """Plot each of PANELS over the steps, with a dotted line at the step of `best`."""
    from matplotlib.figure import Figure

    shown = {key: points for key in PANELS if (points := points_of(rows, key))}
    lines = max(1, math.ceil(len(shown) / COLUMNS))
    figure = Figure((4 * COLUMNS, 3 * lines + 0.3), layout="constrained", dpi=100)
    best = best_row(rows)
    for place, (key, points) in enumerate(shown.items(), start=1):
        axis = figure.add_subplot(lines, COLUMNS, place)
        # Few epochs get a dot each, since a single point draws no line.
        axis.plot(*zip(*points, strict=True), marker="o" if len(points) <= 40 else "", markersize=3, linewidth=1.2)
        axis.set_title(PANELS[key], fontsize=9)
        axis.set_xlabel("step", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.3)
        if best:
            axis.axvline(best["step"], color="grey", linestyle=":", linewidth=1)
    figure.suptitle(figure_text(title), fontsize=10)
    return figure
