"""How sure depth is, in an exported file: two more outputs, of a model whose view has coefficients.

`scale_error` (B) is the relative error of all metres together, and `shape_error` (B, H, W) that of each pixel, as
inference/uncertainty.py computes them. An exported file knows no camera: one that is assumed adds an error of its own
(Intrinsics.metres_error). `errors_of` is the same arithmetic in torch.
"""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.view import ERROR_TERMS
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.check_pictures import check_pictures
from hqmd_cli.inference.engines.onnx_runtime import onnxruntime
from hqmd_cli.inference.uncertainty import FLAT_STD, NEAR_M, WINDOW
from hqmd_cli.models.layers import resize


def window_of(model: ModelConfig) -> int:
    """Return the side of the window, in pixels of the largest view; a graph's windows are of one size."""
    return 2 * round(WINDOW * max(model.shown_sides) / 2) + 1


def errors_of(depths: list[Tensor], model: ModelConfig, size: torch.Size) -> tuple[Tensor, Tensor]:
    """Return the errors of the scale (B,) and of the shape (B, H, W), from the views' metres, each (B, 1, h, w)."""
    logs = torch.stack([depth.log() for depth in depths])
    mean = logs.mean(dim=0)
    middles = logs.mean(dim=(-2, -1), keepdim=True)
    middle = middles.mean(dim=0)
    centred = mean - middle
    window = window_of(model)
    apart = ((logs - middles - centred) ** 2).mean(dim=0)
    relief = (box_mean(centred**2, window) - box_mean(centred, window) ** 2).clamp(min=0)
    down, across = ((2 * torch.arange(n, device=mean.device) + 1) / n - 1 for n in mean.shape[-2:])
    down = down[:, None]
    terms = [
        torch.ones_like(mean),
        box_mean(apart, window).sqrt(),
        relief.sqrt(),
        centred.clamp(min=0),
        (-down).clamp(min=0),
        across.abs(),
        torch.maximum(across.abs(), down.abs()) ** 4,
    ]
    view = model.view
    shape = sum((coefficient * term for coefficient, term in zip(view.shape_error, terms, strict=True)), mean * 0)
    of_photo = [
        torch.ones_like(middle),
        ((middles - middle) ** 2).mean(dim=0).sqrt(),
        (np.log(NEAR_M) - middle).clamp(min=0),
        (FLAT_STD - (centred**2).mean(dim=(-2, -1), keepdim=True).sqrt()).clamp(min=0),
    ]
    scale = sum((c * term for c, term in zip(view.scale_error, of_photo, strict=True)), middle * 0)
    return scale.flatten(), resize(shape, (size[0], size[1]))[:, 0]


