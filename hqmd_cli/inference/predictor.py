"""Predict depth from a photo: the network's passes, their mean, and the way back to the photo's size. No torch."""

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import side_views, sides_in_words
from hqmd_cli.geometry.resize import Preprocess
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.guided_filter import follow_edges
from hqmd_cli.inference.uncertainty import Uncertainty, uncertainty

Pass: TypeAlias = tuple[Preprocess, tuple[bool, ...]]  # at one side, plain or mirrored or both
DETAIL_SHARE = 0.05  # of the shorter side: sigma of the Gaussian below which a view's differences count as detail


class DepthPredictor:
    """An engine with its preprocessing: (H, W, 3) uint8 RGB -> (H, W) float32 metres.

    The metres come from the sides that the model was calibrated for. A network learns depth at the scale of its
    training size. In a larger picture things look as if they were nearer, so its depth is multiplied by the ratio of
    the two sizes, and then calibrated (evaluation/calibration.py). Depth at several sides is averaged by the geometric
    mean, since a network errs by a factor rather than by a distance: a small picture shows the room, a large one the
    edges. `flip`, or the model's view, adds the mirrored photo at each side: twice the time.

    A network cannot tell a photo shown larger from the same room seen from nearer, so no other side may change the
    metres. Only the low frequencies of log depth come from that mean; the high ones, which have no scale, come from
    the largest side alone: that of the mean, or `detail_sides` (empty: those of the model's view).
    """

    def __init__(
        self, engine: Engine, model: ModelConfig, detail_sides: tuple[int, ...] = (), flip: bool = False
    ) -> None:
        self.engine, self.model = engine, model
        self.sides, self.detail_sides = model.shown_sides, detail_sides or model.view.detail_sides
        self.flip = flip or model.view.flip
        # Ready-made here, because they are the same for every photo.
        self.passes = passes_of(model, self.sides, self.flip)
        self.detail_passes = passes_of(model, self.detail_sides, self.flip) if self.detail_sides else []
        self.trained_side = min(model.network.size)
        self.log_calibration = np.float32(np.log(model.view.calibration))
        self.power, self.edge_share = model.view.power, model.view.edge_share

    @property
    def in_words(self) -> str:
        """How photos are shown to the network, for messages."""
        return f"photos seen at {sides_in_words(self.sides, self.flip, self.detail_sides)}"

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Return the depth of one photo at the photo's own size, enlarged along its edges or bilinearly."""
        return self.with_logs(image)[0]

    def with_uncertainty(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], Uncertainty]:
        """Return the depth of one photo, and how sure it is. Only for a view whose errors were measured."""
        depth_m, logs = self.with_logs(image)
        return depth_m, uncertainty(logs, self.model.view.scale_error, self.model.view.shape_error)

    def with_logs(self, image: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the depth of one photo (H, W), and the log depth of each view that its metres come from (n, h, w)."""
        logs = same_size(self.log_depths(image, self.passes))
        details = self.log_depths(image, self.detail_passes) if self.detail_passes else [logs[-1]]
        is_one = len(logs) == 1 and not self.detail_passes
        log_m = logs.mean(axis=0)
        depth_m = np.exp(log_m if is_one else with_detail(log_m, same_size(details).mean(axis=0)))
        if self.edge_share:
            return follow_edges(depth_m, image, self.edge_share), logs
        return resize(depth_m, image.shape[:2]), logs

    def log_depths(self, image: NDArray[np.uint8], passes: list[Pass]) -> list[NDArray[np.float32]]:
        """Return the logarithm of calibrated metres for each pass, at the size of the network's output."""
        pictures = [preprocess(image) for preprocess, _ in passes]
        logs = []
        for picture, (_, mirrored) in zip(pictures, passes, strict=True):
            maps = [
                self.engine(cv2.flip(picture, 1))[:, ::-1] if mirror else self.engine(picture)  # type: ignore[arg-type]
                for mirror in mirrored
            ]
            depth_m: NDArray[np.float32] = np.stack(maps).mean(axis=0, dtype=np.float32)
            # The picture's side, not the view's: rounding, and the limit on long panoramas, have changed it.
            larger = min(picture.shape[:2]) / self.trained_side
            logs.append(np.float32(self.power) * np.log(depth_m * np.float32(larger)) + self.log_calibration)
        return logs


def passes_of(model: ModelConfig, sides: tuple[int, ...], flip: bool) -> list[Pass]:
    """Return what a photo goes through on its way into the network, for each of its sides."""
    how = model.compute.size_multiple, model.compute.sharpen_below
    return [(Preprocess((side, side), *how), mirrored) for side, mirrored in side_views(sides, flip)]


def same_size(logs: list[NDArray[np.float32]]) -> NDArray[np.float32]:
    """Bring maps (h, w) to the size of the last one, which is the largest: (maps, h, w)."""
    return np.stack([resize(log_m, logs[-1].shape) for log_m in logs])


def with_detail(log_m: NDArray[np.float32], log_detail: NDArray[np.float32]) -> NDArray[np.float32]:
    """Join the low frequencies of one map (h, w) with the high ones of another, at the larger of both sizes."""
    size = max(log_m.shape, log_detail.shape)
    log_detail = resize(log_detail, size)
    low = cv2.GaussianBlur(resize(log_m, size) - log_detail, (0, 0), DETAIL_SHARE * min(size))
    return log_detail + low.astype(np.float32, copy=False)


def resize(depth_m: NDArray[np.float32], size: tuple[int, ...]) -> NDArray[np.float32]:
    """Resize bilinearly to (H, W)."""
    resized = cv2.resize(depth_m, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.float32, copy=False)
