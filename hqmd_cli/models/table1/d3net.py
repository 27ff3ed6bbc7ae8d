"""D3-Net, Carvalho et al., "On regression losses for deep depth estimation" (ICIP 2018,
https://hal.science/hal-01925321): DenseNet-121 and a decoder with skip connections, figure 1. A photo of 256 x 320:

    encoder   B x 64, 256, 512, 1024, 1024 channels at strides 2, 4, 8, 16, 32
    skips     B x 64, 128, 256, 512        the first as it is; the others through a DenseNet transition, not pooled
    decoder   B x 512, 256, 128, 64, 64    each twice as large as the one before; skips are joined in front of a block
    logits    B x 1 x 256 x 320            3 x 3 convolution

The text was not to be had when this was written, the authors' code was: marcelampc/d3net_depth_estimation, whose class
DenseUNet of networks/dense_decoders.py, with skips, is followed (docs/table1.md). Changed, and how we decided:
- Their encoder learns to halve its first map by a strided convolution instead of max pooling, and its first two and its
  last layer leak below zero. So does ours, in a DenseNet; other backbones stay as they are.
- Their skips are the transitions inside DenseNet, whose maps a timm backbone does not give: here they have weights of
  their own, which start anew.
- Widths are halves of the deepest map's, as theirs, whatever the backbone; where it has no stage at a decoder's size,
  that block has no skip.
- Their decoder's convolutions have biases in front of a batch norm, which takes them away again: left out.
- Their last layer is linear. Ours ends in config.activation (softplus), so that depth is positive.
- The loss: `l1`, their code's default. The adversarial term that the paper adds to it is not part of this.
- Photos are 256 x 320, nearly NYU's shape; their script squeezes them to 256 x 256.
- Their lr is that code's default, the batch that of its NYU script; an Adam of beta_1 0.5 is not offered here.
Unused of ModelConfig: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS
from hqmd_cli.registry import pick

LEAK = 0.2  # of the leaky ReLUs
DROPOUT = 0.5  # in the two coarsest blocks, "use_dropout" of their NYU script
DROPOUT_BLOCKS = 2


class Transition(nn.Sequential):
    """DenseNet's, without its pooling: (B, C, h, w) -> (B, C / 2, h, w)."""

    def __init__(self, channels: int) -> None:
        super().__init__(
            nn.BatchNorm2d(channels), nn.ReLU(inplace=True), nn.Conv2d(channels, channels // 2, 1, bias=False)
        )


class UpBlock(nn.Sequential):
    """(B, C_in, h, w) -> (B, C_out, 2h, 2w): transposed convolution and convolution, each with batch norm and ReLU."""

    def __init__(self, in_channels: int, out_channels: int, dropout: float) -> None:
        super().__init__(
            nn.ConvTranspose2d(in_channels, out_channels, 4, stride=2, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.Dropout(dropout),
            nn.ReLU(inplace=True),
            nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.Dropout(dropout),
            nn.ReLU(inplace=True),
        )


def learn_to_halve(net: Any) -> None:
    """Give a DenseNet of timm the authors' first layers, and their leaks before the decoder."""
    if not isinstance(net, nn.ModuleDict) or not isinstance(net._modules.get("features_pool0"), nn.MaxPool2d):
        return
    channels: Any = net["features_norm0"].num_features
    net["features_norm0"].act = net["features_norm5"].act = nn.LeakyReLU(LEAK, inplace=True)
    net["features_pool0"] = nn.Sequential(
        nn.Conv2d(channels, channels, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.LeakyReLU(LEAK, inplace=True),
    )


class D3Net(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up."""

    paper = Paper(
        "Carvalho et al. 2018",
        "https://hal.science/hal-01925321",
        model={"backbone": "densenet121", "size": (256, 320), "output_stride": 32},
        training={"loss": "l1", "optimizer": "adam", "lr": 2e-4, "batch_size": 4},
    )
    backbone: StageBackbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        activation = pick(ACTIVATIONS, config.activation, "activation")
        self.to_metres = activation.to_metres
        self.backbone = build_stages(config, backbone_weights)
        learn_to_halve(self.backbone.net)
        channels = dict(zip(self.backbone.strides, self.backbone.channels, strict=True))  # deepest of each stride
        deepest = self.backbone.high_stride
        self.skip_strides = [deepest >> i for i in range(1, deepest.bit_length())]  # 16, 8, 4, 2, 1: after each block
        self.skips, self.blocks = nn.ModuleDict(), nn.ModuleList()
        width = joined = channels[deepest]
        for i, stride in enumerate(self.skip_strides):
            width = width if stride == 1 else max(width // 2, 1)  # the last block keeps its width
            self.blocks.append(UpBlock(joined, width, DROPOUT if i < DROPOUT_BLOCKS else 0.0))
            skip = self.add_skip(stride, channels[stride]) if stride in channels else 0
            joined = width + skip
        self.logits = FullPrecisionConv(joined, 1, 3, padding=1)
        activation.start(self.logits)

    def add_skip(self, stride: int, channels: int) -> int:
        """A skip from the encoder's map of that stride; its channels."""
        inside = stride > self.backbone.low_stride  # a DenseNet's first map comes before all transitions
        self.skips[str(stride)] = Transition(channels) if inside else nn.Identity()
        return channels // 2 if inside else channels

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        features = dict(zip(self.backbone.strides, self.backbone.stages(rgb), strict=True))
        x = features[self.backbone.high_stride]
        for block, stride in zip(self.blocks, self.skip_strides, strict=True):
            x = block(x)
            if str(stride) in self.skips:
                skip = self.skips[str(stride)](features[stride])
                x = torch.cat([skip, resize(x, skip.shape[-2:])], dim=1)  # an odd map, doubled, is too large by one
        return Estimate(resize(self.to_metres(self.logits(x)), rgb.shape[-2:]))
