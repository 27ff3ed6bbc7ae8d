"""Eigen and Fergus, "Predicting Depth, Surface Normals and Semantic Labels with a Common Multi-Scale Convolutional
Architecture" (ICCV 2015, https://arxiv.org/abs/1411.4734), section 3 and figure 1, with VGG. Where the paper is silent
we follow their code (models/iccv15/depthnormals_nyud_vgg.py and .conf, docs/table1.md). For a photo of 228 x 304:

    scale 1   B x 64 x 55 x 74    VGG-16 to 512 x 7 x 9, two fully connected layers to 64 x 14 x 19, enlarged four times
    scale 2   B x 1 x 55 x 74     the photo, 9 x 9 convolution and pooling to 96 channels; joined; four of 5 x 5
    scale 3   B x 1 x 109 x 147   the photo again, at half its size; joined with scale 2's map; three of 5 x 5

Our choices where both are silent or where we differ:
- From their code: pads and pools; a ReLU after layer 1.7; linear enlargement to scale 2, which fades at the border;
  enlargement of each cell to four for scale 3; and a constant that scale 2 adds at each place, whatever the photo.
- Their network predicts depth and normals at once, with 60 channels in layer 3.1. Ours predicts depth alone, with the
  paper's 96.
- Their VGG gives 150 x 112 where the usual one, ours, gives 152 x 114: its first two convolutions have no pad. Their
  factor of .01 after it is for colours in 0..255. Ours takes colours in the range of its weights, and needs none.
- They train scale 3 after scales 1 and 2. We train all at once: scale 3 sees scale 2's map but passes no gradient to
  it, and that map has the same loss. To save time, their scale 3 sees crops of 74 x 55.
- Their map leaves out a border of 4 pixels. Ours is enlarged to the whole photo, and compared at that size: all systems
  here are trained on the same pixels. Photos of other sizes are resized to config.size first.
- The last layers are linear and give log depth (config.activation = exp). Theirs is divided by its standard deviation,
  .457.
- Rates differ by layer, from .001 to .1. Ours is .001, which most convolutions have. Their 2.5 million steps, with a
  tenth of the rate after 2 million (5.1), are counted in epochs of the 220,000 pictures of their first paper.

Settings without effect: decoder, low_*, high_*, aspp_*, fuse_channels, depth_bins, depth_range_m.
"""

from collections.abc import Callable

import torch
from torch import Size, Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.activations import ACTIVATIONS
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.table1.eigen_layers import FullView, quarter, rectified, seen_photo
from hqmd_cli.registry import pick

VIEW_CHANNELS, VIEW_STRIDE = 64, 16  # scale 1's last layer
SEEN_CHANNELS, WIDTH = 96, 64  # channels of the first layer and of the others, in scales 2 and 3
BATCH_SIZE = 16  # 5.1, with VGG
STEPS, STEPS_BEFORE_DECAY = 2_500_000, 2_000_000
PICTURES = 220_000


def fourfold(x: Tensor, size: Size) -> Tensor:
    """(B, C, h, w) -> (B, C, *size): linear between cells, which lie at 1, 5, 9, ..., and falling to 0 beyond them."""
    height, width = (4 * (side + 1) + 1 for side in x.shape[-2:])
    large = F.interpolate(F.pad(x, (1, 1, 1, 1)), size=(height, width), mode="bilinear", align_corners=True)
    return large[..., 3 : 3 + size[0], 3 : 3 + size[1]]


def twofold(x: Tensor, size: Size) -> Tensor:
    """(B, C, h, w) -> (B, C, *size): each cell becomes 2 x 2."""
    return F.interpolate(x, scale_factor=2, mode="nearest")[..., : size[0], : size[1]]


class Refinement(nn.Module):
    """Scale 2 or 3: the photo (B, 3, H, W) and a coarser map (B, C, h, w) -> logits (B, 1, ...), as fine as `see`."""

    def __init__(
        self, see: nn.Sequential, enlarge: Callable[[Tensor, Size], Tensor], coarse_channels: int, layers: int
    ) -> None:
        super().__init__()
        self.see, self.enlarge = see, enlarge
        widths = [coarse_channels + SEEN_CHANNELS, *[WIDTH] * (layers - 1)]
        hidden = [rectified(width, WIDTH, 5, padding=2) for width in widths[:-1]]
        self.refine = nn.Sequential(*(part for pair in hidden for part in pair))
        self.logits = FullPrecisionConv(WIDTH, 1, 5, padding=2)

    def forward(self, rgb: Tensor, coarse: Tensor) -> Tensor:
        seen = self.see(rgb)
        return self.logits(self.refine(torch.cat([self.enlarge(coarse, seen.shape[-2:]), seen], dim=1)))


class Eigen2015(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up."""

    has_one_size = True
    paper = Paper(
        "Eigen and Fergus 2015",
        "https://arxiv.org/abs/1411.4734",
        model={"backbone": "vgg16", "size": (228, 304), "output_stride": 32, "activation": "exp"},
        training={
            "loss": "silog+grad",
            "optimizer": "sgd",
            "lr": 1e-3,
            "momentum": 0.9,
            "weight_decay": 1e-4,  # their code's, of most layers
            "batch_size": BATCH_SIZE,
            "epochs": STEPS * BATCH_SIZE // PICTURES,
            "lr_decay": 0.1,
            "lr_decay_steps": STEPS_BEFORE_DECAY,
        },
        weights="cs.nyu.edu/~deigen/dnl (Theano), no licence stated but of the code, GPL 3",
    )
    backbone: StageBackbone

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        activation = pick(ACTIVATIONS, config.activation, "activation")
        self.to_metres = activation.to_metres
        self.backbone = build_stages(config, backbone_weights)
        grid = round(config.size[0] / VIEW_STRIDE), round(config.size[1] / VIEW_STRIDE)
        # VGG rounds down; the deepest map of a network that rounds up is resized to these cells.
        self.cells = config.size[0] // self.backbone.high_stride, config.size[1] // self.backbone.high_stride
        self.view = FullView(self.backbone.high_channels, self.cells, VIEW_CHANNELS, grid)
        self.scale2 = Refinement(seen_photo(SEEN_CHANNELS, 2), fourfold, VIEW_CHANNELS, layers=4)
        self.scale3 = Refinement(seen_photo(SEEN_CHANNELS, 1), twofold, 1, layers=3)
        self.place = nn.Parameter(torch.zeros(1, quarter(config.size[0]), quarter(config.size[1])))
        activation.start(self.scale2.logits, self.scale3.logits)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres; `aux_m` is scale 2's map (B, 1, h, w)."""
        seen = resize(rgb, self.config.size)
        normalised = self.backbone.normalise(seen)
        view = F.relu(self.view(resize(self.backbone.stages(seen)[-1], self.cells)))
        second = self.scale2(normalised, view) + self.place
        third = self.scale3(normalised, second.detach())
        return Estimate(resize(self.to_metres(third), rgb.shape[-2:]), aux_m=(self.to_metres(second),))
