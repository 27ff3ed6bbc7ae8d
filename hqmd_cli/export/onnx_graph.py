"""A network as ONNX: uint8 RGB in, metres out; batch, height and width are dynamic unless a size is asked for.

Two layouts. A file of its own holds its weights. A checkpoint's model.onnx holds the graph only: its weights are the
tensors of the model.safetensors beside it, found by offset (ONNX's external data), so that a bundled model carries
them once and both engines cannot disagree about them.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from hqmd_cli.checkpoints.hub import ONNX_FILES, WEIGHTS_FILE
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.export.quantize import in_int8, in_int8_when_opened, replace_all
from hqmd_cli.files.atomic import write_aside
from hqmd_cli.inference.engines import Engine
from hqmd_cli.inference.engines.onnx import OnnxEngine
from hqmd_cli.inference.engines.pytorch import PhotoToDepth, TorchEngine
from hqmd_cli.models.base import DepthModel
from hqmd_cli.models.layers import shorter_side
from hqmd_cli.registry import pick

if TYPE_CHECKING:
    from hqmd_cli.models import Network

# A file of its own keeps to operators that runtimes have known for years. A checkpoint's graph is for the ONNX Runtime
# that hqmd requires: with one operator for all heads' attention, and one for GELU, a transformer takes less time.
WIDELY_KNOWN, OF_OUR_OWN = 18, 23
ATTENTION_SINCE = 23


class Limits(NamedTuple):
    """How far an export may be from torch."""

    mean_mm: float
    largest_mm: float


LIMITS = {"fp32": Limits(1, 10), "int8": Limits(50, 500)}  # by precision; int8 of hqmd-indoor: 25 and 244
CHECKED_SIZES = ((224, 298), (288, 384), (225, 301))  # even, larger and odd: padding differs


def graph_of(network: nn.Module, size: tuple[int, int] | None = None, opset: int = WIDELY_KNOWN) -> Any:
    """The network as an onnx.ModelProto that holds its weights. The network itself is left as it was.

    opset: the version of ONNX's operators. size: (height, width) of the only pictures it shall take, one at a time, for
    runtimes that know no other; None: any.
    """
    try:
        from onnxscript.optimizer import fold_constants, remove_unused_nodes
    except ImportError as error:
        raise HqmdError("exporting needs two more packages: pip install 'hqmd[export]'") from error
    require_exportable(network)
    # With one picture as the example, torch would take the batch for fixed.
    example = torch.zeros(*((1, *size) if size else (2, *CHECKED_SIZES[0])), 3, dtype=torch.uint8)
    dynamic = torch.export.Dim.DYNAMIC
    shapes = None if size else {"rgb": {0: dynamic, 1: dynamic, 2: dynamic}}
    with traceable(network, opset):
        program = torch.export.export(PhotoToDepth(network).eval(), (example,), dynamic_shapes=shapes)
        exported: Any = torch.onnx.export(
            program,
            dynamo=True,
            input_names=["rgb"],
            output_names=["depth_m"],
            opset_version=opset,
            optimize=False,  # it would melt batch norm into the weights, which are the checkpoint's; ONNX Runtime does
            verbose=False,
        )
    # Biases and limits of ReLU6 that are computed from constants keep ONNX Runtime from melting a convolution, its
    # batch norm and its activation into one, which doubled the time of an EfficientNet. Weights stay as they are.
    fold_constants(exported.model, should_fold=lambda node: False if node.op_type == "Transpose" else None)
    remove_unused_nodes(exported.model)
    model = exported.model_proto
    forget_origin(model)
    drop_zero_biases(model.graph)
    return model


def require_exportable(network: nn.Module) -> None:
    """Raise HqmdError for a network that computes what ONNX cannot, also where it is one of several."""
    for part in network.modules():
        if isinstance(part, DepthModel) and part.not_in_onnx:
            raise HqmdError(f"{part.config.system} cannot become ONNX: {part.not_in_onnx}; it runs in torch only")


def forget_origin(model: Any) -> None:
    """Drop what torch notes on each node: stack traces with this machine's folders, 2 MB of them."""
    for part in (*model.graph.node, *model.graph.value_info, model.graph, model):
        del part.metadata_props[:]
        part.doc_string = ""
    del model.graph.value_info[:]  # shapes of intermediate results, which ONNX Runtime works out itself


def drop_zero_biases(graph: Any) -> None:
    """Convolutions without a bias, as PyTorch's before batch norm are: the exporter gives them one, zeros to store."""
    from onnx import numpy_helper

    zeros = {tensor.name for tensor in graph.initializer if not numpy_helper.to_array(tensor).any()}
    dropped = [node.input.pop() for node in graph.node if node.op_type == "Conv" and zeros.intersection(node.input[2:])]
    unused = set(dropped).difference(name for node in graph.node for name in node.input)
    replace_all(graph.initializer, [tensor for tensor in graph.initializer if tensor.name not in unused])


