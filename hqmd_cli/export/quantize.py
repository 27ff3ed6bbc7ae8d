"""Quantize a graph to 8-bit integers with ONNX Runtime: smaller and faster, but not equal to the millimetre.

Only the matrices of a transformer are quantized. Their inputs are scaled picture by picture ("dynamic" quantization),
which hardly costs accuracy (benchmarks/precision.md). Convolutions would need fixed ranges, and lose too much.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

Weights take 7 of the 8 bits, because sums of 8-bit products overflow on processors without VNNI.
"""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hqmd_cli.errors import HqmdError


def in_int8(model: Any) -> Any:
    """Quantize the matrices of an onnx.ModelProto. Raises HqmdError if it has none."""
    turn_matrices(model)
    return quantize_matrices(model)


def in_int8_when_opened(model: Any) -> Any:
    """Quantize the matrices of an onnx.ModelProto, but store float weights that the graph quantizes when it is opened.

    So a checkpoint's int8 graph can read its weights from model.safetensors, too. Raises HqmdError if it has no matrix.
    """
    from onnx import helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer}
    turned = turn_matrices(model)
    quantized = quantize_matrices(model)
    stored, made = [], []
    for tensor in quantized.graph.initializer:
        matrix = tensor.name.removesuffix("_quantized")
        if matrix == tensor.name:
            stored.append(tensor)
            continue
        weight = turned[matrix]
        stored.append(weights[weight])
        scale = [f"{matrix}_scale", f"{matrix}_zero_point"]
        # Quantize before transposing: ONNX Runtime is slow where neighbours have different scales.
        made.append(helper.make_node("QuantizeLinear", [weight, *scale], [f"{matrix}_whole"], axis=0))
        made.append(helper.make_node("Transpose", [f"{matrix}_whole"], [tensor.name], perm=[1, 0]))
    replace_all(quantized.graph.initializer, stored)
    replace_all(quantized.graph.node, [*made, *quantized.graph.node])
    return quantized


def turn_matrices(model: Any) -> dict[str, str]:
    """Store transposed matrices instead of Transpose nodes: the quantizer only takes stored matrices.

    Returns the name of each transposed matrix -> the name of its weight.
    """
    from onnx import numpy_helper

    weights = {tensor.name: tensor for tensor in model.graph.initializer if len(tensor.dims) == 2}
    turned, others = {}, []
    for node in model.graph.node:
        if node.op_type == "Transpose" and node.input[0] in weights:
            turned[node.output[0]] = node.input[0]
        else:
            others.append(node)
    replace_all(model.graph.node, others)
    left = [tensor for tensor in model.graph.initializer if tensor.name not in turned.values()]
    for name, weight in turned.items():
        matrix = np.ascontiguousarray(numpy_helper.to_array(weights[weight]).T)
        left.append(numpy_helper.from_array(matrix, name))
    replace_all(model.graph.initializer, left)
    return turned


def quantize_matrices(model: Any) -> Any:
    """Quantize every stored matrix of a MatMul dynamically."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder, quiet():
        path = Path(folder, "dynamic.onnx")
        # Behind ONNX Runtime's own operators, ONNX does not know the types, which the quantizer asks it for.
        float_matrices = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        settings = {
            "per_channel": True,
            "reduce_range": True,
            "weight_type": QuantType.QInt8,
            "extra_options": float_matrices,
        }
        quantize_dynamic(model, path, op_types_to_quantize=["MatMul"], **settings)
        quantized = onnx.load(path)
    if not any(tensor.data_type == onnx.TensorProto.INT8 for tensor in quantized.graph.initializer):
        raise HqmdError("int8 is for a transformer's matrices, and this model has none; export it as fp32")
    return quantized


def replace_all(field: Any, values: list[Any]) -> None:
    """Assign to a repeated field of a protobuf, which has no assignment."""
    values = list(values)
    del field[:]
    field.extend(values)


@contextmanager
def quiet() -> Iterator[None]:
    """While inside, silence the quantizer's advice on steps that are done already."""
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(before)
