"""Score what is judged on a dataset under a protocol."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.depth import require_depth
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.alignment import align
from hqmd_cli.evaluation.error_by_depth import sums_by_depth
from hqmd_cli.evaluation.masking import DoesNotFit, compared_prediction, compared_truth, require_fit
from hqmd_cli.evaluation.metrics.registry import EXTRA_PIXEL_METRICS, MAP_METRICS, PIXEL_METRICS, detail_scores
from hqmd_cli.evaluation.prediction_source import Judged, Map, Predict, judged_model, require_judgeable
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import NYU_FRAME
from hqmd_cli.evaluation.results import Result, Scored, collect
from hqmd_cli.evaluation.resume import ScoreLog
from hqmd_cli.evaluation.sanity.checks import fault
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.units import Kind


def evaluate(predict: Predict, dataset: Dataset, protocol: Protocol, flat: bool = False) -> Result:
    """Run `predict` over the dataset and aggregate each metric over the pictures; `flat` as in `score`.

    Raises HqmdError naming the picture when a prediction or its ground truth cannot be scored.
    """
    return collect(score_each(judged_model(predict), dataset, protocol, flat=flat), dataset, protocol)


def score_each(
    judged: Judged,
    dataset: Dataset,
    protocol: Protocol,
    detail: bool = False,
    by_depth: bool = False,
    log: ScoreLog | None = None,
    flat: bool = False,
) -> Iterator[Scored]:
    """One picture's figures after the other, for callers that show progress; the switches as in `score`.

    `log` knows those of a run that was stopped, and is told the others.
    Raises DoesNotFit where the protocol cannot judge such data or such predictions, HqmdError as `evaluate`.
    """
    require_fit(dataset, protocol)
    require_judgeable(judged, protocol)
    for index in range(len(dataset)):
        sample = dataset[index]
        scored = log.known(sample) if log else None
        if scored is None:
            scored = score(predicted(judged, sample, protocol), sample, protocol, judged.kind, detail, by_depth, flat)
            if log:
                log.add(sample, scored)
        yield scored


def score_under_each(
    judged: Judged, datasets: Mapping[str, Dataset], protocols: Iterable[Protocol]
) -> Iterator[dict[str, Scored | DoesNotFit]]:
    """As score_each under several protocols, each photo predicted once: name of the protocol -> figures or the reason.

    `datasets` are the same pictures by the kind of their ground truth.
    """
    protocols = list(protocols)
    for index in range(len(next(iter(datasets.values())))):
        samples = {ground_truth: dataset[index] for ground_truth, dataset in datasets.items()}
        any_sample = next(iter(samples.values()))
        pred = judged(any_sample)
        flips = judged.predict and any(protocol.flip for protocol in protocols)
        averaged = mirrored_too(judged, any_sample, pred) if flips else pred
        scores: dict[str, Scored | DoesNotFit] = {}
        for protocol in protocols:
            try:
                require_judgeable(judged, protocol)
                sample = samples[protocol.ground_truth]
                scores[protocol.name] = score(averaged if protocol.flip else pred, sample, protocol, judged.kind)
            except DoesNotFit as reason:
                scores[protocol.name] = reason
        yield scores


def predicted(judged: Judged, sample: Sample, protocol: Protocol) -> Map:
    """The map that a protocol asks for: of the photo, or averaged with that of its mirror image."""
    pred = judged(sample)
    return mirrored_too(judged, sample, pred) if protocol.flip else pred


def mirrored_too(judged: Judged, sample: Sample, pred: Map) -> Map:
    """The mean of a photo's map and of that of its mirror image, mirrored back. Only of what has a `predict`."""
    assert judged.predict
    mirrored = judged.predict(np.ascontiguousarray(sample.image[:, ::-1]))
    for each in (pred, mirrored):
        require_prediction(each, sample, judged.kind)
    return (pred + mirrored[:, ::-1]) / 2


class Compared(NamedTuple):
    """A picture as a protocol compares it, all (H, W) of the size at which it does."""

    pred_m: Map  # metres, aligned and clipped as the protocol says
    depth_m: NDArray[np.float32]  # metres, 0 where there is none
    scored: NDArray[np.bool_]  # the pixels that count


def as_scored(pred: Map, sample: Sample, protocol: Protocol, kind: Kind = "depth", flat: bool = False) -> Compared:
    """A prediction as it is scored, whatever the metric. Raises HqmdError as `score`."""
    require_prediction(pred, sample, kind, flat)
    depth_m, scored = compared_truth(sample, protocol)
    pred = compared_prediction(pred, protocol)
    try:
        pred_m = align(pred, depth_m, scored, protocol.alignment, kind == "disparity")
    except HqmdError as error:
        raise HqmdError(f"{sample.name}: {error}") from error
    return Compared(pred_m.clip(*protocol.clip_m) if protocol.clip_m else pred_m, depth_m, scored)


def score(
    pred_m: NDArray[np.floating],
    sample: Sample,
    protocol: Protocol,
    kind: Kind = "depth",
    detail: bool = False,
    by_depth: bool = False,
    flat: bool = False,
) -> Scored:
    """All metrics of one prediction, (H, W) metres like the truth, or of the kind `kind`.

    detail: those of boundaries.py, too, which take some 30 ms. Normals need a camera, which only NYU's frames tell.
    by_depth: the sums of error_by_depth.py, too.
    flat: take one depth everywhere, as a network of intervals may say when it has learnt little yet.

    Raises HqmdError for another size, for NaN, infinite, non-positive or constant predictions, and where the
    protocol leaves no valid pixel: none of these has an honest score.
    """
    pred_m, depth_m, scored = as_scored(pred_m, sample, protocol, kind, flat)
    pred, truth = pred_m[scored].astype(np.float64), depth_m[scored].astype(np.float64)
    if not (np.isfinite(pred).all() and pred.min() > 0):
        raise HqmdError(
            f"{sample.name}: depth that was fitted to the truth is not positive everywhere; protocol {protocol.name} "
            "needs clip_m"
        )
    of_pixels = {name: metric.compute(pred, truth) for name, metric in (PIXEL_METRICS | EXTRA_PIXEL_METRICS).items()}
    of_maps = {name: metric.compute(pred_m, depth_m, scored) for name, metric in MAP_METRICS.items()}
    if detail:
        camera = find_intrinsics(*depth_m.shape) if NYU_FRAME in protocol.frames else None
        drawn = sample.edges if sample.edges is None or sample.edges.shape == depth_m.shape else None
        of_maps |= detail_scores(pred_m, depth_m, scored, camera, drawn)
    sums = sums_by_depth(pred, truth) if by_depth else None
    return Scored(sample.name, len(pred), of_pixels | of_maps, sums)


def require_prediction(pred: Map, sample: Sample, kind: Kind = "depth", flat: bool = False) -> None:
    """Refuse what is no map of the sample's photo, or none of its kind."""
    if pred.shape != sample.depth_m.shape:
        raise HqmdError(f"{sample.name}: prediction is {pred.shape}, ground truth {sample.depth_m.shape}")
    if kind == "depth":
        require_depth(pred, sample.name)
    if complaint := fault(pred, kind, flat):
        raise HqmdError(f"{sample.name}: {complaint}")
