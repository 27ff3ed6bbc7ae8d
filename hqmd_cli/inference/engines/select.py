"""Choose the engine for a checkpoint. This module imports no engine, and not even NumPy, before it has chosen."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.hub import ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.checkpoints.safetensors_file import require_whole
from hqmd_cli.errors import HqmdError
from hqmd_cli.registry import pick

if TYPE_CHECKING:
    import torch

    from hqmd_cli.inference.engines import Engine


@dataclass(frozen=True)
class Backend:
    """A value of --backend."""

    about: str  # for the help
    graphs: tuple[str, ...]  # precisions of the graphs that it opens, preferred first; empty: torch computes


AUTO = "auto"  # the only backend that may fall back to torch
BACKENDS = {
    AUTO: Backend("ONNX Runtime on a CPU if the model has a graph, otherwise torch", ("int8", "fp32")),
    "onnx": Backend("ONNX Runtime on the CPU", ("fp32",)),
    "onnx-int8": Backend("ONNX Runtime in 8-bit integers", ("int8",)),
    "torch": Backend("torch on any device", ()),
}


def open_engine(
    checkpoint: Path, backend: str = AUTO, device: str = "auto", threads: int = 0, compiled: bool = False
) -> "Engine":
    """Open the engine for a checkpoint.

    `threads` is ONNX Runtime's number of threads per photo (0: one per core); `compiled` is for torch.compile. Raises
    HqmdError if the options cannot be met.
    """
    precision = graph_for(checkpoint, backend)
    if precision and backend == AUTO and is_gpu(device):
        precision = None
    if precision is None:
        from hqmd_cli.inference.device import pick_device

        return open_in_torch(checkpoint, pick_device(device), compiled)
    if backend != AUTO and device not in ("auto", "cpu"):
        raise HqmdError(f"backend {backend} computes on the CPU, not on {device}; use --backend torch")
    if compiled:
        raise HqmdError("--compile is for torch: add --backend torch")
    if os.path.lexists(checkpoint / WEIGHTS_FILE):  # a graph may have its own weights
        require_whole(checkpoint / WEIGHTS_FILE)
    from hqmd_cli.inference.engines.onnx import OnnxEngine

    return OnnxEngine(checkpoint / ONNX_FILES[precision], threads, precision)


def open_in_torch(checkpoint: Path, device: "torch.device", compiled: bool) -> "Engine":
    """Open the network in torch, in float32; on CUDA its backbone computes in bfloat16."""
    from hqmd_cli.checkpoints.checkpoint import load_checkpoint
    from hqmd_cli.inference.engines.pytorch import TorchEngine, use_bfloat16_backbones

    network, _ = load_checkpoint(checkpoint, device)
    if device.type == "cuda":
        use_bfloat16_backbones(network)
    return TorchEngine(network, device, compiled)


def graph_for(checkpoint: Path, backend: str) -> str | None:
    """Return the precision of the graph that a backend opens; None if torch computes.

    Raises HqmdError for an unknown backend, and for one that needs a graph which the checkpoint does not have.
    """
    wanted = pick(BACKENDS, backend, "backend").graphs
    found = next((precision for precision in wanted if (checkpoint / ONNX_FILES[precision]).is_file()), None)
    if wanted and found is None and backend != AUTO:
        how = " --precision int8" if wanted == ("int8",) else ""
        raise HqmdError(
            f"{checkpoint}: there is no {ONNX_FILES[wanted[0]]}; make one with `hqmd export{how}`, or use "
            "--backend torch"
        )
    return found


def is_gpu(device: str) -> bool:
    """Return True if `device` is a GPU, or "auto" and torch can use one. Imports torch only if a driver is present."""
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return False
    from hqmd_cli.inference.device import pick_device

    return pick_device(device).type != "cpu"


def may_have_gpu() -> bool:
    """Return True if a GPU driver or Apple silicon is present, so that torch is worth importing."""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", r"C:\Windows\System32\nvcuda.dll")
    return sys.platform == "darwin" or any(os.path.exists(driver) for driver in drivers)
