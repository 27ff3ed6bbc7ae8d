"""A network with all that predict does around it, in one ONNX graph: uint8 RGB of any size in, metres out.

The graph shrinks a picture to the sides that the model's metres come from, so depth does not depend on the size of the
input, and enlarges depth to the input's size. What it leaves out of inference/predictor.py is the fit to the photo's
edges. `Standalone` is the same arithmetic in torch, with which exports are compared.
"""

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.base import SMALLEST_SIDE
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import side_views
from hqmd_cli.geometry.resize import LONGEST_ASPECT, Preprocess
from hqmd_cli.models.layers import geometric_mean, resize

if TYPE_CHECKING:
    from hqmd_cli.models import Network

RGB, DEPTH_M = "rgb", "depth_m"  # input and output, of the network's graph and of the whole


class Standalone(nn.Module):
    """Photos (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres, seen at the sides of the model's default view."""

    def __init__(self, network: "Network", model: ModelConfig) -> None:
        super().__init__()
        self.network, self.model = network, model
        self.views = side_views(model.shown_sides, model.view.flip)

    def forward(self, rgb: Tensor) -> Tensor:
        """Return metres at every pixel."""
        depths = []
        for view in self.views:
            shown = shown_size(self.model, view.side, *rgb.shape[-2:])
            picture = F.interpolate(rgb, shown, mode="bilinear", antialias=True, align_corners=False)
            maps = [self.network(picture.flip(-1)).flip(-1) if m else self.network(picture) for m in view.mirrored]
            factor, power = self.model.depth_law(min(shown))
            depths.append(factor * torch.stack(maps).mean(dim=0) ** power)
        mean = geometric_mean([resize(depth, depths[-1].shape[-2:]) for depth in depths])
        return resize(mean, rgb.shape[-2:])


def shown_size(model: ModelConfig, side: int, height: int, width: int) -> tuple[int, int]:
    """Return the (H, W) at which the network sees a photo of height x width at this side."""
    return Preprocess((side, side), model.compute.size_multiple).working_size(height, width)


BEFORE = """
    size = Shape <start = 1, end = 3> (rgb)
    sides = Cast <to = 1> (size)
    shorter = ReduceMin (sides)
    longer = ReduceMax (sides)
    bytes = Cast <to = 1> (rgb)
    planes = Transpose <perm = [0, 3, 1, 2]> (bytes)
"""
# To the size of geometry.resize.Preprocess, averaged over the pixels that a smaller one covers. Not rounded to bytes:
# where two runtimes differ by a rounding, so would the bytes.
SHRINK = """
    side_{n} = Constant <value_float = {side:.1f}> ()
    longest_{n} = Constant <value_float = {longest:.1f}> ()
    multiple_{n} = Constant <value_float = {multiple:.1f}> ()
    least_{n} = Constant <value_float = {least:.1f}> ()
    by_shorter_{n} = Div (side_{n}, shorter)
    by_longer_{n} = Div (longest_{n}, longer)
    scale_{n} = Min (by_shorter_{n}, by_longer_{n})
    scaled_{n} = Mul (sides, scale_{n})
    steps_{n} = Div (scaled_{n}, multiple_{n})
    whole_{n} = Round (steps_{n})
    enough_{n} = Max (whole_{n}, least_{n})
    shown_{n} = Mul (enough_{n}, multiple_{n})
    size_{n} = Cast <to = 7> (shown_{n})
    shrunk_{n} = Resize <mode = "linear", antialias = 1, exclude_outside = 1, axes = [2, 3]> (planes, "", "", size_{n})
    picture_{n} = Transpose <perm = [0, 2, 3, 1]> (shrunk_{n})
"""
# Of (B, h, w, 3) or (B, h, w), along w.
MIRROR = """
    last_{n} = Constant <value_ints = [-1]> ()
    first_{n} = Constant <value_ints = [-9223372036854775807]> ()
    across_{n} = Constant <value_ints = [2]> ()
    {into} = Slice ({what}, last_{n}, first_{n}, across_{n}, last_{n})
"""
# Metres of a side: `mean` is that of its passes.
CALIBRATE = """
    seen_side_{n} = ReduceMin <keepdims = 0> (shown_{n})
    trained_{n} = Constant <value_float = {trained:.1f}> ()
    power_{n} = Constant <value_float = {power:.6f}> ()
    calibration_{n} = Constant <value_float = {calibration:.6f}> ()
    larger_{n} = Div (seen_side_{n}, trained_{n})
    growth_{n} = Pow (larger_{n}, power_{n})
    factor_{n} = Mul (calibration_{n}, growth_{n})
    mean_{n} = Mean ({maps})
    bent_{n} = Pow (mean_{n}, power_{n})
    metres_{n} = Mul (factor_{n}, bent_{n})
    channel_{n} = Constant <value_ints = [1]> ()
    map_{n} = Unsqueeze (metres_{n}, channel_{n})
"""
LOGARITHM = """
    at_last_{n} = Resize <mode = "linear", axes = [2, 3]> (map_{n}, "", "", map_size)
    log_{n} = Log (at_last_{n})
"""
# The mean of all sides at the size of the largest one, `{last}`, and at the size of the input.
AVERAGE = """
    map_size = Shape <start = 2, end = 4> (map_{last})
    {logarithms}
    log_mean = Mean ({all})
    mean_depth = Exp (log_mean)
    enlarged = Resize <mode = "linear", axes = [2, 3]> (mean_depth, "", "", size)
    one = Constant <value_ints = [1]> ()
    depth_m = Squeeze (enlarged, one)
"""


