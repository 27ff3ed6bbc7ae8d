"""Score one prediction under a protocol: which pixels count, at which size, after which fit, by which metrics."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, Sample, too_many
from hqmd_cli.depth import require_depth
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.error_by_depth import sums_by_depth
from hqmd_cli.evaluation.metrics.field_of_view import fov_of
from hqmd_cli.evaluation.metrics.pixels import median_ratio, no_farther, scale_and_shift
from hqmd_cli.evaluation.metrics.point_cloud import MOST_POINTS
from hqmd_cli.evaluation.metrics.registry import BASIC_METRICS, METRICS, MapPair, measure
from hqmd_cli.evaluation.prediction_source import NOTHING, Map, PredictionSource, Said
from hqmd_cli.evaluation.protocol import ALIGNED_BY, Alignment, Protocol
from hqmd_cli.evaluation.protocols import NYU_FRAME
from hqmd_cli.evaluation.results import ScoredPicture
from hqmd_cli.evaluation.sanity.checks import explain_invalid
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.units import NEEDED_FIT, Kind

Mask = NDArray[np.bool_]
Truth = tuple[NDArray[np.float32], Mask]  # as compared_truth

TRIMMED_PERCENT = 5
LEAST_DISPARITY = float(np.finfo(np.float32).eps)  # before it is inverted, as in_depth_trimmed's source

nyu_camera = cache(find_intrinsics)


class DoesNotFit(HqmdError):
    """A protocol that cannot be applied to the data or the predictions. Others may."""


class NoTruth(DoesNotFit):
    """A picture without a pixel of truth that counts under a protocol. Other pictures may have some."""


# ---- what a protocol can be applied to


def require_fit(dataset: Dataset, protocol: Protocol) -> None:
    """Check a dataset's kind of ground truth and the size of its first readable picture. Raises DoesNotFit."""
    require_ground_truth(dataset, protocol)
    require_frame(first_readable(dataset), protocol)


def first_readable(dataset: Dataset) -> Sample:
    """Read the first picture that is not damaged. Raises HqmdError if more before it are than are tolerated."""
    for index in range(len(dataset)):
        try:
            return dataset[index]
        except HqmdError:
            if too_many(index + 1, len(dataset)):
                raise
    raise HqmdError(f"{dataset.description}: has no pictures")


def require_ground_truth(dataset: Dataset, protocol: Protocol) -> None:
    """Check that a dataset has the protocol's kind of ground truth. Raises DoesNotFit."""
    # Depth "as given" in files may be filled or raw; raw is easier to predict, so it is never taken for raw.
    wanted = protocol.ground_truth
    accepted = ("filled", "as given", "warped") if wanted == "filled" else (wanted,)
    if dataset.ground_truth not in accepted:
        raise DoesNotFit(
            f"protocol {protocol.name} needs {protocol.ground_truth} ground truth, but {dataset.description} has "
            f"{dataset.ground_truth}"
        )


def require_frame(sample: Sample, protocol: Protocol) -> None:
    """Check that a picture has one of the protocol's sizes. Raises DoesNotFit."""
    if protocol.frames and sample.depth_m.shape not in protocol.frames:
        raise DoesNotFit(
            f"{sample.name}: protocol {protocol.name} is for frames of {' or '.join(map(str, protocol.frames))}, this "
            f"one is {sample.depth_m.shape}; use protocol hqmd for other sizes"
        )


def require_compatible(source: PredictionSource, protocol: Protocol) -> None:
    """Check that a source can give the mirrored prediction or the metres that a protocol needs. Raises DoesNotFit."""
    if protocol.flip and source.predict is None:
        raise DoesNotFit(
            f"protocol {protocol.name} averages with the mirrored photo's prediction, which files do not hold; use "
            "another protocol"
        )
    needed, aligned = NEEDED_FIT[source.kind], ALIGNED_BY[protocol.alignment]
    inverts = protocol.alignment == "scale-shift-depth-trimmed" and source.kind == "disparity"
    if needed and not inverts and not aligned.startswith(f"aligned by {needed}"):
        raise DoesNotFit(
            f"predictions of kind {source.kind} claim no metres: they need a protocol whose alignment is "
            f"{needed}, and protocol {protocol.name} has {aligned}; write one, see --protocol FILE.toml"
        )


# ---- which pixels are compared, and at which size


