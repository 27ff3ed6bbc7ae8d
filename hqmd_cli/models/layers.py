"""Layers and tensor functions that several parts of networks share."""

import math
from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Size, Tensor, nn
from torch.nn import functional as F


class ConvBNReLU(nn.Sequential):
    """Convolution that keeps height and width, batch norm, ReLU. (B, C_in, H, W) -> (B, C_out, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, kernel: int = 1, rate: int = 1) -> None:
        padding = rate * (kernel // 2)
        super().__init__(
            nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=rate, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(inplace=True),
        )

    @property
    def conv(self) -> nn.Conv2d:
        """The convolution."""
        return self[0]  # type: ignore[return-value]

    @property
    def norm(self) -> nn.BatchNorm2d:
        """The batch norm."""
        return self[1]  # type: ignore[return-value]


class FullPrecisionConv(nn.Conv2d):
    """A convolution that computes in float32 even under autocast.

    It is for logits of depth: bfloat16's eight bits would give steps of 2 cm at 5 m.
    """

    def forward(self, x: Tensor) -> Tensor:
        if not under_autocast(x):
            return super().forward(x)
        with full_precision(x):
            return super().forward(x.float())


def under_autocast(like: Tensor) -> bool:
    """Return True if autocast is on for the device of `like`; the meta device has none."""
    return not like.is_meta and torch.is_autocast_enabled(like.device.type)


def full_precision(like: Tensor) -> "torch.autocast | nullcontext[None]":
    """Return a context that turns autocast off, and that leaves no trace in an exported graph."""
    return torch.autocast(like.device.type, enabled=False) if under_autocast(like) else nullcontext()


def resize(x: Tensor, size: Size | tuple[int, int]) -> Tensor:
    """Bilinear resize of (B, C, H, W) to `size` (H, W), pixel areas aligned."""
    return F.interpolate(x, size=tuple(size), mode="bilinear", align_corners=False)


def geometric_mean(depths: Sequence[Tensor], weights: Sequence[float] = ()) -> Tensor:
    """Average depths, all (B, 1, H, W), over logarithms, because a network errs by a factor; weights add up to 1."""
    if not weights:
        return torch.stack([depth.log() for depth in depths]).mean(dim=0).exp()
    return torch.stack([depth.log() * weight for depth, weight in zip(depths, weights, strict=True)]).sum(dim=0).exp()


def shorter_side(height: int, width: int) -> Tensor:
    """Return the shorter side of a size that may be symbols of the exporter."""
    rows, columns = (torch.scalar_tensor(side, dtype=torch.float32) for side in (height, width))
    return torch.minimum(rows, columns)


def rescale_logarithm(last: nn.Module, factor: float, power: float) -> None:
    """Change a last, linear layer whose output is log d to output log(factor d^power); no gradients."""
    for parameter in last.parameters():
        parameter.mul_(power)
    last.get_parameter("bias").add_(math.log(factor))
