"""The `baseline+` decoder: 16 channels at 1/4 resolution, enlarged, then turned into logits (paper 3.1).

Its difference to baseline.py is the paper's change of the network: the last, mixing step happens at the
picture's own resolution. The paper leaves the step to 16 channels unsaid: here a 1x1 convolution, batch norm
and ReLU. Without the non-linearity both linear steps would swap with the bilinear enlargement and nothing
would be gained over the baseline.
"""

from torch import Size, Tensor, nn

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.fusion import Fusion
from hqmd_cli.models.layers import ConvBNReLU, resize

PLUS_CHANNELS = 16  # 3.1


class BaselinePlusDecoder(nn.Module):
    """low (B, C_low, H/4, W/4) and context (B, C_aspp, h, w) to logits (B, 1, H, W)."""

    def __init__(self, config: ModelConfig, low_channels: int) -> None:
        super().__init__()
        self.fusion = Fusion(config, low_channels)
        self.reduce = ConvBNReLU(config.fuse_channels, PLUS_CHANNELS)
        self.logits = nn.Conv2d(PLUS_CHANNELS, 1, 1)

    def forward(self, low: Tensor, context: Tensor, size: Size) -> Tensor:
        features = self.reduce(self.fusion(low, context))
        return self.logits(resize(features, size))
