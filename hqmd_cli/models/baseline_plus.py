"""The `baseline+` decoder: 16 channels at 1/4 resolution, enlarged, then turned into logits (paper 3.1).

Its difference to baseline.py is the paper's change of the network: the last step happens at the picture's own
resolution. Whether a non-linearity stands there the paper leaves unsaid. Here a ReLU follows the enlargement: without
one, the 1x1 convolution would swap with the bilinear enlargement, and the decoder could be computed at 1/4
resolution, the baseline with one more layer. With it the depth map has creases finer than the features.
ModelConfig.depth_stride asks a network that has learnt for some of the pixels only.
"""

from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.fusion import Decoder
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.ordinal import logit_channels

PLUS_CHANNELS = 16  # 3.1


class BaselinePlusDecoder(Decoder):
    """The last step at the picture's own resolution."""

    def __init__(self, config: ModelConfig, low_channels: int) -> None:
        super().__init__(config, low_channels)
        self.reduce = nn.Sequential(
            nn.Conv2d(config.fuse_channels, PLUS_CHANNELS, 1, bias=False), nn.BatchNorm2d(PLUS_CHANNELS)
        )
        self.logits = FullPrecisionConv(PLUS_CHANNELS, logit_channels(config), 1)

    def enlarge(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        return self.logits(F.relu(resize(self.reduce(features).float(), size)))