def compared_truth(sample: Sample, protocol: Protocol) -> Truth:
    """Get the truth in metres at the size of the comparison, (H, W), and the mask of the pixels that count.

    Raises DoesNotFit for a picture of another size than the protocol's, or smaller, and NoTruth when no pixel counts.
    """
    require_frame(sample, protocol)
    depth_m, scored = sample.depth_m, sample.valid.copy()
    if protocol.compared_at:
        if any(new > old for new, old in zip(protocol.compared_at, depth_m.shape, strict=True)):
            raise DoesNotFit(
                f"{sample.name}: protocol {protocol.name} compares at {protocol.compared_at}, this picture is smaller: "
                f"{depth_m.shape}"
            )
        nearest = np.ix_(*map(nearest_pixels, depth_m.shape, protocol.compared_at))
        depth_m, scored = depth_m[nearest], scored[nearest]
    if protocol.depth_range_m:
        near, far = protocol.depth_range_m
        scored &= (depth_m > near) & (depth_m < far)
    if crop := crop_of(protocol, depth_m.shape):
        top, bottom, left, right = crop
        inside = np.zeros_like(scored)
        inside[top:bottom, left:right] = True
        scored &= inside
    if not scored.any():
        raise NoTruth(
            f"{sample.name}: no valid ground truth under protocol {protocol.name}; is this the right file and split?"
        )
    return depth_m, scored


