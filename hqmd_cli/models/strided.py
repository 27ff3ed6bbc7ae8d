"""Convolutions over maps of several strides, each at its own, before the coarser ones are enlarged.

A network that joins maps enlarges the coarser ones first, and then convolves them at the stride of the finest, where
they hold nothing new. Convolution is linear: a convolution of joined maps is the sum of the convolutions of each map,
and a 1 x 1 convolution may come before the bilinear enlargement. So may a larger one whose taps lie whole steps of the
coarse map apart, except for the padding. Taps that lie fractions of a step apart, as in an ordinary 3 x 3 convolution,
are moved to whole steps by least squares, which is close because an enlarged map is smooth.

Compute.coarse_first turns it on, for the same weights. It saves hqmd-indoor-small 22 % of the time, and depth on val
stays as good (docs/notebook.md).
"""

import math
from collections.abc import Sequence
from functools import cache
from itertools import accumulate
from typing import NamedTuple, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.layers import ConvBNReLU, resize
from hqmd_cli.models.network import DepthNetwork

LIKENESS = 0.9  # correlation of neighbouring features of a coarse map
Taps: TypeAlias = tuple[tuple[float, ...], ...]  # 3 x 3
UNMOVED: Taps = ((1, 0, 0), (0, 1, 0), (0, 0, 1))


class Level(NamedTuple):
    """One of several maps of a picture: (B, C, H / ratio, W / ratio), where the finest is (B, C', H, W)."""

    features: Tensor
    ratio: float = 1


class StridedDepthNetwork(DepthNetwork):
    """A DepthNetwork, with the same weights, that convolves each map at its own stride."""

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        # Taken now, for an engine may wrap the backbone.
        low, high = self.backbone.low_strides, self.backbone.high_strides
        self.low_ratios, self.high_ratios = [s / low[0] for s in low], [s / high[0] for s in high]
        self.context_ratio = high[0] / low[0]

    def logits(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) RGB in 0..1 -> (B, logit_channels, *size)."""
        low_maps, high_maps = self.backbone.maps(rgb)
        low, high = list(map(Level, low_maps, self.low_ratios)), list(map(Level, high_maps, self.high_ratios))
        context = Level(self.context(high), self.context_ratio)
        fusion = self.decoder.fusion
        narrowed = Level(convolve(fusion.narrow, low))
        first, second = fusion.fuse
        joined = convolve(first, [narrowed, context])
        return self.decoder.enlarge(second(joined), size)

    def context(self, high: Sequence[Level]) -> Tensor:
        """Compute ASPP (models/aspp.py) of maps of several strides -> (B, C_out, h, w) of the finest."""
        *convolutions, pooling = self.aspp.branches
        wide = torch.cat([convolve(branch, high) for branch in convolutions], dim=1)  # type: ignore[arg-type]
        means = torch.cat([level.features.mean((2, 3), keepdim=True) for level in high], dim=1)
        return convolve(self.aspp.project, [Level(wide), Level(pooling.pooled(means), math.inf)])  # type: ignore[operator]


def convolve(layer: ConvBNReLU, levels: Sequence[Level]) -> Tensor:
    """Apply `layer` to levels, the finest first, as if they were joined -> (B, C_out, H, W)."""
    finest, *coarser = levels
    if not coarser:
        return layer(finest.features)
    conv, norm = layer.conv, layer.norm
    widths = [level.features.shape[1] for level in levels]
    first, *others = (conv.weight[:, end - width : end] for width, end in zip(widths, accumulate(widths), strict=True))
    rate, _ = conv.dilation
    total = convolution(finest.features, first, rate)
    for level, kernel in zip(coarser, others, strict=True):
        if kernel.shape[-1] > 1 and (taps := taps_on_coarse_map(rate, level.ratio)) != UNMOVED:
            kernel = moved_taps(kernel, taps)
        one = convolution(level.features, kernel, coarse_rate(rate, level.ratio))
        total = total + resize(one, total.shape[-2:])
    return F.relu(norm(total))


def coarse_rate(rate: int, ratio: float) -> int:
    """Return the whole steps of a coarse map nearest to `rate` steps of a map `ratio` times as fine."""
    return max(1, round(rate / ratio))


def convolution(x: Tensor, weight: Tensor, rate: int) -> Tensor:
    """Convolve, keeping height and width."""
    return F.conv2d(x, weight, padding=rate * (weight.shape[-1] // 2), dilation=rate)


def moved_taps(kernel: Tensor, taps: Taps) -> Tensor:
    """(O, I, 3, 3) for the enlarged map -> (O, I, 3, 3) for the coarse one, the same along both axes."""
    axis = kernel.new_tensor(taps)  # no matrix product: exports compute those in 8 bits
    kernel = (kernel[..., :, None, :] * axis[:, :, None]).sum(dim=-3)
    return (kernel[..., None] * axis).sum(dim=-2)


@cache
def taps_on_coarse_map(rate: int, ratio: float) -> Taps:
    """Express three taps, `rate` steps apart on an enlarged map, by taps on the coarse map: [fine tap][coarse tap].

    Least squares over lines of coarse values whose neighbours correlate by LIKENESS: a line that is enlarged and then
    read by the fine tap, against a line that is read by the coarse taps, coarse_rate steps apart, and then enlarged.
    """
    steps = coarse_rate(rate, ratio)
    reach = 8 * steps
    values = np.arange(2 * reach)
    fine = round(2 * reach * ratio)
    places = (np.arange(fine) + 0.5) / ratio - 0.5
    enlarge = np.stack([np.interp(places, values, one) for one in np.eye(len(values))], axis=1)
    middle = slice(fine // 4, -(fine // 4))  # away from the borders
    lines = np.linalg.cholesky(LIKENESS ** abs(np.subtract.outer(values, values)))
    fine_reads, coarse_reads = (
        np.stack([np.roll(enlarge, by, axis)[middle] @ lines for by in (-apart, 0, apart)])
        for apart, axis in ((-rate, 0), (steps, 1))
    )
    solved = np.linalg.lstsq(coarse_reads.reshape(3, -1).T, fine_reads.reshape(3, -1).T, rcond=None)[0]
    return tuple(map(tuple, solved.T.round(6).tolist()))
