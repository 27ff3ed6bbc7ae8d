"""Atrous spatial pyramid pooling (paper 3.1; Chen et al., DeepLabv3, section 3.3)."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.models.layers import ConvBNReLU


class ImagePooling(nn.Sequential):
    """The picture's mean feature, projected and spread over the map.

    Without batch norm, unlike torchvision's: one value per picture and channel is too few to normalise over.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Conv2d(in_channels, out_channels, 1), nn.ReLU(inplace=True))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, h, w)."""
        return F.interpolate(self.pooled(x), x.shape[-2:], mode="bilinear", align_corners=False)

    def pooled(self, x: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, 1, 1)."""
        return super().forward(x)


class ASPP(nn.Module):
    """Parallel 1x1, atrous 3x3 and image-pooling branches, joined and projected."""

    def __init__(self, in_channels: int, out_channels: int, rates: Sequence[int]) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            [
                ConvBNReLU(in_channels, out_channels),
                *(ConvBNReLU(in_channels, out_channels, kernel=3, rate=rate) for rate in rates),
                ImagePooling(in_channels, out_channels),
            ]
        )
        self.project = ConvBNReLU(len(self.branches) * out_channels, out_channels)

    def forward(self, high: Tensor) -> Tensor:
        """(B, C_in, h, w) -> (B, C_out, h, w)."""
        return self.project(torch.cat([branch(high) for branch in self.branches], dim=1))
