"""The `baseline` decoder: DeepLabv3+'s own, one-channel logits at 1/4 resolution, enlarged (paper 3.1)."""

from torch import Size, Tensor, nn

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.fusion import Fusion
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.ordinal import logit_channels


class BaselineDecoder(nn.Module):
    """low (B, C_low, H/4, W/4) and context (B, C_aspp, h, w) to logits (B, logit_channels, H, W)."""

    def __init__(self, config: ModelConfig, low_channels: int) -> None:
        super().__init__()
        self.fusion = Fusion(config, low_channels)
        self.logits = FullPrecisionConv(config.fuse_channels, logit_channels(config), 1)

    def forward(self, low: Tensor, context: Tensor, size: Size) -> Tensor:
        features = self.fusion(low, context)
        logits = self.logits(features)
        return resize(logits, size)
