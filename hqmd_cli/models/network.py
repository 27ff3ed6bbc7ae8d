"""The depth network: backbone -> ASPP -> decoder -> metres (paper 3.1, figure 1)."""

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models import DECODERS
from hqmd_cli.models.aspp import ASPP
from hqmd_cli.models.backbone import Backbone, build_backbone
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import rescale_logarithm
from hqmd_cli.models.ordinal import DISCRETISATIONS, OrdinalHead
from hqmd_cli.models.strided import Level
from hqmd_cli.registry import pick, resolve

MEAN_DEPTH_M = 2.75  # about the mean of NYU's training depths: where an untrained network starts


class Activation(NamedTuple):
    """Logits to metres, and its inverse, for the bias that training starts with."""

    to_metres: Callable[[Tensor], Tensor]
    to_logit: Callable[[float], float]

    def start(self, *last_layers: nn.Module) -> None:
        """Let layers whose output is logits begin at MEAN_DEPTH_M."""
        for layer in last_layers:
            nn.init.constant_(layer.bias, self.to_logit(MEAN_DEPTH_M))  # type: ignore[arg-type]


# Logits to metres, which the paper leaves unsaid. Both keep depth positive, so that no metric needs a clip.
# softplus is linear in metres beyond about 1 m, nearest to a plain regression on metres, hence the default;
# exp makes the network regress log depth.
ACTIVATIONS = {
    "softplus": Activation(F.softplus, lambda depth_m: math.log(math.expm1(depth_m))),
    "exp": Activation(torch.exp, math.log),
}


class DepthNetwork(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres, for any H and W from 32 up.

    When it is not in training, H and W of depth are divided by config.depth_stride, and rounded up.

    A 2 x 3 x 289 x 385 batch through ResNet-50 at stride 16: low 2 x 256 x 73 x 97, high 2 x 2048 x 19 x 25,
    context 2 x 256 x 19 x 25, depth 2 x 1 x 289 x 385.
    """

    paper = Paper(
        "HQMD: Jiang and Huang 2019",
        "High Quality Monocular Depth Estimation via a Multi-Scale Network and a Detail-Preserving Objective",
    )  # its settings are the defaults of ModelConfig and TrainConfig
    backbone: Backbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        pick({**ACTIVATIONS, **DISCRETISATIONS}, config.activation, "activation")
        self.backbone = build_backbone(config, backbone_weights)
        self.context_ratio = self.backbone.high_stride / self.backbone.low_stride
        self.aspp = ASPP(self.backbone.high_channels, config.aspp_channels, config.aspp_rates)
        self.decoder = resolve(DECODERS, config.decoder, "decoder")(config, self.backbone.low_channels)
        self.ordinal = OrdinalHead(config) if config.activation in DISCRETISATIONS else None
        if self.ordinal is None:  # intervals start undecided, halfway
            ACTIVATIONS[config.activation].start(self.decoder.logits)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> metres, (B, 1, *depth_size(H, W))."""
        size = self.depth_size(*rgb.shape[-2:])
        logits = self.logits_of_levels(rgb, size) if self.config.coarse_first else self.logits(rgb, size)
        if self.ordinal is not None:
            return self.ordinal(logits)
        return Estimate(ACTIVATIONS[self.config.activation].to_metres(logits))

    def depth_size(self, height: int, width: int) -> tuple[int, int]:
        """(H, W) of the depth of a picture of this size."""
        stride = 1 if self.training else self.config.depth_stride
        return (height + stride - 1) // stride, (width + stride - 1) // stride

    def logits(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """(B, 3, H, W) RGB in 0..1 -> (B, logit_channels, *size)."""
        low, high = self.backbone(rgb)
        return self.decoder(low, self.aspp(high), size)

    def logits_of_levels(self, rgb: Tensor, size: tuple[int, int]) -> Tensor:
        """The same, each convolution at the stride of what it sees (strided.py)."""
        low, high = self.backbone.levels(rgb)
        context = Level(self.aspp.of_levels(high), self.context_ratio)
        return self.decoder.of_levels(low, context, size)

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """What a network trained at one size needs at another (predictor.py says why), and its calibration.

        Exact for exp, whose logits are logarithms; with softplus it is left to training.
        """
        if self.config.activation == "exp":
            rescale_logarithm(self.decoder.logits, factor, power)
