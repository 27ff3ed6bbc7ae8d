"""Predict depth from a photo: the network's passes, their mean, and the way back to the photo's size. No torch."""

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import side_views, sides_in_words
from hqmd_cli.geometry.resize import Preprocess
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.guided_filter import follow_edges


class DepthPredictor:
    """An engine with its preprocessing: (H, W, 3) uint8 RGB -> (H, W) float32 metres.

    `sides` are the shorter sides, in pixels, at which photos go through the network; empty: the model's own. A network
    learns depth at the scale of its training size. In a larger picture things look as if they were nearer, so its depth
    is multiplied by the ratio of the two sizes, and then calibrated (evaluation/calibration.py). Depth at several sides
    is averaged by the geometric mean, since a network errs by a factor rather than by a distance: a small picture shows
    the room, a large one the edges. `flip`, or the model's view, adds the mirrored photo at each side: twice the time.
    """

    def __init__(self, engine: Engine, model: ModelConfig, sides: tuple[int, ...] = (), flip: bool = False) -> None:
        self.engine, self.model = engine, model
        self.sides, self.flip = sides or model.shown_sides, flip or model.view.flip
        # Ready-made here, because they are the same for every photo.
        self.views = side_views(self.sides, self.flip)
        self.preprocess = [Preprocess((view.side, view.side), model.compute.size_multiple) for view in self.views]
        self.trained_side = min(model.network.size)
        self.calibration, self.power, self.edge_share = model.view.calibration, model.view.power, model.view.edge_share

    @property
    def in_words(self) -> str:
        """How photos are shown to the network, for messages."""
        own = self.model.shown_sides
        is_elsewhere = self.model.view.is_calibrated and self.sides != own
        elsewhere = f" (calibrated for {' and '.join(map(str, own))})" if is_elsewhere else ""
        return f"photos seen at {sides_in_words(self.sides, self.flip)}{elsewhere}"

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the depth of one photo at the photo's own size, enlarged along its edges or bilinearly."""
        pictures = [preprocess(image) for preprocess in self.preprocess]
        depths = []  # calibrated, one for each view, at the size of the network's output
        for picture, view in zip(pictures, self.views, strict=True):
            passes = [
                self.engine(cv2.flip(picture, 1))[:, ::-1] if mirror else self.engine(picture)  # type: ignore[arg-type]
                for mirror in view.mirrored
            ]
            depth_m: NDArray[np.float32] = np.stack(passes).mean(axis=0, dtype=np.float32)
            # The picture's side, not the view's: rounding, and the limit on long panoramas, have changed it.
            factor = self.calibration * (min(picture.shape[:2]) / self.trained_side) ** self.power
            depths.append(np.float32(factor) * (depth_m if self.power == 1 else depth_m ** np.float32(self.power)))
        depth_m = depths.pop()  # of the largest side, which sets the size
        if depths:
            logs = [np.log(depth_m), *(np.log(resize(other, depth_m.shape)) for other in depths)]
            depth_m = np.exp(np.mean(logs, axis=0, dtype=np.float32))
        if self.edge_share:
            return follow_edges(depth_m, image, self.edge_share)
        return resize(depth_m, image.shape[:2])


def resize(depth_m: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize bilinearly to (H, W)."""
    resized = cv2.resize(depth_m, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.float32, copy=False)
