"""D3-Net: Carvalho et al., "On regression losses for deep depth estimation" (ICIP 2018,
https://hal.science/hal-01925321), figure 1: DenseNet-121 and a decoder with skip connections. For a photo of 256 x 320:

    encoder   B x 64, 256, 512, 1024, 1024 channels at strides 2, 4, 8, 16, 32
    skips     B x 64, 128, 256, 512        the first as it is; the others through a DenseNet transition without pooling
    decoder   B x 512, 256, 128, 64, 64    each block doubles the size; skips are joined in front of a block
    logits    B x 1 x 256 x 320            3 x 3 convolution

We could not get the text. We follow the authors' code instead: marcelampc/d3net_depth_estimation, class DenseUNet of
networks/dense_decoders.py, with skips (docs/table1.md). Our choices where we differ:
- Their encoder halves its first map by a learned, strided convolution instead of max pooling, and its first two and its
  last layer are leaky ReLUs. Ours does the same in a DenseNet; other backbones stay as they are.
- Their skips share the transitions inside DenseNet, whose maps a timm backbone does not return. Our skips have weights
  of their own, which start at random.
- Block widths are halves of the deepest map's, whatever the backbone. A block has no skip where the backbone has no
  stage of its size.
- Their decoder's convolutions have biases in front of a batch norm, which cancels them. Ours have none.
- Their last layer is linear. Ours ends in config.activation, so depth is positive.
- The loss is `l1`, the default of their code. The paper's adversarial term is left out.
- Photos are 256 x 320, nearly NYU's shape. Their script squeezes them to 256 x 256.
- The rate is the default of their code, the batch size that of their NYU script. Their Adam has beta_1 = 0.5, which
  hqmd does not offer.

Settings without effect: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.base import Paper
from hqmd_cli.models.layers import resize
from hqmd_cli.models.table1.encoder_decoder import EncoderDecoder

LEAK = 0.2  # slope of the leaky ReLUs below zero
DROPOUT = 0.5  # in the two coarsest blocks; "use_dropout" of their NYU script
DROPOUT_BLOCKS = 2


class Transition(nn.Sequential):
    """DenseNet's transition without pooling: (B, C, h, w) -> (B, C / 2, h, w)."""

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
    """Replace max pooling and the ReLUs in a timm DenseNet as the authors do. Leave any other network unchanged."""
    if not isinstance(net, nn.ModuleDict) or not isinstance(net._modules.get("features_pool0"), nn.MaxPool2d):
        return
    channels: Any = net["features_norm0"].num_features
    net["features_norm0"].act = net["features_norm5"].act = nn.LeakyReLU(LEAK, inplace=True)
    net["features_pool0"] = nn.Sequential(
        nn.Conv2d(channels, channels, 4, stride=2, padding=1, bias=False),
        nn.BatchNorm2d(channels),
        nn.LeakyReLU(LEAK, inplace=True),
    )


class D3Net(EncoderDecoder):
    """Double the deepest map's size block by block, and join the encoder's map of each size."""

    paper = Paper(
        "Carvalho et al. 2018",
        "https://hal.science/hal-01925321",
        model={"backbone": "densenet121", "size": (256, 320), "output_stride": 32},
        training={"loss": "l1", "optimizer": "adam", "lr": 2e-4, "batch_size": 4},
    )

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        learn_to_halve(self.backbone.net)
        channels = dict(zip(self.backbone.strides, self.backbone.channels, strict=True))  # deepest of each stride
        deepest = self.backbone.high_stride
        self.skip_strides = [deepest >> i for i in range(1, deepest.bit_length())]  # 16, 8, 4, 2, 1: after each block
        self.skips, self.blocks = nn.ModuleDict(), nn.ModuleList()
        width = joined = channels[deepest]
        for i, stride in enumerate(self.skip_strides):
            width = width if stride == 1 else max(width // 2, 1)  # the last block keeps its width
            self.blocks.append(UpBlock(joined, width, DROPOUT if i < DROPOUT_BLOCKS else 0.0))
            joined = width + (self.add_skip(stride, channels[stride]) if stride in channels else 0)
        self.add_logits(joined)

    def add_skip(self, stride: int, channels: int) -> int:
        """Add a skip from the encoder's map of this stride, and return its number of channels."""
        if stride == self.backbone.low_stride:  # a DenseNet's first map comes before all transitions
            self.skips[str(stride)] = nn.Identity()
            return channels
        self.skips[str(stride)] = Transition(channels)
        return channels // 2

    def decode(self, features: list[Tensor]) -> Tensor:
        maps = dict(zip(self.backbone.strides, features, strict=True))
        x = maps[self.backbone.high_stride]
        for block, stride in zip(self.blocks, self.skip_strides, strict=True):
            x = block(x)
            if str(stride) in self.skips:
                skip = self.skips[str(stride)](maps[stride])
                x = torch.cat([skip, resize(x, skip.shape[-2:])], dim=1)  # doubling an odd side gives one too many
        return x
