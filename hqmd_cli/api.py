"""hqmd from Python: `load(...)` gives a function from a photo to its depth. Importing this imports no torch."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.config import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import DEFAULT_MODEL, find_checkpoint
from hqmd_cli.images import photo_of
from hqmd_cli.predictor import load_predictor

Photo = NDArray[np.uint8] | Image.Image


def load(
    model: str = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    device: str = "auto",
    sides: tuple[int, ...] = (),
    size: str = DEFAULT_SIZE,
    flip: bool = False,
) -> Callable[[Photo], NDArray[np.float32]]:
    """Open a model: a bundled name, a checkpoint folder, or org/name[@revision] on the Hugging Face hub.

    `sides` are the shorter sides, in pixels, at which the network sees photos (none: the model's own); `size` names one
    of the model's presets instead. The function returned takes a PIL picture, which it turns upright by its EXIF
    orientation, or (H, W, 3) uint8 RGB that is upright; it gives (H, W) float32 metres along the optical axis, of the
    upright picture. Both raise HqmdError: for a model or a wish that cannot be had, for a photo of another kind.
    """
    predictor = load_predictor(find_checkpoint(model), backend, device, sides, flip, size=size)

    def predict(photo: Photo) -> NDArray[np.float32]:
        image = photo_of(photo).rgb if isinstance(photo, Image.Image) else np.asarray(photo)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise HqmdError(f"a photo is a PIL picture or (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
        return predictor(image)

    return predict
