"""From a photo to its depth map: what predict, evaluate, compare and validation all call. No torch here."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.config.inference import DEFAULT_SIZE, in_pixels, looks
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.engines.select import engine_opener
from hqmd_cli.inference.guided_filter import follow_edges
from hqmd_cli.inference.preprocess import Preprocess


@dataclass(frozen=True)
class DepthPredictor:
    """An engine with its preprocessing: (H, W, 3) uint8 RGB -> (H, W) float32 metres.

    `sides` are the shorter sides, in pixels, at which photos go through the network. It has learnt depth at the scale
    of config.size; at another, things look as much larger as they would from nearer by, so that its depth is multiplied
    by the ratio of the two; its calibration follows (calibration.py). Of several sides the depths are averaged (their
    logarithms: how far a network is off is a factor rather than a distance): a small picture shows it the room, a large
    one the edges. Every other of them sees the mirrored photo, which shows it the room anew.
    """

    engine: Engine
    config: ModelConfig
    sides: tuple[int, ...] = ()  # none: the checkpoint's own
    flip: bool = False  # average with the mirrored photo, too, which takes twice the time; the checkpoint may want that

    @property
    def shown_sides(self) -> tuple[int, ...]:
        """The sides that count."""
        return self.sides or self.config.shown_sides

    @property
    def flips(self) -> bool:
        """Whether the mirrored photo counts, too."""
        return self.flip or self.config.predict_flip

    @property
    def view(self) -> str:
        """How photos are shown to the network, in words."""
        own = self.config.shown_sides
        is_elsewhere = self.config.is_calibrated and self.shown_sides != own
        elsewhere = f" (calibrated for {' and '.join(map(str, own))})" if is_elsewhere else ""
        return f"photos seen at {in_pixels(self.shown_sides, self.flips)}{elsewhere}"

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth of one photo, at the photo's own size; brought back to it along its edges, or bilinearly."""
        *others, first = (self.at(side, image, mirrored) for side, mirrored in looks(self.shown_sides, self.flips))
        depth_m = first
        if others:
            logs = [np.log(first), *(np.log(resize(other, first.shape)) for other in others)]
            depth_m = np.exp(np.mean(logs, axis=0, dtype=np.float32))
        if self.config.edge_share:
            return follow_edges(depth_m, image, self.config.edge_share)
        return resize(depth_m, image.shape[:2])

    def at(self, side: int, image: NDArray[np.uint8], mirrored: tuple[bool, ...]) -> NDArray[np.float32]:
        """Depth as the network sees it at one side, plain, mirrored or both; at the size in which it says it."""
        picture = Preprocess((side, side), self.config.size_multiple)(image)
        answers = [self.mirrored(picture) if turned else self.engine(picture) for turned in mirrored]
        depth_m: NDArray[np.float32] = np.stack(answers).mean(axis=0, dtype=np.float32)
        # Not `side`: rounding, and of a long panorama transforms.base_scale, have changed it.
        factor, power = self.config.depth_law(min(picture.shape[:2]))
        return np.float32(factor) * (depth_m if power == 1 else depth_m ** np.float32(power))

    def mirrored(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """What the network says of a mirrored picture, mirrored back."""
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
