"""Score a source of predictions on a dataset, under one protocol or several."""

from collections.abc import Iterable, Iterator, Mapping

from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.omissions import Omissions
from hqmd_cli.evaluation.prediction_source import NOTHING, Map, Predict, PredictionSource, model_source, scaled
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.results import Result, ScoredPicture, collect
from hqmd_cli.evaluation.resume import ScoreLog
from hqmd_cli.evaluation.scoring import (
    DoesNotFit,
    NoTruth,
    compared_truth,
    require_compatible,
    require_ground_truth,
    require_prediction,
    score,
)
from hqmd_cli.inference.open import mirrored


def evaluate(predict: Predict, dataset: Dataset, protocol: Protocol, accept_flat: bool = False) -> Result:
    """Run `predict` over the dataset and aggregate each metric over the pictures; `accept_flat` as in `score`.

    Raises HqmdError naming the picture when a prediction or its ground truth cannot be scored.
    """
    scores = score_each(model_source(predict), dataset, protocol, accept_flat=accept_flat)
    return collect(scores, dataset, protocol)


def score_each(
    source: PredictionSource,
    dataset: Dataset,
    protocol: Protocol,
    detail: bool = False,
    by_depth: bool = False,
    log: ScoreLog | None = None,
    accept_flat: bool = False,
    omissions: Omissions | None = None,
) -> Iterator[ScoredPicture]:
    """Yield the figures of one picture after the other; the switches are those of `score`.

    `log` supplies the figures of a run that was stopped, and records the others. `omissions` takes note of pictures
    that are left out; without it they are errors. Raises DoesNotFit if the protocol cannot be applied to the data or
    the predictions, HqmdError as `evaluate` does.
    """
    require_ground_truth(dataset, protocol)
    require_compatible(source, protocol)
    for index in range(len(dataset)):
        try:
            sample = dataset[index]
            if omissions and (sample.masked or sample.remarks):
                omissions.note(index, sample)
            truth = compared_truth(sample, protocol)  # before the time that a prediction takes
        except HqmdError as reason:
            if omissions is None or (isinstance(reason, DoesNotFit) and not isinstance(reason, NoTruth)):
                raise
            omissions.add(index, reason)
            continue
        scored = log.known(sample) if log else None
        if scored is None:
            pred, said = source.tells(sample) if detail and source.tells else (source.map_of(sample), NOTHING)
            if protocol.flip:
                pred = average_with_mirrored(source, sample, pred)
            scored = score(pred, sample, protocol, source.kind, detail, by_depth, accept_flat, truth, said)
            if log:
                log.add(sample, scored)
        yield scored


def score_under_each(
    source: PredictionSource,
    datasets: Mapping[str, Dataset],
    protocols: Iterable[Protocol],
    omissions: Omissions | None = None,
) -> Iterator[dict[str, ScoredPicture | DoesNotFit]]:
    """Yield, for each picture, its figures by name of the protocol, or the reason why that protocol does not fit.

    Each photo is predicted once. `datasets` are the same pictures by the kind of their ground truth. `omissions` takes
    note of damaged ones. Raises HqmdError as `evaluate` does.
    """
    protocols = list(protocols)
    omissions = omissions or Omissions(len(next(iter(datasets.values()))))
    for index in range(len(next(iter(datasets.values())))):
        read = {ground_truth: omissions.read(dataset, index) for ground_truth, dataset in datasets.items()}
        samples = {ground_truth: sample for ground_truth, sample in read.items() if sample is not None}
        if len(samples) < len(read):
            continue
        any_sample = next(iter(samples.values()))
        pred = source(any_sample)
        flips = source.predict and any(protocol.flip for protocol in protocols)
        averaged = average_with_mirrored(source, any_sample, pred) if flips else pred
        scores: dict[str, ScoredPicture | DoesNotFit] = {}
        for protocol in protocols:
            try:
                require_compatible(source, protocol)
                sample = samples[protocol.ground_truth]
                scores[protocol.name] = score(averaged if protocol.flip else pred, sample, protocol, source.kind)
            except DoesNotFit as reason:
                scores[protocol.name] = reason
        yield scores


def predict_sample(source: PredictionSource, sample: Sample, protocol: Protocol) -> Map:
    """Predict a photo, averaged with its mirror image if the protocol asks for that."""
    pred = source(sample)
    return average_with_mirrored(source, sample, pred) if protocol.flip else pred


def average_with_mirrored(source: PredictionSource, sample: Sample, pred: Map) -> Map:
    """Average a photo's map with the map of its mirror image. The source must have a `predict`."""
    assert source.predict
    other: Map = mirrored(source.predict, sample.image)
    if source.follows_camera and sample.focal_px:
        other = scaled(other, sample)
    for each in (pred, other):
        require_prediction(each, sample, source.kind)
    return (pred + other) / 2
