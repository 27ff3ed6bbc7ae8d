"""Predictions for a few val pictures after each epoch: RUN_DIR/samples/epoch-003.png.

Pictures and colours depend on the truth alone, so they stay the same from epoch to epoch: flip through the files to see
what the network learned. Each picture is reduced as soon as it is predicted, to save memory.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import printable
from hqmd_cli.files.images import write_image
from hqmd_cli.geometry.resize import shrink
from hqmd_cli.visualization.colormap import NO_DEPTH_GREY, RGB, colorize, with_legend
from hqmd_cli.visualization.error_map import ENDS_OF_RANGE, colorize_error, round_limit_m
from hqmd_cli.visualization.panels import PANEL_HEIGHT, stacked, with_text

SAMPLES_FOLDER = "samples"
PICTURES = 4  # evenly spaced among those of val
ERROR_SHARE = 0.1  # of the farthest truth, rounded up: the largest error that the colours show
MOST_WIDTH = 4 * PANEL_HEIGHT  # pixels; a panorama is cut off there


class SampleRow(NamedTuple):
    """One val picture and its predicted depth, at the size of the panels (h, w)."""

    name: str
    image: RGB
    truth_m: NDArray[np.float32]  # 0 where unknown
    pred_m: NDArray[np.float32]
    rmse_m: float  # over all valid pixels of the full size; NaN if there are none


def write_samples(run_dir: Path, epoch: int, rows: Sequence[SampleRow]) -> Path:
    """Draw the rows and return the file's path. `epoch` counts from 0; the file's name counts from 1."""
    path = run_dir / SAMPLES_FOLDER / f"epoch-{epoch + 1:03}.png"
    write_image(path, sheet(rows))
    return path


def sample_row(sample: Sample, pred_m: NDArray[np.float32]) -> SampleRow:
    """Reduce a val picture and its predicted depth (H, W) to the size of the panels."""
    errors_m = (pred_m - sample.depth_m)[sample.valid].astype(np.float64)
    rmse_m = float(np.sqrt(np.mean(errors_m**2))) if errors_m.size else float("nan")
    height, width = sample.image.shape[:2]
    truth_m, pred_m = panel_map(np.where(sample.valid, sample.depth_m, np.float32(0))), panel_map(pred_m)
    image = shrink(sample.image, (PANEL_HEIGHT, max(1, round(width * PANEL_HEIGHT / height))))[:, :MOST_WIDTH]
    return SampleRow(sample.name, image, truth_m, pred_m, rmse_m)


def panel_map(depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """Resize (H, W) to a panel by the nearest pixel: a mean would mix holes with depth."""
    height, width = depth_m.shape
    size = (max(1, round(width * PANEL_HEIGHT / height)), PANEL_HEIGHT)
    return cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST)[:, :MOST_WIDTH]  # type: ignore[return-value]


def sheet(rows: Sequence[SampleRow]) -> RGB:
    """Draw one row for each picture: photo, truth, prediction in the truth's colours, error, and a legend.

    The error is grey where there is no truth.
    """
    truths_m = np.concatenate([row.truth_m[row.truth_m > 0] for row in rows])
    near_m, far_m = map(float, np.percentile(truths_m, ENDS_OF_RANGE)) if truths_m.size else (0.0, 10.0)
    lines = [f"{printable(row.name)}: RMSE {row.rmse_m:.3f} m" for row in rows]
    limit_m = round_limit_m(ERROR_SHARE * far_m)
    head = f"photo, truth, prediction; error: blue is {limit_m:g} m too near or more, red {limit_m:g} m too far or more"
    errors = [colorize_error(row.pred_m - row.truth_m, limit_m) for row in rows]
    for row, error in zip(rows, errors, strict=True):
        error[row.truth_m == 0] = NO_DEPTH_GREY
    widths = [2 * row.truth_m.shape[1] for row in rows]
    depths_m = np.hstack([depth_m for row in rows for depth_m in (row.truth_m, row.pred_m)])
    depths = np.split(colorize(depths_m, near_m, far_m), np.cumsum(widths)[:-1], axis=1)
    panels = [
        with_legend(np.hstack([row.image, depth, error]), near_m, far_m)
        for row, depth, error in zip(rows, depths, errors, strict=True)
    ]
    return with_text(stacked([with_text(*panel) for panel in zip(panels, lines, strict=True)]), head)
