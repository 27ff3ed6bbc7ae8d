"""The network in ONNX Runtime, on the CPU. It imports neither torch nor timm, so a cold start is short."""

from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.parallel.processes import fewer_cores


class OnnxEngine:
    """Engine for a graph that `hqmd export` wrote, in this precision. Raises HqmdError if it cannot be opened."""

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32") -> None:
        self.precision = precision
        self.name = f"ONNX Runtime on the CPU, {precision}"
        options = onnxruntime.SessionOptions()
        # 0: one per core of the machine, which ONNX Runtime counts whatever this process may use.
        options.intra_op_num_threads = threads or fewer_cores()
        options.log_severity_level = 3  # errors only: the warnings are about graph passes
        # The highest level takes a fifth longer to open and computes no faster.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_LAYOUT
        try:
            self.session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # ONNX Runtime's errors have no common type
            raise HqmdError(f"{path}: ONNX Runtime cannot open it: {first_line(error)}") from error
        inputs = [(i.name, i.type, i.shape[-1]) for i in self.session.get_inputs()]
        if inputs != [("rgb", "tensor(uint8)", 3)]:
            raise HqmdError(f"{path}: not written by `hqmd export`: its inputs are {inputs}")

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        try:
            (depth_m,) = self.session.run(["depth_m"], {"rgb": picture[None]})
        except Exception as error:  # most likely, memory ran out
            raise HqmdError(f"ONNX Runtime failed at {picture.shape[:2]} pixels: {first_line(error)}") from error
        return depth_m[0]
