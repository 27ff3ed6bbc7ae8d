"""Score any callable `image -> depth_m` on a dataset under a protocol."""

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.alignment import align
from hqmd_cli.data.sample import Dataset, Sample, require_depth
from hqmd_cli.detail import detail_scores
from hqmd_cli.errors import HqmdError
from hqmd_cli.figures import Result, Scored, collect
from hqmd_cli.intrinsics import find_intrinsics
from hqmd_cli.metrics import EXTRA_PIXEL_METRICS, MAP_METRICS, PIXEL_METRICS
from hqmd_cli.predictions import Kind, PredictionFolder
from hqmd_cli.protocol import NYU_FRAME
from hqmd_cli.protocol_recipe import ALIGNED_BY, Protocol
from hqmd_cli.region import DoesNotFit, compared_prediction, compared_truth, require_fit
from hqmd_cli.suspicions import fault

Predict = Callable[[NDArray[np.uint8]], NDArray[np.floating]]  # (H, W, 3) RGB -> (H, W) metres


def evaluate(predict: Predict, dataset: Dataset, protocol: Protocol) -> Result:
    """Run `predict` over the dataset and aggregate each metric over the pictures.

    Raises HqmdError naming the picture when a prediction or its ground truth cannot be scored.
    """
    return collect(score_each(predict, dataset, protocol), dataset, protocol)


def score_each(predict: Predict, dataset: Dataset, protocol: Protocol, detail: bool = False) -> Iterator[Scored]:
    """One picture's figures after the other, for callers that show progress; with `detail` as in `score`."""
    require_fit(dataset, protocol)
    for index in range(len(dataset)):
        sample = dataset[index]
        pred_m = predict_mirrored_too(predict, sample) if protocol.flip else predict(sample.image)
        yield score(pred_m, sample, protocol, detail=detail)


def score_files(
    predictions: PredictionFolder, dataset: Dataset, protocol: Protocol, detail: bool = False
) -> Iterator[Scored]:
    """As score_each, of predictions that lie in files. Raises HqmdError where the protocol cannot judge such ones."""
    require_fit(dataset, protocol)
    if protocol.flip:
        raise HqmdError(
            f"protocol {protocol.name} averages with the mirrored photo's prediction, which no file holds; use another"
        )
    aligned = ALIGNED_BY[protocol.alignment]
    if predictions.needed_fit and aligned != f"aligned by {predictions.needed_fit}":
        raise HqmdError(
            f"predictions of kind {predictions.kind} claim no metres: they need a protocol whose alignment is "
            f"{predictions.needed_fit}, and protocol {protocol.name} has {aligned}; write one, see --protocol FILE.toml"
        )
    for index in range(len(dataset)):
        sample = dataset[index]
        yield score(predictions(sample), sample, protocol, predictions.kind, detail)


def score_under_each(
    predict: Predict, datasets: Mapping[str, Dataset], protocols: Iterable[Protocol]
) -> Iterator[dict[str, Scored | DoesNotFit]]:
    """As score_each under several protocols, each photo predicted once: name of the protocol -> figures or the reason.

    `datasets` are the same pictures by the kind of their ground truth.
    """
    protocols = list(protocols)
    for index in range(len(next(iter(datasets.values())))):
        samples = {ground_truth: dataset[index] for ground_truth, dataset in datasets.items()}
        any_sample = next(iter(samples.values()))
        pred_m = predict(any_sample.image)
        averaged_m = predict_mirrored_too(predict, any_sample, pred_m) if any(p.flip for p in protocols) else pred_m
        scores: dict[str, Scored | DoesNotFit] = {}
        for protocol in protocols:
            try:
                sample = samples[protocol.ground_truth]
                scores[protocol.name] = score(averaged_m if protocol.flip else pred_m, sample, protocol)
            except DoesNotFit as reason:
                scores[protocol.name] = reason
        yield scores


def predict_mirrored_too(
    predict: Predict, sample: Sample, pred_m: NDArray[np.floating] | None = None
) -> NDArray[np.floating]:
    """The mean depth of a photo and of its mirror image, mirrored back; `pred_m` where the former is there already."""
    pred_m = predict(sample.image) if pred_m is None else pred_m
    mirrored_m = predict(np.ascontiguousarray(sample.image[:, ::-1]))
    for each_m in (pred_m, mirrored_m):
        require_prediction(each_m, sample)
    return (pred_m + mirrored_m[:, ::-1]) / 2


def score(
    pred_m: NDArray[np.floating], sample: Sample, protocol: Protocol, kind: Kind = "depth", detail: bool = False
) -> Scored:
    """All metrics of one prediction, (H, W) metres like the truth; of another kind, what predictions.py says of it.

    detail: those of detail.py, too, which take some 30 ms. Normals need a camera, which only NYU's frames tell.

    Raises HqmdError for another size, for NaN, infinite, non-positive or constant predictions, and where the
    protocol leaves no valid pixel: none of these has an honest score.
    """
    if kind == "depth":
        require_prediction(pred_m, sample)
    elif complaint := fault(pred_m, kind):
        raise HqmdError(f"{sample.name}: {complaint}")
    depth_m, scored = compared_truth(sample, protocol)
    pred_m = compared_prediction(pred_m, protocol)
    try:
        pred_m = align(pred_m, depth_m, scored, protocol.alignment, kind == "disparity")
    except HqmdError as error:
        raise HqmdError(f"{sample.name}: {error}") from error
    if protocol.clip_m:
        pred_m = pred_m.clip(*protocol.clip_m)
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
        of_maps |= detail_scores(pred_m, depth_m, scored, camera)
    return Scored(sample.name, len(pred), of_pixels | of_maps)


def require_prediction(pred_m: NDArray[np.floating], sample: Sample) -> None:
    """Refuse what is no depth map of the sample's photo."""
    if pred_m.shape != sample.depth_m.shape:
        raise HqmdError(f"{sample.name}: prediction is {pred_m.shape}, ground truth {sample.depth_m.shape}")
    require_depth(pred_m, sample.name)
    if pred_m.min() == pred_m.max():
        raise HqmdError(f"{sample.name}: the prediction is {pred_m.min():g} everywhere")
