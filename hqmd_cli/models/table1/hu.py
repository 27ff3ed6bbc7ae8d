"""Hu et al., "Revisiting Single Image Depth Estimation: Toward Higher Resolution Maps with Accurate Object Boundaries"
(WACV 2019, https://arxiv.org/abs/1803.08673), section 3.1 and figure 2, with ResNet-50. For a photo of 228 x 304:

    encoder   B x 256, 512, 1024, 2048 channels at strides 4, 8, 16, 32
    decoder   B x 64 x 114 x 152     D: the deepest map, 1 x 1 to half its channels, then four up-projections: to the
                                     size of each finer map, and to twice the finest
    fusion    B x 64 x 114 x 152     MFF: each of the four maps up-projected to 16 channels in one step, then joined
    refine    B x 1 x 114 x 152      R: two 5 x 5 convolutions of D and MFF together, and a third for the logits

Our choices where the paper is silent or where we differ:
- They compare at half the photo's size. We enlarge the map bilinearly to the photo's size: all systems here are trained
  on the same pixels.
- Their last layer is linear, so depth can be negative. Ours ends in config.activation.
- Bilinear enlargement aligns pixel areas, as their code does with a current torch. The torch 0.3.1 that they name
  aligned the centres of the corners.
- Our loss `hu` takes differences of neighbours. Their script takes an undivided Sobel filter: it gives eight times the
  slope (docs/table1.md), so its logarithms and normals weigh slopes as if they were eight times as steep. It also pads
  with zeros, so the border of the picture counts as an edge.
- "Reduced to a tenth every 5 epochs": of their 50,688 pictures.

Settings without effect: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

from itertools import pairwise

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.backbone import LOW_STRIDE
from hqmd_cli.models.base import Paper
from hqmd_cli.models.layers import ConvBNReLU
from hqmd_cli.models.table1.encoder_decoder import EncoderDecoder
from hqmd_cli.models.table1.up_projection import BilinearProjection, halved

FUSED_CHANNELS = 16  # of each scale in MFF
BATCH_SIZE = 8
STEPS_OF_5_EPOCHS = 5 * 50_688 // BATCH_SIZE


class Decoder(nn.Module):
    """D: maps from fine to coarse -> (B, channels, 2h, 2w), where the finest map is h x w."""

    def __init__(self, deepest: int, count: int) -> None:
        super().__init__()
        widths = halved(deepest, count)
        self.narrow = ConvBNReLU(deepest, widths[0])
        self.ups = nn.ModuleList(BilinearProjection(*pair) for pair in pairwise(widths))
        self.channels = widths[-1]

    def forward(self, features: list[Tensor]) -> Tensor:
        height, width = features[0].shape[-2:]
        sizes = [*(feature.shape[-2:] for feature in features[-2::-1]), (2 * height, 2 * width)]
        x = self.narrow(features[-1])
        for up, size in zip(self.ups, sizes, strict=True):
            x = up(x, size)
        return x


class Fusion(nn.Module):
    """MFF: every map enlarged to `size` in one step -> (B, channels, *size)."""

    def __init__(self, in_channels: list[int]) -> None:
        super().__init__()
        self.ups = nn.ModuleList(BilinearProjection(channels, FUSED_CHANNELS) for channels in in_channels)
        self.channels = FUSED_CHANNELS * len(in_channels)
        self.fuse = ConvBNReLU(self.channels, self.channels, kernel=5)

    def forward(self, features: list[Tensor], size: torch.Size) -> Tensor:
        enlarged = [up(feature, size) for up, feature in zip(self.ups, features, strict=True)]
        return self.fuse(torch.cat(enlarged, dim=1))


class Hu(EncoderDecoder):
    """Decode the deepest map, and refine it together with all maps fused."""

    paper = Paper(
        "Hu et al. 2019",
        "https://arxiv.org/abs/1803.08673",
        model={"size": (228, 304), "output_stride": 32},
        training={
            "loss": "hu",
            "optimizer": "adam",
            "lr": 1e-4,
            "weight_decay": 1e-4,
            "batch_size": BATCH_SIZE,
            "epochs": 20,
            "lr_decay": 0.1,
            "lr_decay_steps": STEPS_OF_5_EPOCHS,
        },
        weights="github.com/JunjH/Revisiting_Single_Depth_Estimation, no licence stated (torch 0.3)",
    )

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        self.finest = self.backbone.strides.index(LOW_STRIDE)  # theirs start at a quarter of the photo
        channels = self.backbone.channels[self.finest :]
        self.decoder, self.fusion = Decoder(channels[-1], len(channels)), Fusion(channels)
        joined = self.decoder.channels + self.fusion.channels
        self.refine = nn.Sequential(*(ConvBNReLU(joined, joined, kernel=5) for _ in range(2)))
        self.add_logits(joined, kernel=5)

    def decode(self, features: list[Tensor]) -> Tensor:
        features = features[self.finest :]
        decoded = self.decoder(features)
        fused = self.fusion(features, decoded.shape[-2:])
        return self.refine(torch.cat([decoded, fused], dim=1))
