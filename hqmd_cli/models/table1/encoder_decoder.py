"""What FCRN, Hu et al., D3-Net and Moukari et al. share: an encoder, a decoder and one last convolution."""

from torch import Tensor

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.activations import ACTIVATIONS
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.registry import pick


class EncoderDecoder(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up.

    A subclass adds its decoder after `backbone`, ends with `add_logits`, and defines `decode`.
    """

    backbone: StageBackbone

    def __init__(self, config: NetworkConfig, backbone_weights: str | None) -> None:
        super().__init__(config)
        self.to_metres = pick(ACTIVATIONS, config.activation, "activation").to_metres
        self.backbone = build_stages(config, backbone_weights)

    def add_logits(self, channels: int, kernel: int = 3) -> None:
        """Add the last convolution: (B, channels, h, w) -> logits (B, 1, h, w)."""
        self.logits = FullPrecisionConv(channels, 1, kernel, padding=kernel // 2)
        ACTIVATIONS[self.config.activation].start(self.logits)

    def decode(self, features: list[Tensor]) -> Tensor:
        """The backbone's stages, finest first -> (B, channels, h, w)."""
        raise NotImplementedError

    def estimate(self, rgb: Tensor) -> Estimate:
        logits = self.logits(self.decode(self.backbone.stages(rgb)))
        return Estimate(resize(self.to_metres(logits), rgb.shape[-2:]))
