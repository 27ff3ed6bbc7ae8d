"""Calibrate a model on held-out photos: its depth d becomes c d^p metres.

The power p is needed because networks avoid extremes: in photos unlike those they learned from, near things come out
too far and far things too near. The same two numbers serve all photos; neither the predicted photo nor its truth
changes them. More numbers would overfit: on NYU's validation rooms a curve in log depth, or one that depends on the
place in the picture, fitted better and predicted worse (docs/notebook.md).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints.config_file import read_model_config
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import DEFAULT_SIZE, View
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import predict_sample
from hqmd_cli.evaluation.how_sure import Picture, Verdict, cross_fitted, fitted, watched
from hqmd_cli.evaluation.metrics.pixels import Depths, abs_rel, bias, rmse
from hqmd_cli.evaluation.prediction_source import PredictionSource, model_source
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.scoring import apply_protocol
from hqmd_cli.evaluation.session import Session
from hqmd_cli.inference.engines.select import open_engine
from hqmd_cli.inference.predictor import DepthPredictor

FEWEST_PHOTOS = 20  # from which a power, or errors, can be fitted
POWERS = np.arange(0.7, 1.501, 0.01).round(2)
PIXELS = 5000  # of a picture


@dataclass(frozen=True)
class CalibrationOptions:
    """Options for a calibration; None leaves the model's own setting."""

    size: str = DEFAULT_SIZE  # a preset of this name is set or added
    sides: tuple[int, ...] = ()  # empty: the model's own
    detail_sides: tuple[int, ...] = ()  # empty: the model's own
    flip: bool | None = None
    edge_share: float | None = None
    size_multiple: int | None = None
    power: float | None = None  # None: fit it, if there are FEWEST_PHOTOS


def calibrate(
    folder: Path, session: Session, options: CalibrationOptions, device: str = "auto", also: Sequence[Session] = ()
) -> tuple[ModelConfig, Result, list[Verdict]]:
    """Find c and p for a checkpoint folder, and how wrong depth still is: return its new settings, and the figures.

    `also` are sets of other photos for the errors alone. Of each set, that of `session` first, there is a verdict on
    the errors; there are none if its photos are too few. Writes nothing.

    Raises HqmdError for options that contradict each other or the model, and under a protocol that aligns depth.
    """
    dataset, protocol, size = session.dataset, session.protocol, options.size
    if protocol.alignment != "none":
        raise HqmdError(f"protocol {protocol.name} aligns depth to the truth, which leaves no bias to measure")
    settings = with_options(read_model_config(folder), options)
    engine = open_engine(folder, "auto", device)

    def source(settings: ModelConfig, protocol: Protocol, pictures: list[Picture] | None = None) -> PredictionSource:
        predictor = DepthPredictor(engine, settings.at_size(size))
        if pictures is None:
            return model_source(predictor, follows_camera=True)
        return watched(predictor, protocol, pictures)

    def measured(settings: ModelConfig, session: Session = session, pictures: list[Picture] | None = None) -> Result:
        shown = source(settings, session.protocol, pictures)
        return replace(session, sources={folder.name: shown}).score()[folder.name]

    power = options.power
    if power is None and len(dataset) < FEWEST_PHOTOS:
        session.note(f"power: {len(dataset)} photos are too few to fit it, depth is only multiplied")
        power = 1.0
    if power is None:
        pairs = depth_pairs(source(with_law(settings, options, 1, 1), protocol), dataset, protocol)
        power = best_power(list(session.progress(pairs, "power", len(dataset))), protocol.clip_m)
        if power in (POWERS[0], POWERS[-1]):
            session.note(f"power: {power:g} is the last that is tried; check the model before you keep it")
    factor = 1 / measured(with_law(settings, options, 1, power)).metrics["bias"]
    settings = with_law(settings, options, round(factor, 4), power)
    sets: list[list[Picture]] = [[] for _ in (session, *also)]
    result, *_ = [measured(settings, *each) for each in zip((session, *also), sets, strict=True)]
    if min(map(len, sets)) < FEWEST_PHOTOS:
        session.note(f"how sure: measured on {FEWEST_PHOTOS} photos or more; this model does not know it")
        return settings, result, []
    view = settings.at_size(size).view
    return settings.with_view(size, fitted(view, sets)), result, cross_fitted(view, sets)


def with_options(settings: ModelConfig, options: CalibrationOptions) -> ModelConfig:
    """Apply the options that hold for all sizes. Raises HqmdError for contradictions."""
    edge_share, size_multiple = options.edge_share, options.size_multiple
    if options.size != DEFAULT_SIZE and (edge_share is not None or size_multiple is not None):
        raise HqmdError("--edges and --multiple apply to all sizes: give them without --size")
    if options.detail_sides and options.size == DEFAULT_SIZE:
        raise HqmdError("--detail-side is for presets: give it with --size NAME")
    if is_new(settings, options.size) and not options.sides:
        raise HqmdError(f"--size {options.size}: the model has no such preset yet; define it with --side")
    if edge_share is not None:
        settings = settings.with_edge_share(edge_share)
    return settings if size_multiple is None else settings.with_settings(size_multiple=size_multiple)


def is_new(settings: ModelConfig, size: str) -> bool:
    """True if the model has no preset of that name."""
    return size != DEFAULT_SIZE and size not in settings.presets


def with_law(settings: ModelConfig, options: CalibrationOptions, factor: float, power: float) -> ModelConfig:
    """Set c and p of the chosen size, and its sides and flip where the options state them."""
    new = is_new(settings, options.size)
    before = (settings if new else settings.at_size(options.size)).view
    flip = before.flip and not new if options.flip is None else options.flip
    sides, detail_sides = options.sides or before.sides, options.detail_sides or before.detail_sides
    view = View(sides, detail_sides, flip, factor, power, settings.view.edge_share)
    return settings.with_view(options.size, view)


def depth_pairs(source: PredictionSource, dataset: Dataset, protocol: Protocol) -> Iterator[tuple[Depths, Depths]]:
    """Yield, for each picture, predicted metres, not clipped, and the truth at about PIXELS evenly spaced pixels."""
    unclipped = replace(protocol, clip_m=None)
    for index in range(len(dataset)):
        sample = dataset[index]
        pred_m, depth_m = apply_protocol(
            predict_sample(source, sample, protocol), sample, unclipped, source.kind
        ).pixels
        stride = -(-len(pred_m) // PIXELS)
        yield pred_m[::stride], depth_m[::stride]


def best_power(pairs: Sequence[tuple[Depths, Depths]], clip_m: tuple[float, float] | None) -> float:
    """Find the power of POWERS with the least RMSE times AbsRel, both means over pictures, after bias is made 1.

    The product balances the two: RMSE depends on what is far, AbsRel on what is near.
    """
    return min(map(float, POWERS), key=lambda power: (error_with(power, pairs, clip_m), abs(power - 1)))


def error_with(power: float, pairs: Sequence[tuple[Depths, Depths]], clip_m: tuple[float, float] | None) -> float:
    """Compute RMSE in metres times AbsRel with a power and the factor that makes the bias 1."""
    bent = [(pred_m**power, depth_m) for pred_m, depth_m in pairs]
    factor = 1 / np.mean([bias(*pair) for pair in bent])
    errors: list[NDArray[np.float64]] = []
    for pred_m, depth_m in bent:
        metres = (factor * pred_m).clip(*clip_m) if clip_m else factor * pred_m
        errors.append(np.array([rmse(metres, depth_m), abs_rel(metres, depth_m)]))
    return float(np.prod(np.mean(errors, axis=0)))
