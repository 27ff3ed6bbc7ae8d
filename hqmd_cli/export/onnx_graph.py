"""Write a network as ONNX: uint8 RGB in, metres out. Batch, height and width are dynamic unless a size is given.

There are two layouts. A single file holds graph and weights. A checkpoint's model.onnx holds the graph only and reads
its weights from the model.safetensors beside it, by offset (ONNX's external data): a model carries its weights once,
and both engines use the same ones.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from hqmd_cli import __version__
from hqmd_cli.checkpoints.hub import ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.checkpoints.safetensors_file import read_header
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import side_views
from hqmd_cli.errors import HqmdError
from hqmd_cli.export.error_outputs import verify_errors
from hqmd_cli.export.quantize import in_int8, in_int8_when_opened, replace_all
from hqmd_cli.export.standalone import Standalone, set_size, shown_size, standalone_graph
from hqmd_cli.export.traced_layers import WIDELY_KNOWN, traceable
from hqmd_cli.export.verify import LIMITS, Difference, Limits, verify
from hqmd_cli.files.atomic import write_aside
from hqmd_cli.inference.engines.check_pictures import CHECKED_SIZES
from hqmd_cli.inference.engines.pytorch import PhotoToDepth, TorchEngine
from hqmd_cli.inference.foreign.onnx_file import OWN_KEY
from hqmd_cli.installed import require
from hqmd_cli.models.base import DepthModel
from hqmd_cli.models.ordinal import OrdinalHead
from hqmd_cli.registry import pick

if TYPE_CHECKING:
    from hqmd_cli.models import Network

# Version of the operators in a checkpoint's graph, for the ONNX Runtime that hqmd requires: one operator for GELU, and
# ONNX Runtime's own for the attention of all heads, make a transformer faster. A single file keeps to WIDELY_KNOWN.
NEWEST = 23


def graph_of(network: nn.Module, size: tuple[int, int] | None = None, opset: int = WIDELY_KNOWN) -> Any:
    """Return the network as an onnx.ModelProto with its weights; the network itself does not change.

    opset: version of ONNX's operators. size: (height, width) of the only pictures that the graph takes, one at a time,
    for runtimes without dynamic sizes; None: any size. Raises HqmdError if a layer cannot become ONNX.
    """
    require("onnxscript", "exporting a graph")
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    require_exportable(network)
    # From an example of one picture, torch would infer a fixed batch.
    example = torch.zeros(*((1, *size) if size else (2, *CHECKED_SIZES[0])), 3, dtype=torch.uint8)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = None if size else {"rgb": {0: dynamic, 1: dynamic, 2: dynamic}}
    with traceable(network, for_onnx_runtime=opset > WIDELY_KNOWN):
        program = torch.export.export(PhotoToDepth(network).eval(), (example,), dynamic_shapes=shapes)
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["rgb"],
            output_names=["depth_m"],
            opset_version=opset,
            optimize=False,  # it would fold batch norm into the weights, which the checkpoint shares
            verbose=False,
        )
    # ONNX Runtime fuses a convolution, its batch norm and its activation only if biases and the limits of ReLU6 are
    # constants; without that, an EfficientNet takes twice the time. Weights are not folded.
    fold_constants(exported.model, should_fold=lambda node: False if node.op_type == "Transpose" else None)
    remove_unused_nodes(exported.model)
    model = exported.model_proto
    forget_origin(model)
    drop_zero_biases(model.graph)
    return model


def require_exportable(network: nn.Module) -> None:
    """Raise HqmdError if the network, or a member of an ensemble, computes what ONNX has no operator for."""
    for part in network.modules():
        if isinstance(part, DepthModel) and part.not_in_onnx:
            raise HqmdError(f"{part.config.system} cannot become ONNX: {part.not_in_onnx}; it runs in torch only")


def forget_origin(model: Any) -> None:
    """Drop torch's notes on each node: 2 MB of stack traces with this machine's folders."""
    for part in (*model.graph.node, *model.graph.value_info, model.graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.value_info[:]  # shapes of intermediate results, which ONNX Runtime infers


def drop_zero_biases(graph: Any) -> None:
    """Drop the biases of zeros that the exporter gives to convolutions without a bias, as before batch norm."""
    from onnx import numpy_helper

    zeros = {tensor.name for tensor in graph.initializer if not numpy_helper.to_array(tensor).any()}
    dropped = [node.input.pop() for node in graph.node if node.op_type == "Conv" and zeros.intersection(node.input[2:])]
    unused = set(dropped).difference(name for node in graph.node for name in node.input)
    replace_all(graph.initializer, [tensor for tensor in graph.initializer if tensor.name not in unused])


def export_file(
    network: "Network",
    model: ModelConfig,
    path: Path,
    precision: str = "fp32",
    size: tuple[int, int] | None = None,
    digest: str = "",
) -> Difference:
    """Write one self-contained .onnx file; return its difference from torch.

    precision: a key of LIMITS. size: (height, width) of its pictures; None: any. digest: of the model, for the metadata
    by which onnx: models are reopened (inference/foreign/onnx_file.py). The graph shows the network a picture
    at the model's own sides, calibrates, and returns metres for every pixel (export/standalone.py), as no program
    around it does. Raises HqmdError as verify does.
    """
    limits = pick(LIMITS, precision, "precision")
    views = side_views(model.shown_sides, model.view.flip)
    with at_every_pixel(network):
        if size:
            graphs = [graph_of(network, shown_size(model, view.side, *size)) for view in views]
        else:
            graphs = [graph_of(network)] * len(views)
        graph = standalone_graph([in_int8(g) for g in graphs] if precision == "int8" else graphs, model)
        if size:
            set_size(graph, size)
        graph.metadata_props.add(key=OWN_KEY, value=json.dumps(described(size, digest)))
        return write_verified(graph, Standalone(network, model), path, limits, size)


def described(size: tuple[int, int] | None, digest: str) -> dict[str, Any]:
    """Return what a reader of a single file has to know, as plain data: its metres are those of NYU's camera."""
    return {
        "unit": "metre",
        "camera": "nyu",
        "size": size and list(size),
        "model_sha256": digest,
        "hqmd_version": __version__,
    }


