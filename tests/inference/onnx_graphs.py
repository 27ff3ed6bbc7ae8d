"""Tiny ONNX files with the inputs and outputs of those that others publish, and arithmetic in place of a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

FLOAT, WHOLE = TensorProto.FLOAT, TensorProto.INT64
Value = tuple[str, int, list[Any]]


def save(
    path: Path, inputs: Sequence[Value], outputs: Sequence[Value], lines: str, stored: dict[str, Any] | None = None
) -> Path:
    """Write a graph whose nodes are lines in ONNX's text format."""
    nodes = onnx.parser.parse_graph(f"g () => () {{{lines}}}").node
    tensors = [numpy_helper.from_array(np.asarray(values), name) for name, values in (stored or {}).items()]
    ends = [[helper.make_tensor_value_info(*value) for value in values] for values in (inputs, outputs)]
    graph = helper.make_graph(nodes, "tiny", *ends, tensors)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def mean_of_channels(axis: int, add: float) -> dict[str, Any]:
    """Stored values; "weights" are so many that they may lie in a file of their own."""
    return {"axis": np.array([axis]), "weights": np.full(64, add, np.float32)}


MORE = "more = ReduceMean <keepdims = 0> (weights)"
MEAN = MORE + " mean = ReduceMean <keepdims = 0> ({input}, axis) {output} = Add (mean, more)"


def depth_anything_v2(path: Path, add: float = 5) -> Path:
    lines = MEAN.format(input="pixel_values", output="predicted_depth")
    ends = ([("pixel_values", FLOAT, ["b", 3, "h", "w"])], [("predicted_depth", FLOAT, ["b", "h", "w"])])
    return save(path, *ends, lines, mean_of_channels(1, add))


def depth_anything_3(path: Path) -> Path:
    lines = MEAN.format(input="pixel_values", output="predicted_depth")
    ends = ([("pixel_values", FLOAT, [1, "n", 3, "h", "w"])], [("predicted_depth", FLOAT, [1, "n", "h", "w"])])
    return save(path, *ends, lines, mean_of_channels(2, 5))


def depth_anything_3_metric(path: Path, size: tuple[Any, Any] = ("h", "w")) -> Path:
    """Its sky is where the picture is bright."""
    lines = """
        depth = ReduceMean <keepdims = 1> (raised, axis) sky = ReduceMax <keepdims = 1> (image, axis)
    """
    lines = f"{MORE} raised = Add (image, more) {lines}"
    ends = (
        [("image", FLOAT, [1, 3, *size])],
        [("depth", FLOAT, [1, 1, *size]), ("sky", FLOAT, [1, 1, *size])],
    )
    return save(path, *ends, lines, mean_of_channels(1, 5))


def metric3d(path: Path, input: str = "pixel_values", output: str = "predicted_depth", factor: float = 0.01) -> Path:
    lines = f"{MORE} mean = ReduceMean <keepdims = 1> ({input}, axis) small = Mul (mean, factor)"
    lines += f" {output} = Add (small, more)"
    ends = ([(input, FLOAT, ["b", 3, "h", "w"])], [(output, FLOAT, ["b", 1, "h", "w"])])
    return save(path, *ends, lines, {**mean_of_channels(1, 1), "factor": np.float32(factor)})


def moge(path: Path, points: Any, mask: Any, scale: float, name: str = "scale") -> Path:
    """It answers with these points and mask, whatever it sees, and with the scale per token."""
    height, width, _ = points.shape
    lines = f"""
        none = ReduceMean <keepdims = 0> (image) zero = Mul (none, nothing)
        points = Add (known_points, zero) mask = Add (known_mask, zero) normal = Add (known_points, zero)
        tokens = Cast <to = 1> (num_tokens) {name} = Mul (tokens, per_token)
    """
    inputs = [("image", FLOAT, ["b", 3, "h", "w"]), ("num_tokens", WHOLE, [])]
    outputs = [
        ("points", FLOAT, [1, height, width, 3]), ("normal", FLOAT, [1, height, width, 3]),
        ("mask", FLOAT, [1, height, width]), (name, FLOAT, [1]),
    ]  # fmt: skip
    stored = {
        "known_points": np.float32(points)[None], "known_mask": np.float32(mask)[None], "nothing": np.float32(0),
        "per_token": np.float32([scale / 3600]),
    }  # fmt: skip
    return save(path, inputs, outputs, lines, stored)
