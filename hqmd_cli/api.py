"""hqmd from Python: `load(...)` returns a function from a photo to its depth. Does not import torch."""

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.photos import Photo, photo_of, read_photo
from hqmd_cli.files.several_pictures import with_remedy
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.inference.open import OpenModel, OpenOptions, open_model
from hqmd_cli.units import Kind

PhotoLike = str | Path | NDArray[np.uint8] | Image.Image


class SurePrediction(NamedTuple):
    """Depth and how sure it is; errors are relative standard deviations, so 0.1 is 10 %."""

    depth_m: NDArray[np.float32]  # (H, W) metres
    scale_error: float  # of all metres together
    shape_error: NDArray[np.float32]  # (H, W) of each pixel, if the scale were right


@dataclass(frozen=True)
class LoadedModel:
    """A function from a photo to its depth, as `load` returns it."""

    model: OpenModel

    @property
    def kind(self) -> Kind:
        """What its numbers mean: "depth" (metres), or "disparity" or "relative", which have no metres."""
        return self.model.kind

    def __call__(self, photo: PhotoLike, *, fx: float | None = None, picture: int | None = None) -> NDArray[np.float32]:
        """Return the depth of a photo, (H, W) float32.

        `fx` is its focal length in pixels, if you know it; `picture` is the number, from 1 on, of one of several in a
        file.
        """
        known, camera = seen_by(photo, fx, picture)
        return self.for_camera(self.model.see(known.rgb, camera, sure=False).depth, camera)

    def with_uncertainty(
        self, photo: PhotoLike, *, fx: float | None = None, picture: int | None = None
    ) -> SurePrediction:
        """Return the depth of a photo, and how sure it is. Raises HqmdError if the model does not know that."""
        self.model.require_uncertainty("with_uncertainty")
        known, camera = seen_by(photo, fx, picture)
        depth_m, _, _, sure = self.model.see(known.rgb, camera)
        assert sure
        sure = sure.with_camera(camera.metres_error)
        return SurePrediction(self.for_camera(depth_m, camera), sure.scale, sure.at(depth_m.shape))

    def for_camera(self, depth_m: NDArray[np.float32], camera: Intrinsics) -> NDArray[np.float32]:
        """Scale depth (H, W) as the camera asks, if the model follows it."""
        factor = camera.metres_factor(*depth_m.shape) if self.model.follows_camera else 1.0
        return depth_m if factor == 1 else depth_m * np.float32(factor)


def seen_by(photo: PhotoLike, fx: float | None, picture: int | None) -> tuple[Photo, Intrinsics]:
    """Read a photo, and find its camera."""
    known = as_photo(photo, picture)
    height, width = known.rgb.shape[:2]
    return known, find_intrinsics(height, width, fx=fx, focal_35mm=known.focal_35mm)


def as_photo(photo: PhotoLike, number: int | None = None) -> Photo:
    """Read a path, or take a picture as it is. Raises HqmdError for anything else, saying what it is.

    Warns of what was chosen or guessed when a file was read, such as one of its several pictures.
    """
    if isinstance(photo, (str, Path)):
        read = read_photo(Path(photo), number=number)
        for remark in read.remarks:
            warnings.warn(printable(f"{photo}: {with_remedy(remark, 'picture=N')}"), stacklevel=4)
        return read
    if number is not None:
        raise HqmdError("picture: chooses one of several in a file, so give a path; a PIL picture turns by its seek()")
    if isinstance(photo, Image.Image):
        return photo_of(photo)
    image = np.asarray(photo)
    channels = image.shape[2:] if image.ndim == 3 else (1,)
    if image.ndim not in (2, 3) or channels not in ((1,), (3,), (4,)) or image.dtype != np.uint8 or image.size == 0:
        what = f"an array of {image.shape} {image.dtype}" if isinstance(photo, np.ndarray) else type(photo).__name__
        raise HqmdError(
            f"a photo is a path, a PIL picture, or uint8 (H, W, 3) RGB, (H, W, 4) RGBA or (H, W) grey, not {what}"
        )
    if channels == (3,):
        return Photo(image, None)
    return photo_of(Image.fromarray(image if channels == (4,) else image.reshape(image.shape[:2])))


def load(
    model: str = DEFAULT_MODEL,
    *,
    backend: str = "auto",
    device: str = "auto",
    sides: tuple[int, ...] = (),
    size: str = DEFAULT_SIZE,
    flip: bool = False,
    kind: str | None = None,
    profile: str = "",
) -> LoadedModel:
    """Open a model: a bundled name, a checkpoint folder, or org/name[@revision] on the Hugging Face hub.

    A short name of the catalogue (`hqmd models`) is a third-party model, hf:org/name[@revision] any depth model of
    transformers, onnx:FILE or onnx:org/name[@revision]/FILE any ONNX file, py:module:function any Python function. If
    such a model does not say what it gives, state it with `kind`; the returned function has it as its `kind`. `profile`
    is that of an ONNX file: a name in the catalogue, or a TOML file.

    `sides` are the shorter sides, in pixels, of further views that add detail, and `size` names one of the model's
    presets instead; the metres come from the model's own sides. The returned function takes a path or a PIL picture,
    which it turns upright by its EXIF orientation, or an upright array of uint8: (H, W, 3) RGB, (H, W, 4) RGBA or
    (H, W) grey. Of several pictures in a file it takes the first, with a warning, unless you pass `picture=N`; of a PIL
    picture it takes the frame at which that stands. It returns (H, W) float32 metres along the optical axis, for the
    focal length `fx` in pixels if you pass it, else that of the EXIF, else NYU's. Both raise HqmdError, for a model or
    an option that is not available and for a photo of another type.
    """
    return LoadedModel(open_model(model, OpenOptions(backend, device, sides, size, flip, kind=kind, profile=profile)))
