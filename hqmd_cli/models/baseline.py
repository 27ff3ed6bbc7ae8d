"""The `baseline` decoder: DeepLabv3+'s own, one-channel logits at 1/4 resolution, enlarged (paper 3.1)."""

from torch import Tensor

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.fusion import Decoder
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.ordinal import logit_channels


class BaselineDecoder(Decoder):
    """Logits at 1/4 resolution."""

    def __init__(self, config: ModelConfig, low_channels: int) -> None:
        super().__init__(config, low_channels)
        self.logits = FullPrecisionConv(config.fuse_channels, logit_channels(config), 1)

    def enlarge(self, features: Tensor, size: tuple[int, int]) -> Tensor:
        return resize(self.logits(features), size)
