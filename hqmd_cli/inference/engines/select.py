"""Which engine computes a checkpoint. Importing this imports no engine, and not even NumPy."""

import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.hub import ONNX_FILES
from hqmd_cli.errors import HqmdError
from hqmd_cli.registry import pick

if TYPE_CHECKING:
    import torch

    from hqmd_cli.inference.engines import Engine


@dataclass(frozen=True)
class Backend:
    """A value of --backend."""

    about: str  # for its help
    graphs: tuple[str, ...]  # precisions of the graphs that it opens, the preferred one first; none: torch computes


AUTO = "auto"
BACKENDS = {
    AUTO: Backend("ONNX Runtime on a CPU if the model has a graph, otherwise torch", ("int8", "fp32")),
    "onnx": Backend("ONNX Runtime on the CPU", ("fp32",)),
    "onnx-int8": Backend("ONNX Runtime in 8-bit integers", ("int8",)),
    "torch": Backend("torch on any device", ()),
}


def engine_opener(
    checkpoint: Path, backend: str = "auto", device: str = "auto", threads: int = 0, compiled: bool = False
) -> "Callable[[], Engine]":
    """A function that opens the engine, whose module is imported by now.

    Two steps, for the import needs Python, while ONNX Runtime opens a graph without it: beside other imports, in a
    thread. backend "auto" is torch where there is a GPU or no graph for ONNX Runtime, which otherwise computes it, with
    `threads` a photo (0: one a core); in int8 where the checkpoint has that, which its publisher found to be as good.
    `compiled` is torch.compile's. Raises HqmdError when the wish cannot be had.
    """
    precision = graph_for(checkpoint, backend)
    on_cpu = device == "cpu" or (device == "auto" and not may_have_gpu())
    if precision and backend != AUTO and device not in ("auto", "cpu"):
        raise HqmdError(f"backend {backend} computes on the CPU, not on {device}; use --backend torch")
    if precision and (backend != AUTO or on_cpu):
        if compiled:
            raise HqmdError("--compile is for torch: add --backend torch")
        from hqmd_cli.inference.engines.onnx import OnnxEngine

        return partial(OnnxEngine, checkpoint / ONNX_FILES[precision], threads, precision)

    from hqmd_cli.inference.device import pick_device

    chosen = pick_device(device)
    if precision and chosen.type == "cpu":  # a GPU that torch cannot use
        return engine_opener(checkpoint, backend, "cpu", threads, compiled)
    return partial(open_in_torch, checkpoint, chosen, compiled)


def open_in_torch(checkpoint: Path, device: "torch.device", compiled: bool) -> "Engine":
    """The network as it was trained; on CUDA its backbone in half precision."""
    from hqmd_cli.checkpoints.checkpoint import load_checkpoint
    from hqmd_cli.inference.engines.pytorch import TorchEngine, with_short_backbones

    network, _ = load_checkpoint(checkpoint, device)
    if device.type == "cuda":
        with_short_backbones(network)
    return TorchEngine(network, device, compiled)


def graph_for(checkpoint: Path, backend: str) -> str | None:
    """The precision of the checkpoint's graph that a backend would open; None: torch it is.

    Raises HqmdError where the one that is asked for is not there, and for a backend that does not exist.
    """
    wanted = pick(BACKENDS, backend, "backend").graphs
    found = next((precision for precision in wanted if (checkpoint / ONNX_FILES[precision]).is_file()), None)
    if wanted and found is None and backend != AUTO:
        how = " --precision int8" if wanted == ("int8",) else ""
        raise HqmdError(
            f"{checkpoint}: there is no {ONNX_FILES[wanted[0]]}; `hqmd export{how}` makes one, or use --backend torch"
        )
    return found


def may_have_gpu() -> bool:
    """Whether asking torch for a GPU is worth importing torch: is there a driver's device, or Apple silicon?"""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", r"C:\Windows\System32\nvcuda.dll")
    return sys.platform == "darwin" or any(os.path.exists(driver) for driver in drivers)
