"""From a photo to its depth map: what predict, evaluate, compare and validation all call. No torch here."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.checkpoints import load_checkpoint, read_info
from hqmd_cli.config import DEFAULT_SIZE, ModelConfig
from hqmd_cli.edges import follow_edges
from hqmd_cli.engines import Engine
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import ONNX_FILES
from hqmd_cli.transforms import Preprocess

BACKENDS = ("auto", "onnx", "onnx-int8", "torch")


@dataclass(frozen=True)
class DepthPredictor:
    """An engine with its preprocessing: (H, W, 3) uint8 RGB -> (H, W) float32 metres.

    `sides` are the shorter sides, in pixels, at which photos go through the network. It has learnt depth at the scale
    of config.size; at another, things look as much larger as they would from nearer by, so that its depth is multiplied
    by the ratio of the two. Of several sides the depths are averaged (their logarithms: how far a network is off is a
    factor rather than a distance): a small picture shows it the room, a large one the edges.
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
        seen, own = (" and ".join(map(str, sides)) for sides in (self.shown_sides, self.config.shown_sides))
        elsewhere = f" (calibrated for {own})" if self.config.calibration != 1 and seen != own else ""
        mirrored = ", as they are and mirrored" if self.flips else ""
        return f"photos seen at {seen} pixels{mirrored}{elsewhere}"

    def __call__(self, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth of one photo, at the photo's own size; brought back to it along its edges, or bilinearly."""
        first, *others = (self.at(side, image) for side in sorted(self.shown_sides, reverse=True))
        depth_m = first
        if others:
            logs = [np.log(first), *(np.log(resize(other, first.shape)) for other in others)]
            depth_m = np.exp(np.mean(logs, axis=0, dtype=np.float32))
        if self.config.edge_share:
            return follow_edges(depth_m, image, self.config.edge_share)
        return resize(depth_m, image.shape[:2])

    def at(self, side: int, image: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Depth as the network sees it at one side, at the size of what it saw."""
        picture = Preprocess((side, side), self.config.size_multiple)(image)
        depth_m = self.engine(picture)
        if self.flips:
            mirrored = self.engine(np.ascontiguousarray(picture[:, ::-1]))
            depth_m = (depth_m + mirrored[:, ::-1]) / np.float32(2)
        # Not `side`: rounding, and of a long panorama transforms.base_scale, have changed it.
        return depth_m * np.float32(self.config.depth_factor(min(picture.shape[:2])))


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

    backend "auto" is torch where there is a GPU or no graph for ONNX Runtime, which otherwise computes it, with
    `threads` a photo (0: one a core); in int8 where the checkpoint has that, which its publisher found to be as good.
    `compiled` is torch.compile's; `size` one of the checkpoint's presets. Raises HqmdError when the wish cannot be had.
    """
    if backend not in BACKENDS:
        raise HqmdError(f"no backend {backend!r}; there are: {', '.join(BACKENDS)}")
    if sides and size != DEFAULT_SIZE:
        raise HqmdError("--side and --size both say how large the network sees a photo; give one of them")
    config = read_info(checkpoint).model.at_size(size)
    precision = graph_for(checkpoint, backend)
    on_cpu = device == "cpu" or (device == "auto" and not may_have_gpu())
    if backend.startswith("onnx") and device not in ("auto", "cpu"):
        raise HqmdError(f"backend {backend} computes on the CPU, not on {device}; use --backend torch")
    if precision and (backend != "auto" or on_cpu):
        from hqmd_cli.engines.onnx_engine import OnnxEngine

        if compiled:
            raise HqmdError("--compile is for torch: add --backend torch")
        return DepthPredictor(OnnxEngine(checkpoint / ONNX_FILES[precision], threads, precision), config, sides, flip)

    from hqmd_cli.device import pick_device
    from hqmd_cli.engines.torch_engine import TorchEngine, with_short_backbones

    chosen = pick_device(device)
    if precision and chosen.type == "cpu":  # a GPU that torch cannot use
        return load_predictor(checkpoint, backend, "cpu", sides, flip, threads, compiled, size)
    network, _ = load_checkpoint(checkpoint, chosen)
    if chosen.type == "cuda":
        with_short_backbones(network)
    return DepthPredictor(TorchEngine(network, chosen, compiled), config, sides, flip)


def graph_for(checkpoint: Path, backend: str) -> str | None:
    """The precision of the checkpoint's graph that a backend would open; None: torch it is.

    Raises HqmdError where the one that is asked for is not there.
    """
    wanted = {"auto": ("int8", "fp32"), "onnx": ("fp32",), "onnx-int8": ("int8",), "torch": ()}[backend]
    found = next((precision for precision in wanted if (checkpoint / ONNX_FILES[precision]).is_file()), None)
    if found is None and backend.startswith("onnx"):
        how = "" if backend == "onnx" else " --precision int8"
        raise HqmdError(
            f"{checkpoint}: there is no {ONNX_FILES[wanted[0]]}; `hqmd export{how}` makes one, or use --backend torch"
        )
    return found


def may_have_gpu() -> bool:
    """Whether asking torch for a GPU is worth importing torch: is there a driver's device, or Apple silicon?"""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", r"C:\Windows\System32\nvcuda.dll")
    return sys.platform == "darwin" or any(os.path.exists(driver) for driver in drivers)
