"""The network in ONNX Runtime, on the CPU or an accelerator. No torch and no timm, so a cold start is short."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext, redirect_stdout
from importlib.util import find_spec
from io import StringIO
from pathlib import Path
from textwrap import shorten
from threading import Lock
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.network import DEPTH_STRIDES
from hqmd_cli.config.view import ERROR_TERMS
from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.native_lines import native_lines
from hqmd_cli.files.regular import require_regular
from hqmd_cli.inference.engines.memory import too_large
from hqmd_cli.inference.engines.onnx_runtime import onnxruntime
from hqmd_cli.inference.engines.providers import CPU, Provider
from hqmd_cli.parallel.processes import fewer_cores

RGB, DEPTH = "rgb", "depth_m"  # names of the input and the output; a single file may have ERROR_TERMS as well
SILENT = 4  # ONNX Runtime's severity of what ends the process; its exceptions say the rest, in one line
ANY = None  # size of a picture, which may be fixed in a graph or not
MOST_SHOWN = 8  # inputs or outputs in a message
LONGEST_ERROR = 300  # characters; some errors list shapes of a whole graph
SOURCE_PLACE = re.compile(r"/\S+\.cc:\d+ .*?\) ")  # where in its source ONNX Runtime gave up


class Accelerator(NamedTuple):
    """What computes instead of the CPU."""

    provider: Provider
    options: dict[str, str]


class OnnxEngine:
    """Engine for a graph that `hqmd export` wrote, in this precision.

    On an accelerator, `nodes` counts the nodes that it took; the CPU computes the others. Raises HqmdError if the graph
    cannot be opened, or has other inputs or outputs, and later if it answers with anything but depth.
    """

    def __init__(
        self, path: Path, threads: int = 0, precision: str = "fp32", accelerator: Accelerator | None = None
    ) -> None:
        require_regular(path)  # ONNX Runtime would wait for a pipe's writer
        self.path, self.precision = path, precision
        self.fallback = ""
        self.computing = Lock() if accelerator else None  # not every provider takes two photos at once
        self.session, self.nodes, where, self.said = open_session(path, threads, accelerator)
        self.name = f"ONNX Runtime on {where}, {precision}"
        require_values(path, "inputs", self.session.get_inputs(), RGB, "tensor(uint8)", (1, ANY, ANY, 3))
        outputs = [value for value in self.session.get_outputs() if value.name not in ERROR_TERMS]
        require_values(path, "outputs", outputs, DEPTH, "tensor(float)", (1, ANY, ANY))

    def __call__(self, picture: NDArray[np.uint8]) -> NDArray[np.float32]:
        height, width = picture.shape[:2]
        try:
            with self.computing or nullcontext():
                (depth_m,) = self.session.run([DEPTH], {RGB: picture[None]})
        except Exception as error:
            raise too_large(error, self.name, height, width) or HqmdError(
                f"{self.path}: ONNX Runtime failed at {height} x {width} pixels: {brief(reason_of(error))}"
            ) from error
        if depth_m.shape not in {(1, -(-height // s), -(-width // s)) for s in DEPTH_STRIDES}:
            raise HqmdError(
                f"{self.path}: not written by `hqmd export`: its answer to {height} x {width} pixels has the shape "
                f"{depth_m.shape}"
            )
        if not np.isfinite(depth_m).all():
            raise HqmdError(f"{self.path}: its depth is not finite; the graph or its weights are damaged")
        return depth_m[0]


def open_session(
    path: Path, threads: int, accelerator: Accelerator | None
) -> tuple[onnxruntime.InferenceSession, int, str, str]:
    """Open a graph on the CPU or an accelerator, with so many threads (0: one per core).

    Returns the session, how many nodes the accelerator took, where it computes, and what ONNX Runtime printed when it
    opened the accelerator. Raises HqmdError if it cannot be opened.
    """
    options = onnxruntime.SessionOptions()
    # 0: one per core of the machine, which ONNX Runtime counts whatever this process may use.
    options.intra_op_num_threads = threads or fewer_cores()
    # Threads that wait for their share of a layer would keep their cores busy, a quarter of the CPU time on two cores.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = SILENT
    # The highest level takes a fifth longer to open and computes no faster.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_LAYOUT
    try:
        if not accelerator:
            # Without its fallback, which prints, and tries the same again.
            return onnxruntime.InferenceSession(path, options, providers=[CPU], enable_fallback=0), 0, "the CPU", ""
        session, said = open_on(accelerator, path, options)
    except Exception as error:  # ONNX Runtime's errors have no common type
        why = brief(reason_of(error))
        remedy = "; put its weights beside it, as a file and no link" if "External data" in why else ""
        raise HqmdError(f"{path}: ONNX Runtime cannot open it: {why}{remedy}") from error
    nodes, total = nodes_on(accelerator.provider.name, session)
    partly = "" if nodes == total else f" ({nodes} of {total} nodes, the others on the CPU)"
    return session, nodes, f"{accelerator.provider.words}{partly}", said


def available() -> tuple[list[str], Path]:
    """Return the names of the execution providers here, and the folder of installed packages."""
    return onnxruntime.get_available_providers(), Path(onnxruntime.__file__).parents[1]


def open_on(
    accelerator: Accelerator, path: Path, options: onnxruntime.SessionOptions
) -> tuple[onnxruntime.InferenceSession, str]:
    """Open a graph on an accelerator, with the CPU for what that does not take; return what was printed, too."""
    provider, said = accelerator.provider, list[str]()
    options.enable_mem_pattern = provider.patterns
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    with native_lines(said):
        if provider.runtime == "onnxruntime-gpu" and find_spec("nvidia"):  # CUDA's libraries came with pip
            with redirect_stdout(StringIO()):  # where it prints what it does not find
                onnxruntime.preload_dlls()
        session = onnxruntime.InferenceSession(
            path, options, providers=[(provider.name, accelerator.options), CPU], enable_fallback=0
        )
    return session, brief(said[-1].rpartition("] ")[2].partition(". Please")[0]) if said else ""


def nodes_on(provider: str, session: onnxruntime.InferenceSession) -> tuple[int, int]:
    """Count the nodes of a graph that a provider computes, and all of them."""
    counts = Counter[str]()
    for part in session.get_provider_graph_assignment_info():
        counts[part.ep_name] += len(part.get_nodes())
    return counts[provider], counts.total()


def reason_of(error: Exception) -> str:
    """Return the line of an error of ONNX Runtime that says what is wrong: a provider's reason is the last one."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return SOURCE_PLACE.sub("", printable(lines[-1]) if len(lines) > 1 else first_line(error)).rstrip(".")


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
