"""A network with all that predict does around it, in one ONNX graph: uint8 RGB of any size in, metres out.

The graph shrinks a picture to the sides that the model's metres come from, so depth does not depend on the size of the
input, and enlarges depth to the input's size. What it leaves out of inference/predictor.py is the fit to the photo's
edges. `Standalone` is the same arithmetic in torch, with which exports are compared.
"""

from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hqmd_cli.config.base import SMALLEST_SIDE
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import side_views
from hqmd_cli.export.error_outputs import declare, error_lines, errors_of
from hqmd_cli.geometry.resize import FULLY_SHARPENED, LONGEST_ASPECT, SHORT_OF_LONG, Preprocess, sharpening
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
        return resize(geometric_mean(self.depths(rgb)), rgb.shape[-2:])

    def errors(self, rgb: Tensor) -> tuple[Tensor, Tensor]:
        """Return how sure it is, of the scale (B,) and of each pixel's shape (B, H, W)."""
        return errors_of(self.depths(rgb), self.model, rgb.shape[-2:])

    def depths(self, rgb: Tensor) -> list[Tensor]:
        """Return the metres that each view sees, at the size of the largest one: (B, 1, h, w)."""
        share = sharpening(rgb.shape[-2:], self.model.compute.sharpen_below)
        depths = []
        for view in self.views:
            shown = shown_size(self.model, view.side, *rgb.shape[-2:])
            picture = sharpened(shrink(rgb, shown), share)
            maps = [self.network(picture.flip(-1)).flip(-1) if m else self.network(picture) for m in view.mirrored]
            factor, power = self.model.depth_law(min(shown))
            depths.append(factor * torch.stack(maps).mean(dim=0) ** power)
        return [resize(depth, depths[-1].shape[-2:]) for depth in depths]


def shrink(rgb: Tensor, size: tuple[int, int]) -> Tensor:
    """Resize (B, C, H, W) as geometry.resize.shrink does, but without rounding to bytes."""
    grows = size[0] > rgb.shape[-2] or size[1] > rgb.shape[-1]
    rows, columns = (weights(before, after, grows) for before, after in zip(rgb.shape[-2:], size, strict=True))
    return rows @ rgb @ columns.T


