"""A graph in 8-bit integers, by ONNX Runtime's quantizer: faster, smaller, and no longer the same to the millimetre.

Only matrices, which a transformer is made of: they get their inputs' scales from each picture as it comes ("dynamic"),
and cost next to nothing in accuracy (benchmarks/precision.md). Convolutions would need those ranges beforehand, and
lose a lot: AbsRel of hqmd-indoor went from 0.155 to 0.172, that of hqmd-indoor-small from 0.176 to 0.240.
https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

Weights take 7 of the 8 bits: a processor without VNNI would let sums overflow otherwise, and say something else.
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
    """Turn an onnx.ModelProto into one whose matrices are 8-bit integers. Raises HqmdError where there are none."""
    turn_matrices(model)
    return quantize_matrices(model)


def in_int8_when_opened(model: Any) -> Any:
    """Quantize as in_int8 does, but keep the weights as they are: the graph makes integers of them on opening.

    So a checkpoint's int8 graph can share the weights of its model.safetensors, too.
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
        # In this order, for the quantizer of ONNX Runtime is slow where neighbours have different scales.
        made.append(helper.make_node("QuantizeLinear", [weight, *scale], [f"{matrix}_whole"], axis=0))
        made.append(helper.make_node("Transpose", [f"{matrix}_whole"], [tensor.name], perm=[1, 0]))
    replace_all(quantized.graph.initializer, stored)
    replace_all(quantized.graph.node, [*made, *quantized.graph.node])
    return quantized


def turn_matrices(model: Any) -> dict[str, str]:
    """Transpose matrices beforehand instead of on opening, in place; the quantizer only takes what is stored.

    Returned: the name of each transposed matrix and of the weight that it was.
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
    """Dynamic int8 of every stored matrix that something is multiplied by."""
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with TemporaryDirectory() as folder, quiet():
        path = Path(folder, "dynamic.onnx")
        settings = {"per_channel": True, "reduce_range": True, "weight_type": QuantType.QInt8}
        quantize_dynamic(model, path, op_types_to_quantize=["MatMul"], **settings)
        quantized = onnx.load(path)
    if not any(tensor.data_type == onnx.TensorProto.INT8 for tensor in quantized.graph.initializer):
        raise HqmdError("there are only convolutions in this model; int8 is for a transformer's matrices")
    return quantized


def replace_all(field: Any, values: list[Any]) -> None:
    """A protobuf's repeated field, which knows no assignment."""
    values = list(values)
    del field[:]
    field.extend(values)


@contextmanager
def quiet() -> Iterator[None]:
    """The quantizer recommends, through the root logger, what has been done already."""
    before = logging.root.level
    logging.root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logging.root.setLevel(before)
