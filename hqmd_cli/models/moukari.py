"""Moukari et al., "Deep multi-scale architectures for monocular depth estimation" (ICIP 2018,
https://arxiv.org/abs/1806.03051): one single-scale network and four multi-scale ones, five names here.

    moukari-single    the deepest map, up-projected to a quarter of the photo
    moukari-skip      the same, joined after each step with the encoder's map of that size
    moukari-pyramid   feature pyramid: the encoder's maps, narrowed and summed from coarse to fine, joined at 1/4
    moukari-dilated   dilated encoder at stride 8 in place of 32, then as moukari-single
    moukari           atrous spatial pyramid pooling on the dilated map, then as moukari-single

Known are the abstract (four architectures with multi-scale features along the network, set against a state-of-the-art
single-scale one), its list of references (FCRN; dilated residual networks; feature pyramid networks) and what
Jiang & Huang say of it: pooling by atrous rates did best. The text was not to be had, nor is there code by the authors.
So these are the four ideas, each as its own source defines it, on one common decoder, and not the authors' layers:
- Encoder: ResNet-50, as FCRN, the single-scale network of the references; another one by `backbone`.
- Decoder: Hu et al.'s up-projections (models/up_projection.py), to half the channels each, down to a quarter.
- That skip connections are the fourth idea is a guess; so are 256 channels in pyramid and pooling, the common ones.
- Depth ends in config.activation (softplus) and is enlarged bilinearly; the loss is FCRN's, `depth` (BerHu).
- Training is left at our defaults but for the size, FCRN's.
Unused of ModelConfig: decoder, low_*, high_*, guide*, fuse_channels; aspp_* but for moukari, aspp_channels for pyramid.
"""

from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.aspp import ASPP
from hqmd_cli.models.backbone import LOW_STRIDE, StageBackbone, build_stages
from hqmd_cli.models.layers import ConvBNReLU, FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS
from hqmd_cli.models.strides import join
from hqmd_cli.models.system import DepthModel, Estimate, Paper
from hqmd_cli.models.up_projection import BilinearProjection
from hqmd_cli.registry import pick

SMALLEST_WIDTH = 8  # a small backbone's decoder is not narrower


def paper(output_stride: int) -> Paper:
    """That of all five, which differ in how far their encoders shrink a photo."""
    return Paper(
        "Moukari et al. 2018",
        "https://arxiv.org/abs/1806.03051",
        model={"size": (228, 304), "output_stride": output_stride},
        training={"loss": "depth"},
    )


def decoder_widths(channels: int, steps: int) -> list[int]:
    """Channels before and after each of the steps: halves."""
    return [max(channels >> i, SMALLEST_WIDTH) for i in range(steps + 1)]


class Moukari(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up. A kind says what it decodes."""

    paper: ClassVar[Paper] = paper(output_stride=32)
    backbone: StageBackbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        activation = pick(ACTIVATIONS, config.activation, "activation")
        self.to_metres = activation.to_metres
        self.backbone = build_stages(config, backbone_weights)
        self.finest = self.backbone.strides.index(LOW_STRIDE)
        self.logits = FullPrecisionConv(self.build(self.backbone.channels[self.finest :]), 1, 3, padding=1)
        activation.start(self.logits)

    def build(self, channels: list[int]) -> int:
        """Make the decoder of maps with these channels, fine to coarse; the channels of what it gives."""
        raise NotImplementedError

    def decode(self, features: list[Tensor]) -> Tensor:
        """Maps, fine to coarse -> (B, C, h, w) at the size of the finest."""
        raise NotImplementedError

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        decoded = self.decode(self.backbone.stages(rgb)[self.finest :])
        return Estimate(resize(self.to_metres(self.logits(decoded)), rgb.shape[-2:]))


class SingleScale(Moukari):
    """moukari-single: of 2048 x 8 x 10, 1024 x 8 x 10, then 512, 256 and 128 channels at 15 x 19, 29 x 38, 57 x 76."""

    def build(self, channels: list[int]) -> int:
        self.head, width = self.build_head(channels[-1])
        widths = decoder_widths(width, len(channels) - 1)
        self.ups = nn.ModuleList(BilinearProjection(*pair) for pair in pairwise(widths))
        return widths[-1]

    def build_head(self, channels: int) -> tuple[nn.Module, int]:
        """What the deepest map goes through first, and its channels then."""
        width = max(channels // 2, SMALLEST_WIDTH)
        return ConvBNReLU(channels, width), width

    def decode(self, features: list[Tensor]) -> Tensor:
        x = self.head(features[-1])
        for up, finer in zip(self.ups, reversed(features[:-1]), strict=True):
            x = up(x, finer.shape[-2:])
        return x


class Skip(SingleScale):
    """moukari-skip: each step's map is joined with the encoder's, and the two are fused to the step's width."""

    def build(self, channels: list[int]) -> int:
        width = super().build(channels)
        widths = decoder_widths(max(channels[-1] // 2, SMALLEST_WIDTH), len(channels) - 1)[1:]
        self.fusions = nn.ModuleList(
            ConvBNReLU(own + encoder, own, kernel=3) for own, encoder in zip(widths, channels[-2::-1], strict=True)
        )
        return width

    def decode(self, features: list[Tensor]) -> Tensor:
        x = self.head(features[-1])
        for up, fuse, finer in zip(self.ups, self.fusions, reversed(features[:-1]), strict=True):
            x = fuse(torch.cat([up(x, finer.shape[-2:]), finer], dim=1))
        return x


class FeaturePyramid(Moukari):
    """moukari-pyramid (Lin et al., "Feature Pyramid Networks for Object Detection", CVPR 2017, section 3).

    Their top-down steps enlarge to the nearest pixel; ours bilinearly, as any size may follow another here.
    """

    def build(self, channels: list[int]) -> int:
        width = self.config.aspp_channels
        self.laterals = nn.ModuleList(nn.Conv2d(c, width, 1) for c in channels)
        self.smoothing = nn.ModuleList(nn.Conv2d(width, width, 3, padding=1) for _ in channels)
        self.fuse = ConvBNReLU(width * len(channels), width, kernel=3)
        return width

    def decode(self, features: list[Tensor]) -> Tensor:
        levels = [lateral(feature) for lateral, feature in zip(self.laterals, features, strict=True)]
        for i in reversed(range(len(levels) - 1)):
            levels[i] = levels[i] + resize(levels[i + 1], levels[i].shape[-2:])
        return self.fuse(join([smooth(level) for smooth, level in zip(self.smoothing, levels, strict=True)]))


class Dilated(SingleScale):
    """moukari-dilated: single-scale, its encoder at stride 8 (Yu et al., "Dilated Residual Networks", CVPR 2017)."""

    paper = paper(output_stride=8)


class AtrousPyramid(SingleScale):
    """moukari: pooling by several atrous rates (Chen et al., DeepLabv3), at the stride that our network pools at."""

    paper = paper(output_stride=16)

    def build_head(self, channels: int) -> tuple[nn.Module, int]:
        return ASPP(channels, self.config.aspp_channels, self.config.aspp_rates), self.config.aspp_channels
