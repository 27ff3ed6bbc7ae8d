"""Moukari et al., "Deep multi-scale architectures for monocular depth estimation" (ICIP 2018,
https://arxiv.org/abs/1806.03051), as we read it: an encoder, pooling by several atrous rates, up-projections.

Known are the abstract (four architectures with multi-scale features, compared with a single-scale one), its list of
references (FCRN; dilated residual networks; feature pyramid networks) and what Jiang & Huang say of it: pooling by
atrous rates did best. That is the one here; the others are variants in one paper's ablation. The text was not to be
had, nor is there code by the authors, so these are not their layers:
- Encoder: ResNet-50, as FCRN, the single-scale network of the references; another one by `backbone`.
- Pooling: DeepLabv3's, at the stride that our network pools at, to the common 256 channels.
- Decoder: Hu et al.'s up-projections (models/up_projection.py), to half the channels each, down to a quarter.
- Depth ends in config.activation (softplus) and is enlarged bilinearly; the loss is FCRN's, `depth` (BerHu).
- Training is left at our defaults but for the size, FCRN's.
Unused of ModelConfig: decoder, low_*, high_*, fuse_channels.
"""

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.aspp import ASPP
from hqmd_cli.models.backbone import LOW_STRIDE, StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS
from hqmd_cli.models.table1.up_projection import BilinearProjection
from hqmd_cli.registry import pick

SMALLEST_WIDTH = 8  # the decoder is not narrower, however few channels are pooled to


class Moukari(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up.

    Of 228 x 304: pooled to 256 x 15 x 19, then 128, 64 and 32 channels at 15 x 19, 29 x 38 and 57 x 76.
    """

    paper: ClassVar[Paper] = Paper(
        "Moukari et al. 2018",
        "https://arxiv.org/abs/1806.03051",
        model={"size": (228, 304), "output_stride": 16},
        training={"loss": "depth"},
    )
    backbone: StageBackbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        activation = pick(ACTIVATIONS, config.activation, "activation")
        self.to_metres = activation.to_metres
        self.backbone = build_stages(config, backbone_weights)
        self.finest = self.backbone.strides.index(LOW_STRIDE)
        *finer, deepest = self.backbone.channels[self.finest :]
        self.head = ASPP(deepest, config.aspp_channels, config.aspp_rates)
        widths = [max(config.aspp_channels >> step, SMALLEST_WIDTH) for step in range(len(finer) + 1)]
        self.ups = nn.ModuleList(BilinearProjection(*pair) for pair in pairwise(widths))
        self.logits = FullPrecisionConv(widths[-1], 1, 3, padding=1)
        activation.start(self.logits)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        *finer, deepest = self.backbone.stages(rgb)[self.finest :]
        x = self.head(deepest)
        for up, feature in zip(self.ups, reversed(finer), strict=True):
            x = up(x, feature.shape[-2:])
        return Estimate(resize(self.to_metres(self.logits(x)), rgb.shape[-2:]))
