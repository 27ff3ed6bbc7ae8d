"""The network in ONNX Runtime, on the CPU. It imports neither torch nor timm, so a cold start is short."""

from collections.abc import Sequence
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from hqmd_cli.config.network import DEPTH_STRIDES
from hqmd_cli.config.view import ERROR_TERMS
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.parallel.processes import fewer_cores

RGB, DEPTH = "rgb", "depth_m"  # names of the input and the output; a single file may have ERROR_TERMS as well
SILENT = 4  # ONNX Runtime's severity of what ends the process; its exceptions say the rest, in one line
ANY = None  # size of a picture, which may be fixed in a graph or not
MOST_SHOWN = 8  # inputs or outputs in a message
LONGEST_ERROR = 300  # characters; some errors list shapes of a whole graph


class OnnxEngine:
    """Engine for a graph that `hqmd export` wrote, in this precision.

    Raises HqmdError if it cannot be opened, or has other inputs or outputs, and later if it answers with anything but
    depth.
    """

    def __init__(self, path: Path, threads: int = 0, precision: str = "fp32") -> None:
        self.path, self.precision = path, precision
        self.name = f"ONNX Runtime on the CPU, {precision}"
        options = onnxruntime.SessionOptions()
        # 0: one per core of the machine, which ONNX Runtime counts whatever this process may use.
        options.intra_op_num_threads = threads or fewer_cores()
        options.log_severity_level = SILENT
        # The highest level takes a fifth longer to open and computes no faster.
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_LAYOUT
        try:
            # Without its fallback, which prints, and tries the same again.
            self.session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"], enable_fallback=0
            )
        except Exception as error:  # ONNX Runtime's errors have no common type
            raise HqmdError(f"{path}: ONNX Runtime cannot open it: {brief(first_line(error))}") from error
        require_values(path, "inputs", self.session.get_inputs(), RGB, "tensor(uint8)", (1, ANY, ANY, 3))
        outputs = [value for value in self.session.get_outputs() if value.name not in ERROR_TERMS]
        require_values(path, "outputs", outputs, DEPTH, "tensor(float)", (1, ANY, ANY))

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        try:
            (depth_m,) = self.session.run([DEPTH], {RGB: picture[None]})
        except Exception as error:  # most likely, memory ran out
            raise HqmdError(
                f"{self.path}: ONNX Runtime failed at {height} x {width} pixels: {brief(first_line(error))}"
            ) from error
        if depth_m.shape not in {(1, -(-height // s), -(-width // s)) for s in DEPTH_STRIDES}:
            raise HqmdError(
                f"{self.path}: not written by `hqmd export`: its answer to {height} x {width} pixels has the shape "
                f"{depth_m.shape}"
            )
        if not np.isfinite(depth_m).all():
            raise HqmdError(f"{self.path}: its depth is not finite; the graph or its weights are damaged")
        return depth_m[0]


def require_values(path: Path, what: str, values: Sequence[Any], name: str, kind: str, shape: tuple[Any, ...]) -> None:
    """Raise HqmdError unless a graph's inputs or outputs are the one that `hqmd export` writes.

    Where `shape` has 1, the graph may leave the size open.
    """
    if len(values) == 1 and (values[0].name, values[0].type) == (name, kind) and len(values[0].shape) == len(shape):
        sizes = [*zip(values[0].shape, shape, strict=True)]
        if all(
            wanted is ANY or size == wanted or (wanted == 1 and not isinstance(size, int)) for size, wanted in sizes
        ):
            return
    found = ", ".join(map(described, values[:MOST_SHOWN])) or "none"
    raise HqmdError(f"{path}: not written by `hqmd export`: its {what} are {brief(found)}")


def described(value: Any) -> str:
    """Describe an input or output of a graph."""
    return f"{value.name} {value.type}" + (f" {value.shape}" if value.type.startswith("tensor(") else "")


def brief(text: str) -> str:
    """Return a foreign text in one line that can be printed."""
    return shorten(printable(text), LONGEST_ERROR, placeholder=" ...")
