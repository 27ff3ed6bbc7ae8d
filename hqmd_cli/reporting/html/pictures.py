"""The pictures of a report: photo, ground truth, and the depth and error of every model, as data: addresses."""

import base64
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.depth import valid_depth
from hqmd_cli.evaluation.evaluate import predict_sample
from hqmd_cli.evaluation.metrics.registry import MapPair
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.scoring import apply_protocol
from hqmd_cli.reporting.tables import Results
from hqmd_cli.visualization import DEFAULT_COLORMAP
from hqmd_cli.visualization.colormap import RGB, colorize, colours_of
from hqmd_cli.visualization.error_map import ENDS_OF_RANGE, colorize_error, error_colours, round_limit_m

MOST_PIXELS = 640 * 480  # of a picture in the page; larger ones are shrunk
WEBP: dict[str, Any] = {"format": "WEBP", "quality": 80, "method": 2}  # a third of a JPEG's size
FARTHEST_OFF = 2  # models may stretch the colours to this many times the truth's range


@dataclass(frozen=True)
class Layer:
    """A map or photo, encoded for the page."""

    name: str
    source: str  # data: address
    width: int  # pixels
    height: int


@dataclass(frozen=True)
class Pair:
    """Two layers that stand below each other: photo and truth, or a model's depth and its error."""

    title: str
    layers: tuple[Layer, Layer]


@dataclass(frozen=True)
class Picture:
    """A photo with its maps. All depths share one colour range, from near_m (bright) to far_m (dark).

    Pixels without depth, or that do not count, are transparent: the page shows stripes there, which no colormap has.
    """

    index: int  # in the dataset
    name: str
    near_m: float
    far_m: float
    pairs: list[Pair]


def draw_each(
    indices: Iterable[int],
    dataset: Dataset,
    sources: Mapping[str, PredictionSource],
    protocol: Protocol,
    limit_m: float,
) -> Iterator[Picture]:
    """Predict and draw one picture after the other; errors are coloured from -limit_m to limit_m."""
    for index in indices:
        sample = dataset[index]
        maps = {
            name: apply_protocol(predict_sample(source, sample, protocol), sample, protocol, source.kind)
            for name, source in sources.items()
        }
        yield draw(index, sample, maps, limit_m)


def draw(index: int, sample: Sample, maps: Mapping[str, MapPair], limit_m: float) -> Picture:
    """Draw a picture with every model's map as it was scored. All maps have the same truth."""
    any_map = next(iter(maps.values()))
    truth_m, scored = any_map.depth_m, any_map.scored
    near_m, far_m = depth_range_m(truth_m[scored], [each.pred_m[scored] for each in maps.values()])

    def depth_layer(name: str, depth_m: NDArray[np.floating]) -> Layer:
        return layer(name, colorize(depth_m, near_m, far_m), valid_depth(depth_m))

    pairs = [Pair("photo and truth", (layer("photo", sample.image), depth_layer("truth", truth_m)))]
    for name, each in maps.items():
        error = layer(f"error of {name}", colorize_error(each.pred_m - truth_m, limit_m), scored)
        pairs.append(Pair(name, (depth_layer(name, each.pred_m), error)))
    return Picture(index, sample.name, near_m, far_m, pairs)


def depth_range_m(truth_m: NDArray[np.floating], preds_m: Iterable[NDArray[np.floating]]) -> tuple[float, float]:
    """Return near and far for (T,) true depths and all predictions, which stretch it by FARTHEST_OFF at most."""
    near, far = np.percentile(truth_m, ENDS_OF_RANGE)
    ends = np.array([np.percentile(pred_m, ENDS_OF_RANGE) for pred_m in preds_m])
    lowest, highest = max(near / FARTHEST_OFF, ends.min()), min(far * FARTHEST_OFF, ends.max())
    return round(float(min(near, lowest)), 2), round(float(max(far, highest)), 2)


def error_limit_m(results: Results) -> float:
    """Return where the colours of errors end: twice the median RMSE of the models, rounded up.

    So few pixels lie beyond, and one bad model does not pale the others.
    """
    return round_limit_m(2 * float(np.median([result.aggregated("pooled")["RMSE"] for result in results.values()])))


def gradient(colours: NDArray[np.uint8]) -> str:
    """Write (256, 3) RGB as a CSS gradient of 16 colours from left to right."""
    chosen = colours[np.linspace(0, 255, 16).round().astype(int)]
    return f"linear-gradient(to right, {', '.join('rgb({} {} {})'.format(*colour) for colour in chosen)})"


def gradients() -> dict[str, str]:
    """Return the legends: depth from near to far, error from too near to too far."""
    return {"depth": gradient(colours_of(DEFAULT_COLORMAP)[::-1]), "error": gradient(error_colours())}


def layer(name: str, rgb: RGB, known: NDArray[np.bool_] | None = None) -> Layer:
    """Encode (H, W, 3) RGB, shrunk to MOST_PIXELS and transparent where `known`, (H, W), is False."""
    picture = rgb if known is None or known.all() else np.dstack([rgb, np.where(known, np.uint8(255), np.uint8(0))])
    height, width = rgb.shape[:2]
    if (shrink := (MOST_PIXELS / (height * width)) ** 0.5) < 1:
        height, width = max(1, round(height * shrink)), max(1, round(width * shrink))
        # A mean over areas would mix in the colours of holes.
        how = cv2.INTER_AREA if picture is rgb else cv2.INTER_NEAREST
        picture = cv2.resize(picture, (width, height), interpolation=how)
    return Layer(name, data_address(picture), width, height)


def data_address(picture: NDArray[np.uint8]) -> str:
    """Encode (H, W, 3) RGB or (H, W, 4) RGBA as a data: address, so that the page needs no other file."""
    encoded = io.BytesIO()
    Image.fromarray(picture).save(encoded, **WEBP)
    return f"data:image/webp;base64,{base64.b64encode(encoded.getvalue()).decode()}"
