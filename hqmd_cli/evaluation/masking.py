"""What of a picture a protocol compares: at which size, and which pixels count."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocol import Protocol


class DoesNotFit(HqmdError):
    """Data that a protocol cannot be applied to. Other protocols may."""


def require_fit(dataset: Dataset, protocol: Protocol) -> None:
    """Refuse a dataset whose depth is not of the kind or, by its first picture, the size that the protocol is for."""
    # Depth that came as files may be either, which its caption says; only as raw, which is easier, it never passes.
    accepted = {"raw": ("raw",), "filled": ("filled", "as given")}[protocol.ground_truth]
    if dataset.ground_truth not in accepted:
        raise DoesNotFit(
            f"protocol {protocol.name} needs {protocol.ground_truth} ground truth, that of {dataset.description} is "
            f"{dataset.ground_truth}"
        )
    require_frame(dataset[0], protocol)


def require_frame(sample: Sample, protocol: Protocol) -> None:
    """Refuse a picture of another size than those that the protocol is for."""
    if protocol.frames and sample.depth_m.shape not in protocol.frames:
        raise DoesNotFit(
            f"{sample.name}: protocol {protocol.name} is for frames of {' or '.join(map(str, protocol.frames))}, this "
            f"one is {sample.depth_m.shape}; use protocol hqmd for other sizes"
        )


def compared_truth(sample: Sample, protocol: Protocol) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Metres at the size of the comparison, (H, W), and the mask of the pixels that count.

    Raises DoesNotFit for a picture of another size than the protocol's, or smaller, or when no pixel counts.
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
        raise DoesNotFit(
            f"{sample.name}: no valid ground truth under protocol {protocol.name}; is this the right file and split?"
        )
    return depth_m, scored


def crop_of(protocol: Protocol, size: tuple[int, ...]) -> tuple[int, ...] | None:
    """Top, bottom, left, right in pixels of an (H, W) picture; None: all of it."""
    if not protocol.crop_shares:
        return protocol.crop
    height, width = size
    lengths = (height, height, width, width)
    return tuple(int(share * length) for share, length in zip(protocol.crop_shares, lengths, strict=True))


def nearest_pixels(length: int, new_length: int) -> NDArray[np.int64]:
    """Where each of `new_length` pixels has its middle among `length` ones. On a border: the latter, as Pillow does."""
    return (2 * np.arange(new_length) + 1) * length // (2 * new_length)


def compared_prediction(pred_m: NDArray[np.floating], protocol: Protocol) -> NDArray[np.floating]:
    """A prediction at the size of the comparison: the mean over the area of each of its pixels."""
    if not protocol.compared_at:
        return pred_m
    height, width = protocol.compared_at
    return cv2.resize(pred_m, (width, height), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]
