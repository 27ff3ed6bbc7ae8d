"""Eigen, Puhrsch and Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network" (NIPS 2014,
https://arxiv.org/abs/1406.2283): section 3.1, figure 1, and where it is silent their own code (models/depth.py and
depth.conf, docs/table1.md). For a photo of 228 x 304:

    coarse   B x 1 x 55 x 74     AlexNet's five convolutions to 256 x 6 x 8, and two fully connected layers
    fine     B x 1 x 55 x 74     9 x 9 convolution and pooling to 63 channels; joined with the coarse map; two of 5 x 5

Left unsaid or changed, and how we decided:
- Pads, pools and the normalisation across channels are their code's. Ports pool 2 x 2, or have a stride in layer 5: the
  sizes are the same, the network is not.
- Their coarse network takes colours from -128 to 127, and its features times .01. Ours takes the colours times .01:
  the same but for the scale of biases, and small enough for short numbers.
- They start the coarse convolutions from ImageNet's classes. timm has no such network: ours start at random, as He's.
- They train the fine network when the coarse one is done. Here at once: the fine one sees the coarse map, with its
  dropout as theirs does, without passing gradients on, and the coarse map is supervised as a further one.
- Their map leaves out a border of 4 pixels. Ours is enlarged to the whole photo, and compared at its size: all systems
  here are trained on the same pixels. Other sizes of photos are brought to config.size first.
- Both maps are log depth (config.activation, exp); theirs in units of its standard deviation, .457.
- Rates (4.1): .001 of convolutions, .1 of the fully connected layers, .01 of fine layer 2; one rate here, the first.
- 2 million pictures for the coarse network, of 220 000.
Unused of ModelConfig: backbone, decoder, output_stride, low_*, high_*, aspp_*, fuse_channels, depth_*.
"""

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.network import ACTIVATIONS
from hqmd_cli.models.table1.eigen_layers import FullView, pooled, quarter, rectified, seen_photo
from hqmd_cli.registry import pick

SMALLEST_SIDE = 63  # of config.size: below it, nothing is left behind coarse layer 5
COARSE_CHANNELS, FINE_CHANNELS = 256, 64
# Of colours in 0..255, as their code has them: what the coarse and the fine network see as 0, and as 1.
COARSE_ZERO, COARSE_ONE = 128, 100
FINE_ZERO, FINE_ONE = 109.31410628, 76.18328376
BATCH_SIZE = 32
SEEN, PICTURES = 2_000_000, 220_000


def coarse_cells(side: int) -> int:
    """Of a side of the photo, behind coarse layer 5."""
    return pooled(pooled(pooled((side + 4 - 11) // 4 + 1)))


def normalised_pool() -> list[nn.Module]:
    """Pooling, and what AlexNet has instead of batch norm: each cell divided by its neighbours in five channels."""
    alpha = 5 * 1e-4 * COARSE_ONE**2  # their 1e-4 is of a sum, torch's of a mean
    return [nn.MaxPool2d(3, stride=2), nn.LocalResponseNorm(5, alpha=alpha, beta=0.75, k=2)]


class Eigen2014(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up."""

    has_one_size = True
    paper = Paper(
        "Eigen et al. 2014",
        "https://arxiv.org/abs/1406.2283",
        model={"size": (228, 304), "activation": "exp"},
        training={
            "loss": "silog",
            "optimizer": "sgd",
            "lr": 1e-3,
            "momentum": 0.9,
            "weight_decay": 1e-4,  # their code's
            "batch_size": BATCH_SIZE,
            "epochs": SEEN // PICTURES,
        },
        weights="cs.nyu.edu/~deigen/depth (Theano), no licence stated but of the code, GPL 3",
    )

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        if min(config.size) < SMALLEST_SIDE:
            raise HqmdError(f"eigen2014 needs a size of {SMALLEST_SIDE} pixels or more on each side, not {config.size}")
        activation = pick(ACTIVATIONS, config.activation, "activation")
        self.to_metres = activation.to_metres
        height, width = config.size
        self.coarse = nn.Sequential(
            *rectified(3, 96, 11, stride=4, padding=2),
            *normalised_pool(),
            *rectified(96, 256, 5, padding=2),
            *normalised_pool(),
            *rectified(256, 384, 3, padding=1),
            *rectified(384, 384, 3, padding=1),
            *rectified(384, COARSE_CHANNELS, 3, padding=1),
            nn.MaxPool2d(3, stride=2),
        )
        cells, grid = (coarse_cells(height), coarse_cells(width)), (quarter(height), quarter(width))
        self.view = FullView(COARSE_CHANNELS, cells, 1, grid)
        self.see = seen_photo(FINE_CHANNELS - 1, pooling_stride=2)
        self.refine = nn.Sequential(*rectified(FINE_CHANNELS, FINE_CHANNELS, 5, padding=2))
        self.logits = FullPrecisionConv(FINE_CHANNELS, 1, 5, padding=2)
        for part in self.coarse:
            if isinstance(part, nn.Conv2d):
                nn.init.kaiming_normal_(part.weight, nonlinearity="relu")
        activation.start(self.view.spread, self.logits)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres; while training the coarse map, too."""
        colours = 255 * resize(rgb, self.config.size)
        coarse = self.view(self.coarse((colours - COARSE_ZERO) / COARSE_ONE))
        seen = self.see((colours - FINE_ZERO) / FINE_ONE)
        fine = self.logits(self.refine(torch.cat([coarse.detach(), seen], dim=1)))
        return Estimate(resize(self.to_metres(fine), rgb.shape[-2:]), aux_m=(self.to_metres(coarse),))
