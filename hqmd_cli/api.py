"""hqmd from Python: `load(...)` returns a function from a photo to its depth. Does not import torch."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import photo_of
from hqmd_cli.inference.open import OpenModel, OpenOptions, open_model
from hqmd_cli.units import Kind

Photo = NDArray[np.uint8] | Image.Image


@dataclass(frozen=True)
class LoadedModel:
    """A function from a photo to its depth, as `load` returns it."""

    model: OpenModel

    @property
    def kind(self) -> Kind:
        """What its numbers mean: "depth" (metres), or "disparity" or "relative", which have no metres."""
        return self.model.kind

    def __call__(self, photo: Photo) -> NDArray[np.float32]:
        image = photo_of(photo).rgb if isinstance(photo, Image.Image) else np.asarray(photo)
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or image.size == 0:
            raise HqmdError(f"a photo is a PIL picture or (H, W, 3) uint8 RGB, not {image.shape} {image.dtype}")
        return self.model(image)


def load(
    model: str = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    device: str = "auto",
    sides: tuple[int, ...] = (),
    size: str = DEFAULT_SIZE,
    flip: bool = False,
    kind: str | None = None,
) -> LoadedModel:
    """Open a model: a bundled name, a checkpoint folder, or org/name[@revision] on the Hugging Face hub.

    hf:org/name[@revision] is any depth model of transformers, py:module:function any Python function. If such a model
    does not say what it gives, state it with `kind`; the returned function has it as its `kind`.

    `sides` are the shorter sides, in pixels, at which the network sees photos (default: the model's own); `size` names
    one of the model's presets instead. The returned function takes a PIL picture, which it turns upright by its EXIF
    orientation, or upright (H, W, 3) uint8 RGB. It returns (H, W) float32 metres along the optical axis. Both raise
    HqmdError, for a model or an option that is not available and for a photo of another type.
    """
    return LoadedModel(open_model(model, OpenOptions(backend, device, sides, size, flip, kind=kind)))
