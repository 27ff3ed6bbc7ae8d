"""Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional
Architecture" (ICCV 2015, https://arxiv.org/abs/1411.4734): section 3, figure 1, with VGG. For a photo of 228 x 304:

    scale 1   B x 64 x 55 x 74    VGG-16 to 512 x 7 x 9, two fully connected layers to 64 x 14 x 19, four times as large
    scale 2   B x 1 x 55 x 74     the photo, 9 x 9 convolution and pooling to 96 channels; joined; four of 5 x 5
    scale 3   B x 1 x 109 x 147   the same at half the photo's size, joined with scale 2's map; three of 5 x 5

Left unsaid or changed, and how we decided:
- Pads and pools, which figure 1 leaves to its sizes: 9 x 9 with a pad of 1 and 3 x 3 pooling of stride 2 in scale 2, no
  pad and 2 x 2 pooling of stride 1 in scale 3, and maps cropped after they were enlarged by 4 and by 2.
- Their VGG has 150 x 112 where the usual one, ours, has 152 x 114: its first two convolutions had no pad.
- They train scale 3 when scales 1 and 2 are done. Here at once, which is the same to each of them: scale 3 sees
  scale 2's map without passing gradients on, and scale 2's map is supervised as a further one, by the same loss.
- Their map leaves out a border of 4 pixels. Ours is enlarged to the whole photo, and compared at its size: all systems
  here are trained on the same pixels. Other sizes of photos are brought to config.size first.
- The last layers are linear and say log depth (config.activation, exp).
- Rates differ by layer, .001 in most; one rate here. 2.5 million steps, a tenth of the rate after 2 million (5.1), are
  counted in epochs of the 220 000 pictures of their first paper.
Unused of ModelConfig: decoder, low_*, high_*, guide*, aspp_*, fuse_channels, depth_bins, depth_range_m.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config import ModelConfig
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.full_view import FullView, rectified
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS, MEAN_DEPTH_M
from hqmd_cli.models.system import DepthModel, Estimate, Paper
from hqmd_cli.registry import pick

VIEW_CHANNELS, VIEW_STRIDE, VIEW_ENLARGED = 64, 16, 4  # of scale 1's last layer
SEEN_CHANNELS, WIDTH = 96, 64  # of the first and the other layers of scales 2 and 3
BATCH_SIZE = 16  # 5.1, with VGG
STEPS, STEPS_BEFORE_DECAY = 2_500_000, 2_000_000
PICTURES = 220_000


class Refinement(nn.Module):
    """Scale 2 or 3: the photo (B, 3, H, W) and a coarser map (B, C, h, w) -> logits (B, 1, ...), as `see` makes them.

    The coarser map is enlarged `factor` times and cropped at its end.
    """

    def __init__(self, see: nn.Sequential, coarse_channels: int, layers: int, factor: int) -> None:
        super().__init__()
        self.see, self.factor = see, factor
        widths = [SEEN_CHANNELS + coarse_channels, *[WIDTH] * (layers - 1)]
        hidden = [rectified(width, WIDTH, 5, padding=2) for width in widths[:-1]]
        self.refine = nn.Sequential(*(part for pair in hidden for part in pair))
        self.logits = FullPrecisionConv(WIDTH, 1, 5, padding=2)

    def forward(self, rgb: Tensor, coarse: Tensor) -> Tensor:
        seen = self.see(rgb)
        height, width = seen.shape[-2:]
        large = F.interpolate(coarse, scale_factor=self.factor, mode="bilinear", align_corners=False)
        return self.logits(self.refine(torch.cat([seen, large[..., :height, :width]], dim=1)))


class Eigen2015(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up."""

    paper = Paper(
        "Eigen and Fergus 2015",
        "https://arxiv.org/abs/1411.4734",
        model={"backbone": "vgg16", "size": (228, 304), "output_stride": 32, "activation": "exp"},
        training={
            "loss": "silog+grad",
            "optimizer": "sgd",
            "lr": 1e-3,
            "momentum": 0.9,
            "batch_size": BATCH_SIZE,
            "epochs": STEPS * BATCH_SIZE // PICTURES,
            "lr_decay": 0.1,
            "lr_decay_steps": STEPS_BEFORE_DECAY,
        },
        weights="cs.nyu.edu/~deigen/dnl, no licence stated (Theano)",
    )
    backbone: StageBackbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.to_metres, to_logit = pick(ACTIVATIONS, config.activation, "activation")
        self.backbone = build_stages(config, backbone_weights)
        grid = round(config.size[0] / VIEW_STRIDE), round(config.size[1] / VIEW_STRIDE)
        # VGG rounds down. Networks that round up have their deepest map brought to this.
        self.cells = config.size[0] // self.backbone.high_stride, config.size[1] // self.backbone.high_stride
        self.view = FullView(self.backbone.high_channels, self.cells, VIEW_CHANNELS, grid)
        see2 = nn.Sequential(*rectified(3, SEEN_CHANNELS, 9, stride=2, padding=1), nn.MaxPool2d(3, stride=2))
        see3 = nn.Sequential(*rectified(3, SEEN_CHANNELS, 9, stride=2), nn.MaxPool2d(2, stride=1))
        self.scale2 = Refinement(see2, VIEW_CHANNELS, layers=4, factor=VIEW_ENLARGED)
        self.scale3 = Refinement(see3, 1, layers=3, factor=2)
        for scale in (self.scale2, self.scale3):
            nn.init.constant_(scale.logits.bias, to_logit(MEAN_DEPTH_M))  # type: ignore[arg-type]

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres; while training scale 2's, too."""
        seen = resize(rgb, self.config.size)
        normalised = self.backbone.normalise(seen)
        second = self.scale2(normalised, self.view(resize(self.backbone.stages(seen)[-1], self.cells)))
        third = self.scale3(normalised, second.detach())
        return Estimate(resize(self.to_metres(third), rgb.shape[-2:]), aux_m=(self.to_metres(second),))
