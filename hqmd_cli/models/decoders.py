"""Decoders: join the context with the features at 1/4 resolution (DeepLabv3+, figure 2), then enlarge to depth."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.layers import ConvBNReLU, FullPrecisionConv
from hqmd_cli.models.ordinal import logit_channels


class Fusion(nn.Module):
    """Narrow the low features, enlarge the context to their size, and join both by two ordinary 3x3 convolutions.

    DeepLabv3+ has atrous separable ones; the paper has ordinary ones (3.1).
    """

    def __init__(self, config: NetworkConfig, low_channels: int) -> None:
        super().__init__()
        self.narrow = ConvBNReLU(low_channels, config.low_channels)
        self.fuse = nn.Sequential(
            ConvBNReLU(config.low_channels + config.aspp_channels, config.fuse_channels, kernel=3),
            ConvBNReLU(config.fuse_channels, config.fuse_channels, kernel=3),
        )

    def forward(self, low: Tensor, context: Tensor) -> Tensor:
        """low (B, C_low, H/4, W/4), context (B, C_aspp, h, w) -> (B, C_fuse, H/4, W/4)."""
        context = F.interpolate(context, low.shape[-2:], mode="bilinear", align_corners=False)
        return self.fuse(torch.cat([self.narrow(low), context], dim=1))


class Decoder(nn.Module):
    """Base: low (B, C_low, H/4, W/4) and context (B, C_aspp, h, w) to logits (B, logit_channels, *size)."""

    def __init__(self, config: NetworkConfig, low_channels: int) -> None:
        super().__init__()
        self.fusion = Fusion(config, low_channels)

    def forward(self, low: Tensor, context: Tensor, size: tuple[int, int]) -> Tensor:
        return self.enlarge(self.fusion(low, context), size)

    def enlarge(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, C_fuse, H/4, W/4) -> (B, logit_channels, *size)."""
        raise NotImplementedError


class BaselineDecoder(Decoder):
    """Compute logits at 1/4 resolution."""

    def __init__(self, config: NetworkConfig, low_channels: int) -> None:
        super().__init__(config, low_channels)
        self.logits = FullPrecisionConv(config.fuse_channels, logit_channels(config), 1)

    def enlarge(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        return F.interpolate(self.logits(features), size, mode="bilinear", align_corners=False)


PLUS_CHANNELS = 16  # 3.1


class BaselinePlusDecoder(Decoder):
    """Compute logits at the picture's own resolution."""

    def __init__(self, config: NetworkConfig, low_channels: int) -> None:
        super().__init__(config, low_channels)
        self.reduce = nn.Sequential(
            nn.Conv2d(config.fuse_channels, PLUS_CHANNELS, 1, bias=False), nn.BatchNorm2d(PLUS_CHANNELS)
        )
        self.logits = FullPrecisionConv(PLUS_CHANNELS, logit_channels(config), 1)

    def enlarge(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        reduced = self.reduce(features).float()
        return self.logits(F.relu(F.interpolate(reduced, size, mode="bilinear", align_corners=False)))
