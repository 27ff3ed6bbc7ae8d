"""What a network in training sees in a few val pictures, an epoch a picture: RUN_DIR/samples/epoch-003.png.

The pictures and all colours are the same in every epoch, for they follow from the truth alone: one file laid over the
next shows what was learned. A few maps are in memory at once, and reduced before the next picture is read.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, evenly
from hqmd_cli.errors import printable
from hqmd_cli.files.images import write_image
from hqmd_cli.visualization.colormap import NO_DEPTH_GREY, RGB, colorize, with_legend
from hqmd_cli.visualization.error_map import ENDS_OF_RANGE, colorize_error, round_limit_m
from hqmd_cli.visualization.panels import PANEL_HEIGHT, stacked, to_panel_height, with_text

SAMPLES_FOLDER = "samples"
PICTURES = 4  # an epoch
ERROR_SHARE = 0.1  # of the farthest truth: an error at which its colours end, rounded up
MOST_WIDTH = 4 * PANEL_HEIGHT  # of a panel, pixels: a panorama is not to blow up the file


@dataclass(frozen=True)
class Seen:
    """One val picture at the size of its panels (h, w)."""

    name: str
    image: RGB
    truth_m: NDArray[np.float32]  # 0 where there is none
    pred_m: NDArray[np.float32]
    rmse_m: float  # of all pixels with truth, before the reduction; NaN without any


def write_epoch_picture(
    predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]], val_data: Dataset, run_dir: Path, epoch: int
) -> Path:
    """Predict the few, draw them, and write epoch `epoch` (from 0, named from 1 as it is shown); the file's path."""
    seen = [look(predict, val_data, index) for index in evenly(len(val_data), PICTURES)]
    path = run_dir / SAMPLES_FOLDER / f"epoch-{epoch + 1:03}.png"
    write_image(path, sheet(seen))
    return path


def look(predict: Callable[[NDArray[np.uint8]], NDArray[np.float32]], val_data: Dataset, index: int) -> Seen:
    """One picture with what is predicted for it, reduced."""
    sample = val_data[index]
    pred_m = predict(sample.image)
    errors_m = (pred_m - sample.depth_m)[sample.valid].astype(np.float64)
    rmse_m = float(np.sqrt(np.mean(errors_m**2))) if errors_m.size else float("nan")
    image = to_panel_height(sample.image)[:, :MOST_WIDTH]
    truth_m = np.where(sample.valid, sample.depth_m, np.float32(0))
    return Seen(sample.name, image, panel_map(truth_m), panel_map(pred_m), rmse_m)


def panel_map(depth_m: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) -> a panel's size. The nearest pixel: a mean would mix holes with depth."""
    height, width = depth_m.shape
    size = (max(1, round(width * PANEL_HEIGHT / height)), PANEL_HEIGHT)
    return cv2.resize(depth_m, size, interpolation=cv2.INTER_NEAREST)[:, :MOST_WIDTH]  # type: ignore[return-value]


def sheet(seen: Sequence[Seen]) -> RGB:
    """A row a picture: photo, truth, prediction in the truth's colours, error, and the colours' range."""
    truths_m = np.concatenate([one.truth_m[one.truth_m > 0] for one in seen])
    near_m, far_m = map(float, np.percentile(truths_m, ENDS_OF_RANGE)) if truths_m.size else (0.0, 10.0)
    limit_m = round_limit_m(ERROR_SHARE * far_m)
    rows = [row_of(one, near_m, far_m, limit_m) for one in seen]
    head = f"photo, truth, prediction; error: blue is {limit_m:g} m too near or more, red {limit_m:g} m too far or more"
    return with_text(stacked(rows), head)


def row_of(one: Seen, near_m: float, far_m: float, limit_m: float) -> RGB:
    """One picture's panels; the error is grey where there is no truth."""
    error = colorize_error(one.pred_m - one.truth_m, limit_m)
    error[one.truth_m == 0] = NO_DEPTH_GREY
    depths = [colorize(depth_m, near_m, far_m) for depth_m in (one.truth_m, one.pred_m)]
    panels = with_legend(np.hstack([one.image, *depths, error]), near_m, far_m)
    return with_text(panels, f"{printable(one.name)}: RMSE {one.rmse_m:.3f} m")
