"""A graph in 8-bit integers, by ONNX Runtime's quantizer: faster, smaller, and no longer the same to the millimetre.

Matrices, which a transformer is made of, get their inputs' scales from each picture as it comes ("dynamic"), and cost
next to nothing in accuracy. Convolutions need those ranges beforehand, from photos ("static"), and lose a lot; figures
in benchmarks/precision.md. https://onnxruntime.ai/docs/performance/model-optimizations/quantization.html

Weights take 7 of the 8 bits: a processor without VNNI would let sums overflow otherwise, and say something else.
"""

import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError

LAST_LAYER = ".decoder.logits."  # in its weights' names; 8 bits of a depth's logarithm would be steps in every wall


def in_int8(model: Any, pictures: Iterable[NDArray[np.uint8]] = ()) -> Any:
    """An onnx.ModelProto as another whose matrices, and given pictures also convolutions, are 8-bit integers.

    pictures: (h, w, 3) uint8 RGB, as the network sees them. Raises HqmdError where nothing can be quantized.
    """
    import onnx

    frames = [{"rgb": picture[None]} for picture in pictures]
    with TemporaryDirectory() as folder:
        given, static = Path(folder, "given.onnx"), Path(folder, "static.onnx")
        if frames:
            onnx.save(model, given)
            quantize_convolutions(given, static, frames)
            model = onnx.load(static)
        else:
            turn_matrices(model)
        return quantize_matrices(model)


def in_int8_when_opened(model: Any) -> Any:
    """The same without pictures, but the result holds the weights as they were, and makes integers of them on opening.

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
        raise HqmdError("there are only convolutions in this model; int8 needs --photos to see what goes through them")
    return quantized


def quantize_convolutions(given: Path, static: Path, frames: Iterable[dict[str, NDArray[np.uint8]]]) -> None:
    """Static int8 (QDQ, least and greatest value) of all convolutions but the last, from file to file."""
    import onnx
    from onnxruntime import GraphOptimizationLevel, InferenceSession, SessionOptions
    from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

    class Ranges:
        """As onnxruntime.quantization.CalibrationDataReader hands out inputs: one at a time, then None."""

        left = iter(frames)

        def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
            return next(self.left, None)

    folded = static.with_suffix(".folded.onnx")
    options = SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = GraphOptimizationLevel.ORT_ENABLE_BASIC  # batch norms into convolutions
    options.optimized_model_filepath = str(folded)
    InferenceSession(given, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(folded).graph.node
    with quiet():
        quantize_static(
            folded,
            static,
            Ranges(),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=["Conv"],
            nodes_to_exclude=[node.name for node in nodes if any(LAST_LAYER in name for name in node.input)],
            per_channel=True,
            reduce_range=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
        )


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
