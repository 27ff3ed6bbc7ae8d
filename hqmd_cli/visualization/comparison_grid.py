"""Photos, ground truth and the depth of several models side by side, as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.files.images import figure_text
from hqmd_cli.visualization.colormap import MATPLOTLIB_COLORMAP

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@dataclass(frozen=True)
class GridRow:
    """One photo with its depth maps: the ground truth (0 = no depth) first, then one map per model."""

    name: str
    image: NDArray[np.uint8]  # (H, W, 3)
    depths_m: Sequence[NDArray[np.floating]]  # each (H, W)


def comparison_grid(rows: Sequence[GridRow], titles: Sequence[str], caption: str) -> "Figure":
    """Draw photo, ground truth and models side by side, one row per photo (paper, figure 2).

    All maps share the colour range of the ground truth, which the bar shows in metres.
    """
    from matplotlib.figure import Figure

    known = np.concatenate([row.depths_m[0][row.depths_m[0] > 0] for row in rows])
    near_m, far_m = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    columns = len(titles) + 2
    height, width = rows[0].image.shape[:2]
    cell = 2.4  # inches per picture; the bar stands beside them, the caption below
    figure = Figure((cell * columns + 1, cell * height / width * len(rows) + 1), layout="constrained", dpi=120)
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for cells, row in zip(axes, rows, strict=True):
        cells[0].imshow(row.image)
        cells[0].set_ylabel(figure_text(row.name), fontsize=8)
        for cell, depth_m in zip(cells[1:], row.depths_m, strict=True):
            shown = cell.imshow(
                np.where(depth_m > 0, depth_m, np.nan), cmap=MATPLOTLIB_COLORMAP, vmin=near_m, vmax=far_m
            )
        for cell in cells:
            cell.set_xticks([])
            cell.set_yticks([])
    for cell, title in zip(axes[0], ["photo", "ground truth", *titles], strict=True):
        cell.set_title(figure_text(title), fontsize=9)
    figure.colorbar(shown, ax=axes, label="metres", shrink=0.8, pad=0.01)
    figure.supxlabel(fill(figure_text(caption), width=36 * columns), fontsize=7)
    return figure
