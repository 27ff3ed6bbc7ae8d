"""Pairs whose photo is turned by its EXIF orientation: does the depth map lie as the photo is seen, or as it is stored?

Depth edges are edges of the photo as well. So the photo's contrast at depth edges, relative to its mean, tells which of
the two fits. A picture counts if one fits better by MARGIN.
"""

from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.data.check.overlays import depth_edges
from hqmd_cli.data.orientation import UNTURN, orientation_of
from hqmd_cli.data.pairs import FilePairs
from hqmd_cli.data.sample import Dataset, Part, Sample, evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import UPRIGHT

JUDGED = 12  # turned pictures whose depth is read, evenly spaced
MARGIN = 1.1
# The turn that takes an upright photo back to how it is stored.
BACK = {Image.Transpose.ROTATE_90: Image.Transpose.ROTATE_270, Image.Transpose.ROTATE_270: Image.Transpose.ROTATE_90}


def turned_pairs(dataset: Dataset, indices: Iterable[int]) -> tuple[str, bool]:
    """Say that EXIF turns photos but not their depth, and if it is certain; an empty string if there is nothing to say.

    `indices` are those of the pictures whose headers are read. Only pairs of files can be turned against each other.
    """
    while isinstance(dataset, Part):
        indices = [dataset.indices[index] for index in indices]
        dataset = dataset.dataset
    if not isinstance(dataset, FilePairs):
        return "", False
    turned = {i: turn for i in indices if (turn := orientation_of(dataset.pairs[i][1])) != 1}
    if not turned:
        return "", False
    chosen = list(turned)
    as_stored = as_seen = 0
    for place in evenly(len(chosen), JUDGED):
        index = chosen[place]
        try:
            sample = dataset[index]
        except HqmdError:  # it lies on its side, or is damaged: reported for itself
            continue
        fit = fit_as_stored(sample, turned[index])
        as_stored, as_seen = as_stored + (fit > MARGIN), as_seen + (fit < 1 / MARGIN)
    what = f"{len(turned)} photos are turned by their EXIF orientation, such as {dataset.names[chosen[0]]}"
    if as_stored > as_seen:
        return f"{what}, their depth maps are not: turn the depth maps, or {UNTURN}", True
    if as_seen > as_stored:
        return "", False  # the depth maps were made of the upright photos
    return f"{what}: are their depth maps turned, too? Look with `hqmd check --picture`; if not, {UNTURN}", False


def fit_as_stored(sample: Sample, orientation: int) -> float:
    """Return how much better the depth fits the photo as it is stored than as it is seen; 1 if it has no edges.

    0 for a photo that lies on its side as it is stored: its size fits only as it is seen.
    """
    turn = UPRIGHT[orientation]
    stored = np.asarray(Image.fromarray(sample.image).transpose(BACK.get(turn, turn)))
    if stored.shape != sample.image.shape:
        return 0.0
    edges = depth_edges(sample.depth_m, sample.valid)
    if not edges.any():
        return 1.0
    seen, turned_back = (contrast_at(edges, image) for image in (sample.image, stored))
    return turned_back / seen if seen else 1.0


def contrast_at(edges: NDArray[np.bool_], image: NDArray[np.uint8]) -> float:
    """Return the mean contrast of a photo (H, W, 3) at edges (H, W)."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    contrast = np.hypot(cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1))
    return float(contrast[edges].mean())
