"""DORN: Fu et al., "Deep Ordinal Regression Network for Monocular Depth Estimation" (CVPR 2018,
https://arxiv.org/abs/1806.02446), section 3 and figure 2, as in their network for NYU (models/NYUV2/deploy.prototxt).

    photo        B x 3 x 257 x 353
    ResNet-101   B x 2048 x 33 x 45     stride 8, by dilation of the last two stages; three 3 x 3 convolutions first
    full image   B x 512 x 33 x 45      means of 8 x 8 cells, fully connected to 512, 1 x 1; equal everywhere (fig. 3c)
    pure ASPP    4 x B x 512 x 33 x 45  1 x 1 across channels, and 3 x 3 at three dilations, each followed by 1 x 1
    joined       B x 2048 x 33 x 45     all five, 1 x 1
    2K channels  B x 136 x 33 x 45      1 x 1
    logits       B x 68 x 257 x 353     (models/ordinal.py)

Our choices where the paper is silent or where we differ:
- The paper gives neither K nor the depths for NYU. Their network has 136 channels, and demo_nyuv2.py reads a label l as
  exp(l / 25 - 0.36) m: 68 intervals from 0.698 to 10.59 m, our defaults. Their decoding layer is not published, so we
  cannot tell if that value is the lower threshold. Ours is the middle of the interval, as in the paper.
- Dilations 6, 12 and 18 are the paper's (3.1). Their network for NYU has 4, 8 and 12; set aspp_rates in a recipe.
- The full-image encoder needs one size. For it, and for it only, the deepest map is resized to the map that a photo of
  config.size has.
- The pairs of channels are subtracted before they are enlarged, not after. Both steps are linear, and this order takes
  half the memory. We align pixel areas, they align corners.
- timm gives the first block of a stage the dilation of the stage before, they give it that of its own stage. Weights
  fit both.
- They keep conv1, conv2 and batch norm as pretrained. freeze_bn holds batch norm; nothing here holds the other two.
- Their head, except for the fully connected layer, learns ten times as fast as ResNet: hence backbone_lr_factor. They
  double the rate of biases; our head has one rate.

Settings without effect: decoder, low_*, high_*, fuse_channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.ordinal import OrdinalHead, from_pairs

POOLED = 8  # side of the full-image encoder's windows, in cells of the deepest map
DROPOUT = 0.5
JOINED_FACTOR = 4  # 2048 channels after branches of 512
PICTURES = 120_000  # 4.2: training pictures, about
STEPS, BATCH_SIZE = 3_000_000, 3  # 4: for NYU


def rectified(in_channels: int, out_channels: int, kernel: int = 1, rate: int = 1) -> list[nn.Module]:
    """Return a convolution that keeps height and width, and a ReLU. Theirs have no batch norm either."""
    padding = rate * (kernel // 2)
    return [nn.Conv2d(in_channels, out_channels, kernel, padding=padding, dilation=rate), nn.ReLU(inplace=True)]


class FullImageEncoder(nn.Module):
    """(B, C_in, h, w) -> (B, C_out, 1, 1): one vector for the picture, which knows where things are (figure 3c)."""

    def __init__(self, in_channels: int, out_channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        self.grid = grid
        cells = -(-grid[0] // POOLED) * -(-grid[1] // POOLED)  # windows at the lower and right border may be partial
        self.dropout = nn.Dropout(DROPOUT)
        self.connect = nn.Linear(in_channels * cells, out_channels)
        self.across = nn.Sequential(*rectified(out_channels, out_channels))

    def forward(self, high: Tensor) -> Tensor:
        pooled = F.avg_pool2d(resize(high, self.grid), POOLED, ceil_mode=True)
        return self.across(F.relu(self.connect(self.dropout(pooled.flatten(1))))[..., None, None])


class SceneUnderstanding(nn.Module):
    """(B, C_in, h, w) -> (B, 2K, h, w): the yellow part of figure 2."""

    def __init__(self, config: NetworkConfig, in_channels: int, grid: tuple[int, int]) -> None:
        super().__init__()
        width = config.aspp_channels
        kernels = [(1, 1), *((3, rate) for rate in config.aspp_rates)]
        self.encoder = FullImageEncoder(in_channels, width, grid)
        self.branches = nn.ModuleList(
            nn.Sequential(*rectified(in_channels, width, *kernel), *rectified(width, width)) for kernel in kernels
        )
        self.join = nn.Sequential(
            nn.Dropout(DROPOUT),
            *rectified((1 + len(kernels)) * width, JOINED_FACTOR * width),
            nn.Dropout(DROPOUT),
        )
        self.pairs = FullPrecisionConv(JOINED_FACTOR * width, 2 * config.depth_bins, 1)

    def forward(self, high: Tensor) -> Tensor:
        whole = self.encoder(high).expand(-1, -1, *high.shape[-2:])
        return self.pairs(self.join(torch.cat([whole, *(branch(high) for branch in self.branches)], dim=1)))


class DORN(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres and logits (B, K, H, W); H and W from 32 up."""

    paper = Paper(
        "Fu et al. 2018",
        "https://arxiv.org/abs/1806.02446",
        model={
            "backbone": "resnet101s",
            "output_stride": 8,
            "size": (257, 353),
            "activation": "sid",
            "aspp_rates": (6, 12, 18),
            "aspp_channels": 512,
        },
        training={
            "loss": "ordinal",
            "optimizer": "sgd",
            "lr": 1e-3,  # of the head: their prototxt multiplies the paper's 1e-4 by ten
            "backbone_lr_factor": 0.1,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "batch_size": BATCH_SIZE,
            "epochs": STEPS * BATCH_SIZE // PICTURES,
            "schedule": "poly",
            "poly_power": 0.9,
            "freeze_bn": True,
        },
        weights="github.com/hufu6371/DORN (Caffe), for research only",
    )
    backbone: StageBackbone

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.head = OrdinalHead(config)
        self.backbone = build_stages(config, backbone_weights)
        rows, columns = (-(-side // self.backbone.high_stride) for side in config.size)
        self.scene = SceneUnderstanding(config, self.backbone.high_channels, (rows, columns))

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres, and the logits from which they are counted."""
        channels = self.scene(self.backbone.stages(rgb)[-1])
        return self.head(resize(from_pairs(channels), rgb.shape[-2:]))