def crop_of(protocol: Protocol, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """Get the crop's top, bottom, left and right in an (H, W) picture, in pixels; None for the whole picture."""
    if not protocol.crop_shares:
        return protocol.crop
    height, width = size
    lengths = (height, height, width, width)
    return tuple(int(share * length) for share, length in zip(protocol.crop_shares, lengths, strict=True))


def nearest_pixels(length: int, new_length: int) -> NDArray[np.int64]:
    """Find, for the centres of `new_length` pixels, the pixels among `length`. On a border: the latter, as Pillow."""
    return (2 * np.arange(new_length) + 1) * length // (2 * new_length)


def compared_prediction(pred_m: Map, protocol: Protocol) -> Map:
    """Reduce a prediction to the size of the comparison, if the protocol has one, by averaging over areas."""
    if not protocol.compared_at:
        return pred_m
    height, width = protocol.compared_at
    return cv2.resize(pred_m, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


# ---- fits to the truth of the same picture, for predictions without metres
# All take (H, W) maps, the truth in metres, and `scored`, the mask of the pixels that the fit is made on.


def by_median(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """Scale to the median of the truth: Zhou et al. 2017, https://arxiv.org/abs/1704.07813, section 4.1."""
    return pred * median_ratio(pred[scored], depth_m[scored])


def in_depth(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """Fit a d + b with the least squared error in metres; the result may be 0 or less."""
    scale, shift = fitted_law(pred[scored], depth_m[scored])
    return pred * scale + shift


def in_disparity(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """Fit the inverse of a predicted depth, see from_disparity."""
    return from_disparity(1 / pred, depth_m, scored)


def from_disparity(disparity: Map, depth_m: Map, scored: Mask) -> Map:
    """Fit 1 / (a v + b) to the depth, with the least squared error in 1 / m; infinite where a v + b is 0 or less.

    `disparity` v is 1 / d up to scale and shift: Ranftl et al. 2020, https://arxiv.org/abs/1907.01341, section 5.
    """
    scale, shift = fitted_law(disparity[scored], 1 / depth_m[scored])
    fitted = disparity * scale + shift
    return np.divide(1, fitted, out=np.full_like(fitted, np.inf), where=fitted > 0)


def in_depth_trimmed(pred: Map, depth_m: Map, scored: Mask) -> Map:
    """Fit as in_depth on the scored pixels whose prediction lies between its 5th and 95th percentile.

    The fourth Monocular Depth Estimation Challenge: _align_least_squares in src/core/evaluator.py of
    https://github.com/toshas/mdec_benchmark at 4037628.
    """
    low, high = np.percentile(pred[scored], (TRIMMED_PERCENT, 100 - TRIMMED_PERCENT))
    kept = scored & (pred > low) & (pred < high)
    return in_depth(pred, depth_m, kept if kept.any() else scored)


def clamped(disparity: Map, depth_m: Map, scored: Mask) -> Map:
    """Fit 1 / (a v + b) with the least squared error in 1 / m, no farther than the farthest scored truth."""
    scale, shift = fitted_law(disparity[scored], 1 / depth_m[scored])
    return no_farther(disparity * scale + shift, depth_m[scored].max())


def fitted_law(values: Map, targets: Map) -> tuple[float, float]:
    """Fit scale and shift. Raises HqmdError if all (T,) values are the same."""
    if values.var() == 0:
        raise HqmdError("the prediction is the same at all pixels that count, so no scale and shift fit it")
    return scale_and_shift(values, targets)


FITS: dict[Alignment, Callable[[Map, Map, Mask], Map]] = {
    "median": by_median,
    "scale-shift-depth": in_depth,
    "scale-shift-depth-trimmed": in_depth_trimmed,
    "scale-shift-disparity": in_disparity,
    "scale-shift-disparity-clamped": lambda pred, depth_m, scored: clamped(1 / pred, depth_m, scored),
}
OF_DISPARITY: dict[Alignment, Callable[[Map, Map, Mask], Map]] = {
    "scale-shift-depth-trimmed": lambda pred, depth_m, scored: in_depth_trimmed(
        1 / pred.clip(LEAST_DISPARITY, None), depth_m, scored
    ),
    "scale-shift-disparity-clamped": clamped,
}


def align(pred: Map, depth_m: Map, scored: Mask, alignment: Alignment, is_disparity: bool = False) -> Map:
    """Fit a prediction to the truth, in float64; with alignment "none", return it unchanged."""
    if alignment == "none":
        return pred
    fit = OF_DISPARITY.get(alignment, from_disparity) if is_disparity else FITS[alignment]
    return fit(pred.astype(np.float64), depth_m.astype(np.float64), scored)


# ---- the score


def apply_protocol(
    pred: Map,
    sample: Sample,
    protocol: Protocol,
    kind: Kind = "depth",
    accept_flat: bool = False,
    truth: Truth | None = None,
    said: Said = NOTHING,
) -> MapPair:
    """Bring a prediction and its truth into the form in which they are scored. Arguments and errors as `score`."""
    require_prediction(pred, sample, kind, accept_flat)
    depth_m, scored = truth or compared_truth(sample, protocol)
    pred_m = given = compared_prediction(pred, protocol) if protocol.compared_at else pred
    if protocol.alignment != "none":
        try:
            pred_m = align(pred_m, depth_m, scored, protocol.alignment, kind == "disparity")
        except HqmdError as error:
            raise HqmdError(f"{sample.name}: {error}") from error
    if protocol.clip_m:
        pred_m = pred_m.clip(*protocol.clip_m)
    as_large = depth_m.shape == sample.depth_m.shape
    camera, annotated, planes = (sample.camera, sample.edges, sample.planes) if as_large else (None, None, None)
    if NYU_FRAME in protocol.frames:
        camera = nyu_camera(*depth_m.shape)
    elif as_large and sample.focal_px and not camera:
        camera = find_intrinsics(*depth_m.shape, fx=sample.focal_px)
    given = pred_m if protocol.alignment == "none" else given
    fov_deg = fov_of(said.focal_px, sample.depth_m.shape[1]) if said.focal_px else None
    most_points = depth_m.size if protocol.all_points else MOST_POINTS
    return MapPair(
        pred_m, depth_m, scored, camera, annotated, planes, given, kind, fov_deg, said.uncertainty, most_points
    )


def score(
    pred: Map,
    sample: Sample,
    protocol: Protocol,
    kind: Kind = "depth",
    detail: bool = False,
    by_depth: bool = False,
    accept_flat: bool = False,
    truth: Truth | None = None,
    said: Said = NOTHING,
) -> ScoredPicture:
    """Measure one prediction, (H, W) metres like the truth, or what `kind` says.

    detail: measure the metrics of the detail table, too, some 100 ms. Normals and points need a camera: NYU's frames
    have one, and data that states it.
    by_depth: add the sums of error_by_depth.py.
    accept_flat: accept the same depth everywhere, as a network of intervals predicts early in its training.
    truth: that of compared_truth, if it is known already.
    said: what the model says besides.

    Raises HqmdError for another size, for NaN, infinite, non-positive or constant predictions, and where the
    protocol leaves no valid pixel: none of these has an honest score.
    """
    maps = apply_protocol(pred, sample, protocol, kind, accept_flat, truth, said)
    pred_m, depth_m = maps.pixels
    if not (np.isfinite(pred_m).all() and pred_m.min() > 0):
        raise HqmdError(
            f"{sample.name}: after the fit to the truth, depth is not positive everywhere; protocol {protocol.name} "
            "needs clip_m"
        )
    figures = measure(maps, METRICS if detail else BASIC_METRICS)
    return ScoredPicture(sample.name, len(pred_m), figures, sums_by_depth(pred_m, depth_m) if by_depth else None)


def require_prediction(pred: Map, sample: Sample, kind: Kind = "depth", accept_flat: bool = False) -> None:
    """Check that a map has the size of the sample's truth and values that its kind allows. Raises HqmdError."""
    if pred.shape != sample.depth_m.shape:
        raise HqmdError(f"{sample.name}: prediction is {pred.shape}, ground truth {sample.depth_m.shape}")
    if complaint := explain_invalid(pred, kind, accept_flat):
        if kind == "depth":
            require_depth(pred, sample.name)  # says it for a model
        raise HqmdError(f"{sample.name}: {complaint}")
