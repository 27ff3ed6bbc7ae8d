"""The depth network: backbone -> ASPP -> decoder -> metres (paper 3.1, figure 1)."""

import torch
from torch import Tensor

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models import DECODERS
from hqmd_cli.models.activations import ACTIVATIONS
from hqmd_cli.models.aspp import ASPP
from hqmd_cli.models.backbone import Backbone, build_backbone
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import rescale_logarithm
from hqmd_cli.models.ordinal import DISCRETISATIONS, OrdinalHead
from hqmd_cli.registry import pick, resolve


class DepthNetwork(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres, for any H and W from 32 up.

    Out of training, H and W of depth are divided by `depth_stride` and rounded up.

    A 2 x 3 x 289 x 385 batch through ResNet-50 at stride 16: low 2 x 256 x 73 x 97, high 2 x 2048 x 19 x 25,
    context 2 x 256 x 19 x 25, depth 2 x 1 x 289 x 385.
    """

    paper = Paper(
        "HQMD: Jiang and Huang 2019",
        "High Quality Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving Objective",
    )  # its settings are the defaults of NetworkConfig and TrainConfig
    backbone: Backbone

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        pick({**ACTIVATIONS, **DISCRETISATIONS}, config.activation, "activation")
        self.backbone = build_backbone(config, backbone_weights)
        self.aspp = ASPP(self.backbone.high_channels, config.aspp_channels, config.aspp_rates)
        self.decoder = resolve(DECODERS, config.decoder, "decoder")(config, self.backbone.low_channels)
        self.ordinal = OrdinalHead(config) if config.activation in DISCRETISATIONS else None
        if self.ordinal is None:  # intervals start undecided, halfway
            ACTIVATIONS[config.activation].start(self.decoder.logits)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> metres, (B, 1, H, W); out of training (B, 1, H / stride, W / stride)."""
        stride = 1 if self.training else self.depth_stride
        height, width = rgb.shape[-2:]
        logits = self.logits(rgb, ((height + stride - 1) // stride, (width + stride - 1) // stride))
        if self.ordinal is not None:
            return self.ordinal(logits)
        return Estimate(ACTIVATIONS[self.config.activation].to_metres(logits))

    def logits(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) RGB in 0..1 -> (B, logit_channels, *size)."""
        low, high = self.backbone(rgb)
        return self.decoder(low, self.aspp(high), size)

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Make factor d^power of all depths d; only for exp, whose logits are logarithms: training does the rest."""
        if self.config.activation == "exp":
            rescale_logarithm(self.decoder.logits, factor, power)
