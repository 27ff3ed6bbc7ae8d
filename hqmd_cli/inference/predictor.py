"""From a photo to its depth map: what predict, evaluate, compare and validation all call. No torch here."""

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import DEFAULT_SIZE, side_views, sides_in_words
from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry.resize import Preprocess
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.engines.select import engine_opener
from hqmd_cli.inference.guided_filter import follow_edges


class DepthPredictor:
    """An engine with its preprocessing: (H, W, 3) uint8 RGB -> (H, W) float32 metres.

    `sides` are the shorter sides, in pixels, at which photos go through the network; none: the model's own. The network
    has learnt depth at the scale of its training size. At another size, things look as much larger as they would from
    nearer by, so its depth is multiplied by the ratio of the two, and then calibrated (evaluation/calibration.py). The
    depths at several sides are averaged: a small picture shows the room, a large one the edges.

    With `flip`, or where the model's view says so, each side also sees the mirrored photo, which takes twice the time.
    """

    def __init__(self, engine: Engine, model: ModelConfig, sides: tuple[int, ...] = (), flip: bool = False) -> None:
        self.engine, self.model = engine, model
        self.sides, self.flip = sides or model.shown_sides, flip or model.view.flip
        # All that a photo needs of the model, ready-made.
        self.trained_side, self.view = min(model.network.size), model.view
        self.passes = [
            (Preprocess((side, side), model.compute.size_multiple), mirrored)
            for side, mirrored in side_views(self.sides, self.flip)
        ]

    @property
    def in_words(self) -> str:
        """How photos are shown to the network."""
        own = self.model.shown_sides
        is_elsewhere = self.view.is_calibrated and self.sides != own
        elsewhere = f" (calibrated for {' and '.join(map(str, own))})" if is_elsewhere else ""
        return f"photos seen at {sides_in_words(self.sides, self.flip)}{elsewhere}"

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the depth of one photo at the photo's own size, enlarged along its edges or bilinearly."""
        depths = [self.depth_at(preprocess(image), mirrored) for preprocess, mirrored in self.passes]
        depth_m = depths.pop()  # of the largest side, which sets the size
        if depths:
            logs = [np.log(depth_m), *(np.log(resize(other, depth_m.shape)) for other in depths)]
            depth_m = np.exp(np.mean(logs, axis=0, dtype=np.float32))
        if self.view.edge_share:
            return follow_edges(depth_m, image, self.view.edge_share)
        return resize(depth_m, image.shape[:2])

    def depth_at(self, picture: NDArray[np.uint8], mirrored: tuple[bool, ...]) -> NDArray[np.float32]:
        """Return calibrated depth at the size of the network's output, averaged over plain and mirrored passes."""
        answers = [self.mirrored(picture) if turned else self.engine(picture) for turned in mirrored]
        depth_m: NDArray[np.float32] = np.stack(answers).mean(axis=0, dtype=np.float32)
        # The picture's side, not the view's: rounding, and the limit on a long panorama, have changed it.
        power = self.view.power
        factor = self.view.calibration * (min(picture.shape[:2]) / self.trained_side) ** power
        return np.float32(factor) * (depth_m if power == 1 else depth_m ** np.float32(power))

    def mirrored(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the depth of the mirrored picture, mirrored back."""
        return self.engine(cv2.flip(picture, 1))[:, ::-1]  # type: ignore[arg-type]


def resize(depth_m: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Bilinear, to (H, W)."""
    resized = cv2.resize(depth_m, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.float32, copy=False)


def load_predictor(
    checkpoint: Path,
    backend: str = "auto",
    device: str = "auto",
    sides: tuple[int, ...] = (),
    flip: bool = False,
    threads: int = 0,
    compiled: bool = False,
    size: str = DEFAULT_SIZE,
) -> DepthPredictor:
    """Open a checkpoint folder (hub.find_checkpoint gives one for a name).

    The engine is that of engines/opening.py, the rest as `predictor_with` says. Raises HqmdError when the wish cannot
    be had.
    """
    require_one_size(sides, size)
    return predictor_with(
        engine_opener(checkpoint, backend, device, threads, compiled)(), checkpoint, sides, flip, size
    )


def predictor_with(
    engine: Engine, checkpoint: Path, sides: tuple[int, ...] = (), flip: bool = False, size: str = DEFAULT_SIZE
) -> DepthPredictor:
    """An engine that is open, with its checkpoint's settings; `size` is one of the checkpoint's presets."""
    require_one_size(sides, size)
    return DepthPredictor(engine, read_info(checkpoint).model.at_size(size), sides, flip)


def require_one_size(sides: tuple[int, ...], size: str) -> None:
    """Refuse two answers to one question."""
    if sides and size != DEFAULT_SIZE:
        raise HqmdError("--side and --size both say how large the network sees a photo; give one of them")
