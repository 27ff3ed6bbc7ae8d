"""Which engine computes a checkpoint. Importing this imports no engine, and not even NumPy."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import ONNX_FILES

if TYPE_CHECKING:
    import torch

    from hqmd_cli.engines import Engine

OF_GRAPHS = ("onnx", "onnx-int8", "openvino")  # those that open a checkpoint's graph, and compute on the CPU
BACKENDS = ("auto", *OF_GRAPHS, "torch")


def engine_opener(
    checkpoint: Path, backend: str = "auto", device: str = "auto", threads: int = 0, compiled: bool = False
) -> "Callable[[], Engine]":
    """A function that opens the engine, whose module is imported by now.

    Two steps, for the import needs Python, while ONNX Runtime opens a graph without it: beside other imports, in a
    thread. backend "auto" is torch where there is a GPU or no graph for ONNX Runtime, which otherwise computes it, with
    `threads` a photo (0: one a core); in int8 where the checkpoint has that, which its publisher found to be as good.
    OpenVINO has to be asked for: a photo's depth shall not depend on how many others there are. `compiled` is
    torch.compile's. Raises HqmdError when the wish cannot be had.
    """
    if backend not in BACKENDS:
        raise HqmdError(f"no backend {backend!r}; there are: {', '.join(BACKENDS)}")
    precision = graph_for(checkpoint, backend)
    on_cpu = device == "cpu" or (device == "auto" and not may_have_gpu())
    if backend in OF_GRAPHS and device not in ("auto", "cpu"):
        raise HqmdError(f"backend {backend} computes on the CPU, not on {device}; use --backend torch")
    if precision and (backend != "auto" or on_cpu):
        if compiled:
            raise HqmdError("--compile is for torch: add --backend torch")
        if backend == "openvino":
            from hqmd_cli.engines.openvino_engine import OpenVinoEngine

            return partial(OpenVinoEngine, checkpoint / ONNX_FILES[precision], threads)
        from hqmd_cli.engines.onnx_engine import OnnxEngine

        return partial(OnnxEngine, checkpoint / ONNX_FILES[precision], threads, precision)

    from hqmd_cli.device import pick_device

    chosen = pick_device(device)
    if precision and chosen.type == "cpu":  # a GPU that torch cannot use
        return engine_opener(checkpoint, backend, "cpu", threads, compiled)
    return partial(open_in_torch, checkpoint, chosen, compiled)


def open_in_torch(checkpoint: Path, device: "torch.device", compiled: bool) -> "Engine":
    """The network as it was trained; on CUDA its backbone in half precision."""
    from hqmd_cli.checkpoints import load_checkpoint
    from hqmd_cli.engines.torch_engine import TorchEngine, with_short_backbones

    network, _ = load_checkpoint(checkpoint, device)
    if device.type == "cuda":
        with_short_backbones(network)
    return TorchEngine(network, device, compiled)


def graph_for(checkpoint: Path, backend: str) -> str | None:
    """The precision of the checkpoint's graph that a backend would open; None: torch it is.

    Raises HqmdError where the one that is asked for is not there.
    """
    wanted = {
        "auto": ("int8", "fp32"),
        "onnx": ("fp32",),
        "onnx-int8": ("int8",),
        "openvino": ("fp32",),
        "torch": (),
    }[backend]
    found = next((precision for precision in wanted if (checkpoint / ONNX_FILES[precision]).is_file()), None)
    if found is None and backend in OF_GRAPHS:
        how = " --precision int8" if backend == "onnx-int8" else ""
        raise HqmdError(
            f"{checkpoint}: there is no {ONNX_FILES[wanted[0]]}; `hqmd export{how}` makes one, or use --backend torch"
        )
    return found


def may_have_gpu() -> bool:
    """Whether asking torch for a GPU is worth importing torch: is there a driver's device, or Apple silicon?"""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", r"C:\Windows\System32\nvcuda.dll")
    return sys.platform == "darwin" or any(os.path.exists(driver) for driver in drivers)