def export_beside(network: nn.Module, checkpoint: Path, precision: str = "fp32") -> Difference:
    """Write a checkpoint's graph, which reads its weights from model.safetensors.

    precision: a key of LIMITS and of ONNX_FILES, which names the graph. Returns the difference from torch. Raises
    HqmdError as verify does.
    """
    limits = pick(LIMITS, precision, "precision")
    graph = graph_of(network, opset=NEWEST)
    if precision == "int8":
        graph = in_int8_when_opened(graph)
    share_weights(graph, checkpoint / WEIGHTS_FILE)
    shorten_names(graph.graph)
    return write_verified(graph, network, checkpoint / ONNX_FILES[precision], limits)


@contextmanager
def at_every_pixel(network: nn.Module) -> Iterator[None]:
    """Let the network compute depth at every pixel inside, whatever its depth_stride."""
    strides = {part: part.depth_stride for part in network.modules() if isinstance(part, DepthModel)}
    for part in strides:
        part.depth_stride = 1
    try:
        yield
    finally:
        for part, stride in strides.items():
            part.depth_stride = stride


def write_verified(
    model: Any, network: nn.Module, path: Path, limits: Limits, size: tuple[int, int] | None = None
) -> Difference:
    """Write the file by rename after verify accepts it, so that a rejected export leaves an earlier file alone."""
    content, measured = model.SerializeToString(), []
    intervals = any(isinstance(part, OrdinalHead) for part in network.modules())

    def save(aside: Path) -> None:
        aside.write_bytes(content)
        reference, sizes = TorchEngine(network, torch.device("cpu")), [size] if size else CHECKED_SIZES
        measured.append(verify(aside, reference, limits, sizes, intervals))
        if isinstance(network, Standalone) and network.model.view.errors:
            verify_errors(aside, network, sizes, limits.error)

    write_aside(path, save)
    return measured[0]


def share_weights(model: Any, weights: Path) -> None:
    """Replace each weight of the graph by a reference into the safetensors file, and a cast if it is in half precision.

    Raises HqmdError if the file cannot be read.
    """
    from onnx import TensorProto, helper

    header = read_header(weights)
    types = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
    casts = []
    for tensor in model.graph.initializer:
        entry = header.get(tensor.name.removeprefix("network."))
        if entry is None:  # mean and deviation of the input, which are not weights
            continue
        name, half = tensor.name, entry.dtype == "F16"
        shared = TensorProto(
            name=f"{name}.half" if half else name,
            dims=entry.shape,
            data_type=types[entry.dtype],
            data_location=TensorProto.EXTERNAL,
        )
        place = {"location": weights.name, "offset": entry.begin, "length": entry.end - entry.begin}
        for key, value in place.items():
            shared.external_data.add(key=key, value=str(value))
        tensor.CopyFrom(shared)
        if half:
            casts.append(helper.make_node("Cast", [shared.name], [name], to=TensorProto.FLOAT))
    replace_all(model.graph.node, [*casts, *model.graph.node])  # ONNX requires the order of computation


def shorten_names(graph: Any) -> None:
    """Replace the names of intermediate values, half the size of a graph without weights, by hexadecimal numbers."""
    kept = {value.name for value in (*graph.input, *graph.output)} | {""}  # an omitted input has an empty name
    values = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    short = {name: f"{number:x}" for number, name in enumerate(dict.fromkeys(values)) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
    del graph.value_info[:]  # added by the quantizer