def box_mean(values: Tensor, window: int) -> Tensor:
    """Average (B, 1, h, w) over a square window, as far as it lies in the picture: along rows, then along columns."""
    for kernel in ((window, 1), (1, window)):
        padding = (kernel[0] // 2, kernel[1] // 2)
        values = F.avg_pool2d(values, kernel, stride=1, padding=padding, count_include_pad=False)
    return values


# Of the views' `log_{n}`, each (B, 1, h, w), and of their `log_mean` (export/standalone.py).
VIEW = """
    middle_{n} = ReduceMean (log_{n}, plane)
    beside_{n} = Sub (log_{n}, middle_{n})
    apart_{n} = Sub (beside_{n}, centred)
    squared_{n} = Mul (apart_{n}, apart_{n})
    shift_{n} = Sub (middle_{n}, middle)
    shifted_{n} = Mul (shift_{n}, shift_{n})
"""
POOL = """
    rows_{into} = AveragePool <kernel_shape = [{window}, 1], pads = [{half}, 0, {half}, 0]> ({what})
    {into} = AveragePool <kernel_shape = [1, {window}], pads = [0, {half}, 0, {half}]> (rows_{into})
"""
# Where the pixels of an axis lie, from -1 to 1. In float64: ONNX Runtime takes a constant float length for an integer.
PLACES = """
    axis_{n} = Constant <value_int = {axis}> ()
    unit_as_float_{n} = Constant <value_float = 1.0> ()
    none_as_float_{n} = Constant <value_float = 0.0> ()
    unit_{n} = Cast <to = 11> (unit_as_float_{n})
    none_{n} = Cast <to = 11> (none_as_float_{n})
    map_sides_{n} = Cast <to = 1> (map_size)
    length_as_float_{n} = Gather (map_sides_{n}, axis_{n})
    length_{n} = Cast <to = 11> (length_as_float_{n})
    index_{n} = Range (none_{n}, length_{n}, unit_{n})
    twice_{n} = Add (index_{n}, index_{n})
    centre_{n} = Add (twice_{n}, unit_{n})
    share_{n} = Div (centre_{n}, length_{n})
    exact_{n} = Sub (share_{n}, unit_{n})
    {n} = Cast <to = 1> (exact_{n})
"""
TERMS = """
    plane = Constant <value_ints = [2, 3]> ()
    middle = ReduceMean (log_mean, plane)
    centred = Sub (log_mean, middle)
    level = Mul (centred, centred)
    {views}
    apart_mean = Mean ({squared})
    {pools}
    views = Sqrt (apart_pooled)
    level_squared = Mul (centred_pooled, centred_pooled)
    level_left = Sub (level_pooled, level_squared)
    level_above = Relu (level_left)
    relief = Sqrt (level_above)
    far = Relu (centred)
    {places}
    upright = Constant <value_ints = [1]> ()
    down = Unsqueeze (down_row, upright)
    up = Neg (down)
    top = Relu (up)
    away = Abs (down)
    side = Abs (across)
    outward = Max (side, away)
    outward_squared = Mul (outward, outward)
    rim = Mul (outward_squared, outward_squared)
    shifted_mean = Mean ({shifted})
    views_of_scale = Sqrt (shifted_mean)
    nearness = Constant <value_float = {near:.6f}> ()
    nearer = Sub (nearness, middle)
    near_of_scale = Relu (nearer)
    spread_squared = ReduceMean (level, plane)
    spread = Sqrt (spread_squared)
    flatness = Constant <value_float = {flat:.6f}> ()
    flatter = Sub (flatness, spread)
    flat_of_scale = Relu (flatter)
"""
TERM = """
    {n}_coefficient = Constant <value_float = {coefficient:.6f}> ()
    {n}_share = Mul ({n}, {n}_coefficient)
"""
OUTPUTS = """
    shape_sum = Sum ({shape})
    shape_constant = Constant <value_float = {shape_constant:.6f}> ()
    shape_small = Add (shape_sum, shape_constant)
    shape_large = Resize <mode = "linear", axes = [2, 3]> (shape_small, "", "", size)
    shape_error = Squeeze (shape_large, one)
    scale_sum = Sum ({scale})
    scale_constant = Constant <value_float = {scale_constant:.6f}> ()
    scale_small = Add (scale_sum, scale_constant)
    whole = Constant <value_ints = [-1]> ()
    scale_error = Reshape (scale_small, whole)
"""


def error_lines(model: ModelConfig, views: int) -> str:
    """Write the nodes that compute both errors, in ONNX's text format."""
    window = window_of(model)
    pooled = {"apart_pooled": "apart_mean", "level_pooled": "level", "centred_pooled": "centred"}
    pools = "".join(POOL.format(into=i, what=w, window=window, half=window // 2) for i, w in pooled.items())
    names = {name: [f"{name}_{n}" for n in range(views)] for name in ("squared", "shifted")}
    lines = TERMS.format(
        views="".join(VIEW.format(n=n) for n in range(views)),
        pools=pools,
        places=PLACES.format(n="down_row", axis=0) + PLACES.format(n="across", axis=1),
        near=np.log(NEAR_M),
        flat=FLAT_STD,
        **{name: ", ".join(several) for name, several in names.items()},
    )
    sums = {}
    for name, suffix in (("scale_error", "_of_scale"), ("shape_error", "")):
        terms = [f"{term}{suffix}" for term in ERROR_TERMS[name][1:]]
        coefficients = getattr(model.view, name)[1:]
        lines += "".join(TERM.format(n=n, coefficient=c) for n, c in zip(terms, coefficients, strict=True))
        sums[name.partition("_")[0]] = ", ".join(f"{term}_share" for term in terms)
    constants = {f"{name}_constant": getattr(model.view, f"{name}_error")[0] for name in ("scale", "shape")}
    return lines + OUTPUTS.format(**sums, **constants)


def declare(graph: Any) -> None:
    """Declare both outputs of an onnx.GraphProto, after its depth."""
    depth = graph.output[0]
    for name in ERROR_TERMS:
        output = graph.output.add()
        output.CopyFrom(depth)
        output.name = name
        if name == "scale_error":
            del output.type.tensor_type.shape.dim[1:]


def verify_errors(path: Path, standalone: Any, sizes: Any, tolerated: float) -> None:
    """Compare a file's errors with torch's. Raises HqmdError if they differ by more than is tolerated."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for picture in check_pictures(sizes):
        answers = session.run([*ERROR_TERMS], {"rgb": picture[None]})
        with torch.inference_mode():
            expected = standalone.errors(torch.from_numpy(picture).permute(2, 0, 1)[None] / 255)
        off = max(float(np.abs(a - e.numpy()).max()) for a, e in zip(answers, expected, strict=True))
        if not off <= tolerated:
            raise HqmdError(f"the export's errors differ from torch by {off:.4f}; the limit is {tolerated:g}")
