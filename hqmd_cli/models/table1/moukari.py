"""Moukari et al., "Deep multi-scale architectures for monocular depth estimation" (ICIP 2018,
https://arxiv.org/abs/1806.03051), as we read it: an encoder, pooling at several atrous rates, up-projections.

We could not get the text, and the authors published no code. We know the abstract (four architectures with multi-scale
features, compared with a single-scale one), its references (FCRN, dilated residual networks, feature pyramid networks)
and one remark of Jiang & Huang: pooling at several atrous rates did best. This file is that variant. Its layers are
not the authors':
- Encoder: ResNet-50, as in FCRN, their single-scale reference; `backbone` selects another.
- Pooling: DeepLabv3's ASPP with the usual 256 channels, at the stride where our own network pools.
- Decoder: Hu et al.'s up-projections (up_projection.py), each to half the channels, up to a quarter of the photo.
- Depth ends in config.activation and is enlarged bilinearly. The loss is FCRN's, `depth` (BerHu).
- Training has our defaults, but FCRN's picture size.

Settings without effect: decoder, low_*, high_*, fuse_channels.
"""

from itertools import pairwise
from typing import ClassVar

from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.aspp import ASPP
from hqmd_cli.models.backbone import LOW_STRIDE
from hqmd_cli.models.base import Paper
from hqmd_cli.models.table1.encoder_decoder import EncoderDecoder
from hqmd_cli.models.table1.up_projection import BilinearProjection

SMALLEST_WIDTH = 8  # channels; the decoder is never narrower, even where aspp_channels is small


class Moukari(EncoderDecoder):
    """Pool the deepest map at several atrous rates, and up-project it to a quarter of the photo.

    For 228 x 304: pooled to 256 x 15 x 19, then 128, 64 and 32 channels at 15 x 19, 29 x 38 and 57 x 76.
    """

    paper: ClassVar[Paper] = Paper(
        "Moukari et al. 2018",
        "https://arxiv.org/abs/1806.03051",
        model={"size": (228, 304), "output_stride": 16},
        training={"loss": "depth"},
    )

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        self.finest = self.backbone.strides.index(LOW_STRIDE)
        *finer, deepest = self.backbone.channels[self.finest :]
        self.head = ASPP(deepest, config.aspp_channels, config.aspp_rates)
        widths = [max(config.aspp_channels >> step, SMALLEST_WIDTH) for step in range(len(finer) + 1)]
        self.ups = nn.ModuleList(BilinearProjection(*pair) for pair in pairwise(widths))
        self.add_logits(widths[-1])

    def decode(self, features: list[Tensor]) -> Tensor:
        *finer, deepest = features[self.finest :]
        x = self.head(deepest)
        for up, feature in zip(self.ups, reversed(finer), strict=True):
            x = up(x, feature.shape[-2:])
        return x