def standalone_graph(networks: list[Any], model: ModelConfig) -> Any:
    """Join the graphs of a network, one for each side of the model's default view, into one onnx.ModelProto.

    The graphs take pictures of any size, or of the size at which the view shows them. Weights are kept once.
    """
    from onnx import ModelProto

    views = side_views(model.shown_sides, model.view.flip)
    whole = ModelProto()
    whole.CopyFrom(networks[-1])
    graph = whole.graph
    del graph.node[:], graph.initializer[:]
    graph.node.extend(parsed(BEFORE))
    for n, (view, network) in enumerate(zip(views, networks, strict=True)):
        step = model.compute.size_multiple
        least = -(-SMALLEST_SIDE // step)
        longest = LONGEST_ASPECT * view.side
        graph.node.extend(parsed(SHRINK, n=n, side=view.side, longest=longest, multiple=step, least=least))
        maps = [add_pass(graph, network.graph, n, mirrored) for mirrored in view.mirrored]
        law = {"trained": min(model.network.size), "power": model.view.power, "calibration": model.view.calibration}
        graph.node.extend(parsed(CALIBRATE, n=n, maps=", ".join(maps), **law))
    last = len(views) - 1
    every = [f"log_{n}" for n in range(len(views))]
    logarithms = "".join(LOGARITHM.format(n=n) for n in range(len(views)))
    graph.node.extend(parsed(AVERAGE, last=last, logarithms=logarithms, all=", ".join(every)))
    return whole


def set_size(model: Any, size: tuple[int, int]) -> None:
    """Declare that the graph takes and gives pictures of this (H, W) only."""
    for value in (model.graph.input[0], model.graph.output[0]):
        for dimension, side in zip(value.type.tensor_type.shape.dim[1:3], size, strict=True):
            dimension.dim_value = side


def parsed(text: str, **values: Any) -> list[Any]:
    """Parse lines of ONNX's text format, after putting the values in, into nodes."""
    from onnx import parser

    return list(parser.parse_graph(f"part () => () {{{text.format(**values)}}}").node)


def add_pass(graph: Any, network: Any, n: int, mirrored: bool) -> str:
    """Add the network's nodes for one pass of picture `n`; return the name of its depth, (B, h, w)."""
    mark = f"{n}{'m' if mirrored else ''}"
    picture, depth = f"picture_{n}", f"depth_{mark}"
    if mirrored:
        picture = f"mirrored_{n}"
        graph.node.extend(parsed(MIRROR, n=f"{mark}i", what=f"picture_{n}", into=picture))
    known = {tensor.name: tensor.SerializeToString() for tensor in graph.initializer}
    names = {"": "", RGB: picture, DEPTH_M: depth}
    for tensor in network.initializer:
        # Graphs of two sizes share their weights; what depends on the size is kept for each.
        same = known.get(tensor.name, tensor.SerializeToString()) == tensor.SerializeToString()
        names[tensor.name] = tensor.name if same else f"{mark}.{tensor.name}"
        if names[tensor.name] not in known:
            graph.initializer.add().CopyFrom(tensor)
            graph.initializer[-1].name = names[tensor.name]
    for node in network.node:
        added = graph.node.add()
        added.CopyFrom(node)
        added.name = ""
        added.input[:] = [names[name] for name in node.input]
        names |= {name: names.get(name, f"{mark}.{name}") for name in node.output}
        added.output[:] = [names[name] for name in node.output]
    if not mirrored:
        return depth
    graph.node.extend(parsed(MIRROR, n=f"{mark}o", what=depth, into=f"{depth}_back"))
    return f"{depth}_back"
