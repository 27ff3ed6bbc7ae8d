"""Eigen, Puhrsch and Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network" (NIPS 2014,
https://arxiv.org/abs/1406.2283): section 3.1, figure 1. For a photo of 228 x 304:

    coarse   B x 1 x 55 x 74     five convolutions to 256 x 6 x 8, and two fully connected layers
    fine     B x 1 x 55 x 74     9 x 9 convolution and pooling to 63 channels; joined with the coarse map; two of 5 x 5

Left unsaid or changed, and how we decided:
- Figure 1 draws pooling behind layers 1 and 2 only. The 6 x 8 cells of layer 5 come from its stride of 2, without pad.
- They train the fine network when the coarse one is done. Here at once, which is the same to both: the fine one sees
  the coarse map without passing gradients on, and the coarse map is supervised as a further one, by the same loss.
- Their map leaves out a border of 4 pixels. Ours is enlarged to the whole photo, and compared at its size: all systems
  here are trained on the same pixels. Other sizes of photos are brought to config.size first.
- They start the coarse convolutions from ImageNet's classes. timm has no such network: ours start at random.
- Both maps are log depth (config.activation, exp).
- Rates (3.4): .001 of convolutions, .1 of the fully connected layers, .01 of fine layer 2; one rate here, the first.
- 2 million pictures for the coarse network, of 220 000.
Unused of ModelConfig: backbone, decoder, output_stride, low_*, high_*, guide*, aspp_*, fuse_channels, depth_*.
"""

import torch
from timm.data import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
from torch import Tensor, nn

from hqmd_cli.config import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models.full_view import FullView, rectified
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS, MEAN_DEPTH_M
from hqmd_cli.models.system import DepthModel, Estimate, Paper
from hqmd_cli.registry import pick

SMALLEST_SIDE = 55  # of config.size: below it, nothing is left behind coarse layer 5
COARSE_CHANNELS = 256
BATCH_SIZE = 32
SEEN, PICTURES = 2_000_000, 220_000


def coarse_cells(side: int) -> int:
    """Of a side of the photo, behind coarse layer 5."""
    return (((side - 11) // 4 + 1) // 4 - 3) // 2 + 1


def fine_cells(side: int) -> int:
    """The same of both maps."""
    return ((side - 9) // 2 + 1) // 2


class Eigen2014(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up."""

    paper = Paper(
        "Eigen et al. 2014",
        "https://arxiv.org/abs/1406.2283",
        model={"size": (228, 304), "activation": "exp"},
        training={
            "loss": "silog",
            "optimizer": "sgd",
            "lr": 1e-3,
            "momentum": 0.9,
            "batch_size": BATCH_SIZE,
            "epochs": SEEN // PICTURES,
        },
        weights="cs.nyu.edu/~deigen/depth, no licence stated (Theano)",
    )

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        if min(config.size) < SMALLEST_SIDE:
            raise HqmdError(f"eigen2014 needs a size of {SMALLEST_SIDE} pixels or more on each side, not {config.size}")
        self.to_metres, to_logit = pick(ACTIVATIONS, config.activation, "activation")
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(IMAGENET_DEFAULT_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_DEFAULT_STD).view(1, 3, 1, 1), persistent=False)
        (rows, columns), grid = map(coarse_cells, config.size), (fine_cells(config.size[0]), fine_cells(config.size[1]))
        self.coarse = nn.Sequential(
            *rectified(3, 96, 11, stride=4),
            nn.MaxPool2d(2),
            *rectified(96, 256, 5, padding=2),
            nn.MaxPool2d(2),
            *rectified(256, 384, 3, padding=1),
            *rectified(384, 384, 3, padding=1),
            *rectified(384, COARSE_CHANNELS, 3, stride=2),
        )
        self.view = FullView(COARSE_CHANNELS, (rows, columns), 1, grid)
        self.see = nn.Sequential(*rectified(3, 63, 9, stride=2), nn.MaxPool2d(2))
        self.refine = nn.Sequential(*rectified(64, 64, 5, padding=2))
        self.logits = FullPrecisionConv(64, 1, 5, padding=2)
        for last in (self.view.spread, self.logits):
            nn.init.constant_(last.bias, to_logit(MEAN_DEPTH_M))  # type: ignore[arg-type]

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres; while training the coarse map, too."""
        seen = (resize(rgb, self.config.size) - self.mean) / self.std
        coarse = self.view(self.coarse(seen))
        fine = self.logits(self.refine(torch.cat([self.see(seen), coarse.detach()], dim=1)))
        return Estimate(resize(self.to_metres(fine), rgb.shape[-2:]), aux_m=(self.to_metres(coarse),))