def sharpened(picture: Tensor, share: float) -> Tensor:
    """Sharpen (B, C, H, W) in 0..1 as geometry.resize.sharpened does, but without rounding to bytes."""
    if not share:
        return picture
    blurred = F.avg_pool2d(F.pad(picture, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    return (picture + share * (picture - blurred)).clamp(0, 1)


def weights(before: int, after: int, grows: bool) -> Tensor:
    """Return the matrix (after, before) that resizes an axis: by overlapping pixel areas, or linearly if it grows."""
    ratio = before / after
    old, new = torch.arange(before, dtype=torch.float64), torch.arange(after, dtype=torch.float64)[:, None]
    if grows:
        place = ((new + 0.5) * ratio - 0.5).clamp(0, before - 1)
        return (1 - (place - old).abs()).clamp(min=0).float()
    overlap = torch.minimum((new + 1) * ratio, old + 1) - torch.maximum(new * ratio, old)
    return (overlap.clamp(min=0) / ratio).float()


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
# The size of geometry.resize.Preprocess.
SHOWN = """
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
    larger_sides_{n} = Greater (shown_{n}, sides)
    larger_as_float_{n} = Cast <to = 1> (larger_sides_{n})
    grows_as_float_{n} = ReduceMax <keepdims = 0> (larger_as_float_{n})
    grows_{n} = Cast <to = 9> (grows_as_float_{n})
"""
# The matrix (out, in) of `weights` for one axis, {axis}: 0 for rows, 1 for columns. In float64, whose rounding errors
# are too small to move the depth.
WEIGHTS = """
    axis_{n} = Constant <value_int = {axis}> ()
    one_as_float_{n} = Constant <value_float = 1.0> ()
    zero_as_float_{n} = Constant <value_float = 0.0> ()
    half_as_float_{n} = Constant <value_float = 0.5> ()
    one_{n} = Cast <to = 11> (one_as_float_{n})
    zero_{n} = Cast <to = 11> (zero_as_float_{n})
    half_{n} = Cast <to = 11> (half_as_float_{n})
    last_axis_{n} = Constant <value_ints = [1]> ()
    in_as_float_{n} = Gather (sides, axis_{n})
    out_as_float_{n} = Gather (shown_{picture}, axis_{n})
    in_{n} = Cast <to = 11> (in_as_float_{n})
    out_{n} = Cast <to = 11> (out_as_float_{n})
    ratio_{n} = Div (in_{n}, out_{n})
    from_{n} = Range (zero_{n}, in_{n}, one_{n})
    into_row_{n} = Range (zero_{n}, out_{n}, one_{n})
    into_{n} = Unsqueeze (into_row_{n}, last_axis_{n})
    begin_{n} = Mul (into_{n}, ratio_{n})
    end_{n} = Add (begin_{n}, ratio_{n})
    from_end_{n} = Add (from_{n}, one_{n})
    first_{n} = Max (begin_{n}, from_{n})
    final_{n} = Min (end_{n}, from_end_{n})
    overlap_{n} = Sub (final_{n}, first_{n})
    covered_{n} = Max (overlap_{n}, zero_{n})
    area_{n} = Div (covered_{n}, ratio_{n})
    centre_{n} = Add (into_{n}, half_{n})
    centre_from_{n} = Mul (centre_{n}, ratio_{n})
    place_{n} = Sub (centre_from_{n}, half_{n})
    last_{n} = Sub (in_{n}, one_{n})
    inside_{n} = Clip (place_{n}, zero_{n}, last_{n})
    apart_{n} = Sub (inside_{n}, from_{n})
    distance_{n} = Abs (apart_{n})
    near_{n} = Sub (one_{n}, distance_{n})
    linear_{n} = Max (near_{n}, zero_{n})
    exact_{n} = Where (grows_{picture}, linear_{n}, area_{n})
    weights_{n} = Cast <to = 1> (exact_{n})
"""
SHRINK = """
    wide_{n} = MatMul (weights_{n}r, planes)
    turned_{n} = Transpose <perm = [1, 0]> (weights_{n}c)
    shrunk_{n} = MatMul (wide_{n}, turned_{n})
"""
# The arithmetic of geometry.resize.sharpening, of the photo; a share of 0 changes nothing.
SHARE = """
    below = Constant <value_float = {below:.1f}> ()
    range = Constant <value_float = {range:.6f}> ()
    zero = Constant <value_float = 0.0> ()
    full_share = Constant <value_float = 1.0> ()
    white = Constant <value_float = 255.0> ()
    border = Constant <value_ints = [0, 0, 1, 1, 0, 0, 1, 1]> ()
    part = Constant <value_float = {part}> ()
    part_of_longer = Mul (part, longer)
    counted = Max (shorter, part_of_longer)
    missing = Sub (below, counted)
    wanted = Div (missing, range)
    share = Clip (wanted, zero, full_share)
"""
# The arithmetic of geometry.resize.sharpened.
SHARPEN = """
    framed_{n} = Pad <mode = "edge"> (shrunk_{n}, border)
    blurred_{n} = AveragePool <kernel_shape = [3, 3]> (framed_{n})
    detail_{n} = Sub (shrunk_{n}, blurred_{n})
    added_{n} = Mul (share, detail_{n})
    sharper_{n} = Add (shrunk_{n}, added_{n})
    sharp_{n} = Clip (sharper_{n}, zero, white)
"""
SHOW = """
    picture_{n} = Transpose <perm = [0, 2, 3, 1]> ({what}_{n})
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
    if below := model.compute.sharpen_below:
        graph.node.extend(parsed(SHARE, below=below, range=below * (1 - FULLY_SHARPENED), part=SHORT_OF_LONG))
    for n, (view, network) in enumerate(zip(views, networks, strict=True)):
        step = model.compute.size_multiple
        least = -(-SMALLEST_SIDE // step)
        longest = LONGEST_ASPECT * view.side
        graph.node.extend(parsed(SHOWN, n=n, side=view.side, longest=longest, multiple=step, least=least))
        graph.node.extend(parsed(WEIGHTS, n=f"{n}r", picture=n, axis=0) + parsed(WEIGHTS, n=f"{n}c", picture=n, axis=1))
        graph.node.extend(parsed(SHRINK, n=n))
        if below:
            graph.node.extend(parsed(SHARPEN, n=n))
        graph.node.extend(parsed(SHOW, n=n, what="sharp" if below else "shrunk"))
        maps = [add_pass(graph, network.graph, n, mirrored) for mirrored in view.mirrored]
        law = {"trained": min(model.network.size), "power": model.view.power, "calibration": model.view.calibration}
        graph.node.extend(parsed(CALIBRATE, n=n, maps=", ".join(maps), **law))
    last = len(views) - 1
    every = [f"log_{n}" for n in range(len(views))]
    logarithms = "".join(LOGARITHM.format(n=n) for n in range(len(views)))
    graph.node.extend(parsed(AVERAGE, last=last, logarithms=logarithms, all=", ".join(every)))
    if model.view.errors:
        graph.node.extend(parsed(error_lines(model, len(views))))
        declare(graph)
    return whole


def set_size(model: Any, size: tuple[int, int]) -> None:
    """Declare that the graph takes and gives pictures of this (H, W) only."""
    for value in (*model.graph.input, *model.graph.output):
        for dimension, side in zip(value.type.tensor_type.shape.dim[1:3], size, strict=False):  # one number has none
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
