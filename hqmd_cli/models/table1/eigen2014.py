"""Eigen, Puhrsch and Fergus, "Depth Map Prediction from a Single Image using a Multi-Scale Deep Network" (NIPS 2014,
https://arxiv.org/abs/1406.2283), section 3.1 and figure 1. Where the paper is silent we follow their code
(models/depth.py and depth.conf, docs/table1.md). For a photo of 228 x 304:

    coarse   B x 1 x 55 x 74     AlexNet's five convolutions to 256 x 6 x 8, and two fully connected layers
    fine     B x 1 x 55 x 74     9 x 9 convolution and pooling to 63 channels; joined with the coarse map; two of 5 x 5

Our choices where both are silent or where we differ:
- Pads, pools and the normalisation across channels are from their code. Ports pool 2 x 2, or use a stride in layer 5:
  their sizes are the same, but not their network.
- Their coarse network takes colours from -128 to 127, and scales its features by .01. Ours scales the colours by .01.
  The two differ only in the scale of their biases, and small numbers suit half precision.
- They start the coarse convolutions from ImageNet classification. timm has no such network, so ours start from He's
  random initialisation.
- They train the fine network after the coarse one. We train both at once: the fine one sees the coarse map (after
  dropout, as theirs does) but passes no gradient to it, and the coarse map has a loss of its own.
- Their map leaves out a border of 4 pixels. Ours is enlarged to the whole photo, and compared at that size: all systems
  here are trained on the same pixels. Photos of other sizes are resized to config.size first.
- Both maps are log depth (config.activation = exp). Theirs is in units of its standard deviation, .457.
- Rates (4.1) are .001 for convolutions, .1 for the fully connected layers and .01 for fine layer 2. Ours is .001.
- The coarse network sees 2 million pictures, from 220,000.

Settings without effect: backbone, decoder, output_stride, low_*, high_*, aspp_*, fuse_channels, depth_*.
"""

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models.activations import ACTIVATIONS
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.table1.eigen_layers import FullView, pooled, quarter, rectified, seen_photo
from hqmd_cli.registry import pick

SMALLEST_SIDE = 63  # pixels; coarse layer 5 leaves no cell of a smaller config.size
COARSE_CHANNELS, FINE_CHANNELS = 256, 64
# Mean and scale of colours in 0..255, from their code.
COARSE_ZERO, COARSE_ONE = 128, 100
FINE_ZERO, FINE_ONE = 109.31410628, 76.18328376
BATCH_SIZE = 32
SEEN, PICTURES = 2_000_000, 220_000


def coarse_cells(side: int) -> int:
    """Count the cells that coarse layer 5 leaves of a photo's side."""
    return pooled(pooled(pooled((side + 4 - 11) // 4 + 1)))


def normalised_pool() -> list[nn.Module]:
    """Return pooling and AlexNet's response normalisation, which divides by the neighbours in five channels."""
    alpha = 5 * 1e-4 * COARSE_ONE**2  # they multiply a sum by 1e-4, torch a mean
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

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
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
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres; `aux_m` is the coarse map (B, 1, h, w)."""
        colours = 255 * resize(rgb, self.config.size)
        coarse = self.view(self.coarse((colours - COARSE_ZERO) / COARSE_ONE))
        seen = self.see((colours - FINE_ZERO) / FINE_ONE)
        fine = self.logits(self.refine(torch.cat([coarse.detach(), seen], dim=1)))
        return Estimate(resize(self.to_metres(fine), rgb.shape[-2:]), aux_m=(self.to_metres(coarse),))
