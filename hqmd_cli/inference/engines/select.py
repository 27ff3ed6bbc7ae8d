"""Choose the engine for a checkpoint. This module imports no engine, and not even NumPy, before it has chosen."""

import os
import sys
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from hqmd_cli.checkpoints.hub import ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.checkpoints.safetensors_file import require_whole
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.providers import PROVIDERS, candidates, clash, named
from hqmd_cli.installed import require
from hqmd_cli.registry import pick

if TYPE_CHECKING:
    import torch

    from hqmd_cli.inference.engines import Engine


class Backend(NamedTuple):  # as files/kinds.py
    """A value of --backend."""

    about: str  # for the help
    graphs: tuple[str, ...]  # precisions of the graphs that it opens, preferred first; empty: torch computes


AUTO = "auto"  # the only backend that may fall back to torch
BACKENDS = {
    AUTO: Backend("torch on a GPU that it has, otherwise ONNX Runtime if the model has a graph", ("int8", "fp32")),
    "onnx": Backend("ONNX Runtime", ("fp32",)),
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
    precision = graph_in_onnx(checkpoint, backend, device)
    if precision is None:
        require("torch", f"--backend {backend} with {checkpoint.name}")
        from hqmd_cli.inference.device import pick_device

        return open_in_torch(checkpoint, pick_device(device), compiled)
    if device not in ("auto", "cpu") and named(device) is None:
        raise HqmdError(f"ONNX Runtime does not compute on {device}; use --backend torch, or {', '.join(PROVIDERS)}")
    if compiled:
        raise HqmdError("--compile is for torch: add --backend torch")
    if os.path.lexists(checkpoint / WEIGHTS_FILE):  # a graph may have its own weights
        require_whole(checkpoint / WEIGHTS_FILE)
    return open_in_onnx(checkpoint, precision, backend, device, threads)


def open_in_onnx(checkpoint: Path, precision: str, backend: str, device: str, threads: int) -> "Engine":
    """Open a graph in ONNX Runtime on the best provider that is there and computes it right, else on the CPU.

    Raises HqmdError if `device` names a provider that is not there or does not.
    """
    from hqmd_cli.inference.engines.onnx import OnnxEngine, available

    names, packages = available()
    providers = candidates(device, names) if device != "cpu" else []
    why = clash(names, packages) if device == "auto" else ""
    if providers:
        from hqmd_cli.checkpoints.config_file import model_hash
        from hqmd_cli.inference.engines.accelerators import open_accelerated

        # The 8-bit graph is for CPUs.
        whole = "fp32" if backend == AUTO and (checkpoint / ONNX_FILES["fp32"]).is_file() else precision
        graph = checkpoint / ONNX_FILES[whole]
        engine, why = open_accelerated(
            partial(OnnxEngine, graph, 0, whole), graph, lambda: [model_hash(checkpoint), graph.name], providers, device
        )
        if engine:
            return engine
        if device != "auto":
            raise HqmdError(f"{why}; use --device cpu")
    engine = OnnxEngine(checkpoint / ONNX_FILES[precision], threads, precision)
    engine.fallback = why
    engine.name += f" ({why})" if why else ""
    return engine


def open_in_torch(checkpoint: Path, device: "torch.device", compiled: bool) -> "Engine":
    """Open the network in torch, in float32; on CUDA its backbone computes in bfloat16."""
    from hqmd_cli.checkpoints.checkpoint import load_checkpoint
    from hqmd_cli.inference.engines.pytorch import TorchEngine, use_bfloat16_backbones

    network, _ = load_checkpoint(checkpoint, device)
    if device.type == "cuda":
        use_bfloat16_backbones(network)
    return TorchEngine(network, device, compiled)


def import_onnx(checkpoint: Path, backend: str, device: str) -> None:
    """Import ONNX Runtime if it will compute. Imports wait for each other, and opening a graph waits for none."""
    if graph_in_onnx(checkpoint, backend, device):
        import_module("hqmd_cli.inference.engines.onnx")


def graph_in_onnx(checkpoint: Path, backend: str, device: str) -> str | None:
    """Return the precision of the graph that ONNX Runtime computes; None if torch computes.

    Raises HqmdError as graph_for and torch_has.
    """
    precision = graph_for(checkpoint, backend)
    return None if precision and backend == AUTO and torch_has(device) else precision


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


def torch_has(device: str) -> bool:
    """Return True if `device` is a GPU, or "auto" and torch can use one. Imports torch only if a driver is present.

    Raises HqmdError for a GPU that torch does not have, unless ONNX Runtime may.
    """
    if device == "cpu" or (device == "auto" and not may_have_gpu()):
        return False
    if find_spec("torch") is None or (named(device) and not may_have_gpu()):
        return False
    from hqmd_cli.inference.device import pick_device

    try:
        return pick_device(device).type != "cpu"
    except HqmdError:
        if named(device):
            return False
        raise


def may_have_gpu() -> bool:
    """Return True if a GPU driver or Apple silicon is present, so that torch is worth importing."""
    drivers = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd", r"C:\Windows\System32\nvcuda.dll")
    return sys.platform == "darwin" or any(os.path.exists(driver) for driver in drivers)