@contextmanager
def traceable(network: nn.Module, opset: int) -> Iterator[None]:
    """While inside, parts of timm's networks that are one operator of ONNX are traced as that one."""
    from timm.layers.conv2d_same import Conv2dSame
    from timm.models.vision_transformer import Attention

    def stand_in(part: nn.Module) -> nn.Module | None:
        if isinstance(part, Conv2dSame):
            return SameConv(part)
        if isinstance(part, Attention) and opset >= ATTENTION_SINCE and is_plain(part):
            return OneAttention(part)
        return None

    places = [
        (parent, name, child, simple)
        for parent in network.modules()
        for name, child in parent.named_children()
        if (simple := stand_in(child)) is not None
    ]
    for parent, name, _, simple in places:
        setattr(parent, name, simple)
    try:
        yield
    finally:
        for parent, name, child, _ in places:
            setattr(parent, name, child)


class SameConv(nn.Module):
    """ONNX's own Conv with auto_pad SAME_UPPER, which pads as TensorFlow does. Only for tracing.

    TensorFlow's padding depends on the size. Left to trace, each layer wraps the symbolic size of the one before in a
    ceiling and a maximum, and solving them takes five minutes instead of seconds.
    """

    def __init__(self, conv: nn.Conv2d) -> None:
        super().__init__()
        self.weight, self.bias = conv.weight, conv.bias
        self.stride = conv.stride
        self.attributes: dict[str, Any] = {
            "auto_pad": "SAME_UPPER",
            "strides": list(conv.stride),
            "dilations": list(conv.dilation),
            "group": conv.groups,
        }

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        down, across = self.stride
        shape = (batch, self.weight.shape[0], (height + down - 1) // down, (width + across - 1) // across)
        inputs = [x, self.weight] if self.bias is None else [x, self.weight, self.bias]
        return torch.onnx.ops.symbolic(
            "Conv", inputs, self.attributes, dtype=x.dtype, shape=shape, version=WIDELY_KNOWN
        )


class OneAttention(nn.Module):
    """A transformer's attention as ONNX's own operator, which takes the heads side by side. Only for tracing.

    Left to trace, queries, keys and values are cut out of one array and moved into place, head by head.
    """

    def __init__(self, attention: Any) -> None:
        super().__init__()
        self.qkv, self.proj = attention.qkv, attention.proj
        self.attributes = {"q_num_heads": attention.num_heads, "kv_num_heads": attention.num_heads}

    def forward(self, x: Tensor, attn_mask: None = None, is_causal: bool = False) -> Tensor:
        """(B, tokens, channels) -> (B, tokens, channels). Every token sees every other, as a picture's do."""
        if attn_mask is not None or is_causal:
            raise HqmdError("this network hides tokens from each other; its attention is not exported")
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        inputs, shape = [query, key, value], tuple(query.shape)
        heads = torch.onnx.ops.symbolic(
            "Attention", inputs, self.attributes, dtype=x.dtype, shape=shape, version=ATTENTION_SINCE
        )
        return self.proj(heads)


def is_plain(attention: Any) -> bool:
    """Whether timm's attention, when not in training, is softmax(Q K^T / sqrt(channels of a head)) V and no more."""
    extras = ("q_norm", "k_norm", "norm", "gate")  # some of them younger than the oldest timm that serves here
    plain = all(isinstance(getattr(attention, extra, None), nn.Identity | None) for extra in extras)
    return plain and attention.scale == attention.head_dim**-0.5


def export_file(
    network: "Network", model: ModelConfig, path: Path, precision: str = "fp32", size: tuple[int, int] | None = None
) -> tuple[float, float]:
    """Write one self-contained .onnx file, `size` as in graph_of; returned and raised is what `verify` does.

    precision: a key of LIMITS. Nobody multiplies the depth of such a file by what a checkpoint's settings say, nor
    enlarges it along a photo's edges: the graph says metres, and of every pixel.
    """
    limits = pick(LIMITS, precision, "precision")
    with at_every_pixel(network):
        alone = Alone(network, model)
        graph = graph_of(alone, size)
        return write_verified(in_int8(graph) if precision == "int8" else graph, alone, path, limits, size)


def export_beside(network: nn.Module, checkpoint: Path, precision: str = "fp32") -> tuple[float, float]:
    """Write the graph of a checkpoint, whose weights are those of its model.safetensors; otherwise the same.

    precision: that of ONNX_FILES, the names of such graphs.
    """
    limits = pick(LIMITS, precision, "precision")
    graph = graph_of(network, opset=OF_OUR_OWN)
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


class Alone(nn.Module):
    """The network with ModelConfig.depth_law, for whatever size of picture it is given: predictor.py in a graph."""

    def __init__(self, network: "Network", model: ModelConfig) -> None:
        super().__init__()
        self.network = network
        self.factor_of_a_pixel, self.power = model.depth_law(1)

    def forward(self, rgb: Tensor) -> Tensor:
        depth = self.network(rgb) * shorter_side(*rgb.shape[-2:])
        return self.factor_of_a_pixel * (depth**self.power if self.power != 1 else depth)


def write_verified(
    model: Any, network: nn.Module, path: Path, limits: Limits, size: tuple[int, int] | None = None
) -> tuple[float, float]:
    """An export that is refused leaves no file, and the one that was there as it was."""
    content, measured = model.SerializeToString(), []

    def save(aside: Path) -> None:
        aside.write_bytes(content)
        reference = TorchEngine(network, torch.device("cpu"))
        measured.append(verify(aside, reference, limits, [size] if size else CHECKED_SIZES))

    write_aside(path, save)
    return measured[0]


def share_weights(model: Any, weights: Path) -> None:
    """Replace each weight in the graph by a reference into the safetensors file, cast where that has half precision.

    The layout of such a file: 8 bytes of header length, the header in JSON, then the data that its offsets point into
    (https://huggingface.co/docs/safetensors).
    """
    from onnx import TensorProto, helper

    with weights.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
    types = {"F16": TensorProto.FLOAT16, "F32": TensorProto.FLOAT}
    casts = []
    for tensor in model.graph.initializer:
        entry = header.get(tensor.name.removeprefix("network."))
        if entry is None:  # the normalisation, which is no weight
            continue
        begin, end = entry["data_offsets"]
        name, half = tensor.name, entry["dtype"] == "F16"
        shared = TensorProto(
            name=f"{name}.half" if half else name,
            dims=entry["shape"],
            data_type=types[entry["dtype"]],
            data_location=TensorProto.EXTERNAL,
        )
        place = {"location": weights.name, "offset": 8 + length + begin, "length": end - begin}
        for key, value in place.items():
            shared.external_data.add(key=key, value=str(value))
        tensor.CopyFrom(shared)
        if half:
            casts.append(helper.make_node("Cast", [shared.name], [name], to=TensorProto.FLOAT))
    replace_all(model.graph.node, [*casts, *model.graph.node])  # in the order of computation, as ONNX wants them


def shorten_names(graph: Any) -> None:
    """Numbers for the names of what is computed in between, which fill half of a graph's file without its weights."""
    kept = {value.name for value in (*graph.input, *graph.output)} | {""}  # an input that is left out has no name
    values = [tensor.name for tensor in graph.initializer] + [name for node in graph.node for name in node.output]
    short = {name: f"{number:x}" for number, name in enumerate(dict.fromkeys(values)) if name not in kept}
    for tensor in graph.initializer:
        tensor.name = short[tensor.name]
    for node in graph.node:
        node.name = ""
        for names in (node.input, node.output):
            names[:] = [short.get(name, name) for name in names]
    del graph.value_info[:]  # the quantizer's


def check_pictures(sizes: Sequence[tuple[int, int]] = CHECKED_SIZES) -> Iterator[NDArray[np.uint8]]:
    """Pictures with smooth regions, edges and noise, of several sizes; the same on every call."""
    rng = np.random.default_rng(0)
    for height, width in sizes:
        down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
        picture = np.stack([255 * down, 255 * across, np.full_like(down, 90)], axis=-1)
        picture[height // 3 : height // 2, width // 4 : width // 2] = (200, 40, 60)
        yield np.clip(picture + rng.normal(0, 12, picture.shape), 0, 255).astype(np.uint8)


def difference_mm(one: Engine, other: Engine, sizes: Sequence[tuple[int, int]]) -> tuple[float, float]:
    """Mean and largest difference of two engines' depth over check_pictures, in millimetres."""
    gaps = [np.abs(one(picture) - other(picture)) * 1000 for picture in check_pictures(sizes)]
    return float(np.mean([gap.mean() for gap in gaps])), float(max(gap.max() for gap in gaps))


def verify(
    path: Path, reference: Engine, limits: Limits, sizes: Sequence[tuple[int, int]] = CHECKED_SIZES
) -> tuple[float, float]:
    """Open an exported file and compare it to torch: mean and largest difference in millimetres.

    Raises HqmdError when one is above its limit or not a number.
    """
    mean, largest = difference_mm(OnnxEngine(path), reference, sizes)
    if not (mean <= limits.mean_mm and largest <= limits.largest_mm):
        raise HqmdError(
            f"the export differs from torch by {mean:.3f} mm on average and {largest:.3f} mm at most; "
            f"allowed are {limits.mean_mm:g} and {limits.largest_mm:g}"
        )
    return mean, largest
