"""The network in OpenVINO, on the CPU: opened slower than by ONNX Runtime, then faster. Imports no torch either."""

from pathlib import Path
from threading import Lock, local

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, first_line

try:
    import openvino
except ImportError as error:
    raise HqmdError("backend openvino: OpenVINO cannot be imported; pip install 'hqmd[openvino]'") from error

from hqmd_cli.engines.compiled import compiled_network

TYPES = {"bf16": "bf16", "fp32": "f32"}  # by precision, as OpenVINO calls them


class OpenVinoEngine:
    """(h, w, 3) uint8 RGB -> float32 metres, an Engine. `path` is a file that export.py wrote, in float32.

    precision: in what it computes, bf16 or fp32; None: bf16 where the CPU has instructions for that, which takes half
    the time, and depth goes in steps of about one per cent (benchmarks/precision.md). threads: of a photo, 0: one a
    core; with 1, as many photos as there are cores are computed side by side.
    """

    def __init__(self, path: Path, threads: int = 0, precision: str | None = None) -> None:
        core = openvino.Core()
        able = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
        self.precision = precision or ("bf16" if able else "fp32")
        self.name = f"OpenVINO on the CPU, {self.precision}"
        settings = {
            "INFERENCE_PRECISION_HINT": TYPES[self.precision],
            "PERFORMANCE_HINT": "THROUGHPUT" if threads == 1 else "LATENCY",
        }
        if threads > 1:
            settings["INFERENCE_NUM_THREADS"] = str(threads)
        try:
            self.network = compiled_network(core, path, settings)
        except Exception as error:  # its errors have no common type
            raise HqmdError(f"{path}: OpenVINO cannot open it: {first_line(error)}") from error
        inputs = [name for port in self.network.inputs for name in port.get_names()]
        if inputs != ["rgb"]:
            raise HqmdError(f"{path}: not a network that `hqmd export` wrote: its inputs are {inputs}")
        self.requests = local()  # one a thread, as a request computes one picture at a time
        self.first, self.has_answered = Lock(), False

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        if self.has_answered:
            return self.answer(picture)
        # Alone: of two threads that ask for the first time at once, one start in forty, each waited for the other for
        # ever (2026.4.1, in `Tensor.data`: one sets up what tensors share and wants Python's lock, the other holds it).
        with self.first:
            depth_m = self.answer(picture)
            self.has_answered = True
        return depth_m

    def answer(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The depth of one picture, by this thread's request."""
        if not hasattr(self.requests, "own"):
            self.requests.own = self.network.create_infer_request()
        try:
            depth_m: NDArray[np.float32] = self.requests.own.infer([picture[None]])[0]
        except Exception as error:
            raise HqmdError(f"OpenVINO failed at {picture.shape[:2]} pixels: {first_line(error)}") from error
        return depth_m[0]
