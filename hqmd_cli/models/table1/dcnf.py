"""DCNF-FCSP: a Gaussian field over superpixels whose terms a convolutional network learns.

Liu, Shen, Lin and Reid, "Learning Depth from Single Monocular Images Using Deep Convolutional Neural Fields", TPAMI
2016 (https://arxiv.org/abs/1502.07411; CVPR 2015 as "Deep Convolutional Neural Fields for Depth Estimation from a
Single Image"). For the log depths y of n superpixels

    E(y) = sum_p (y_p - z_p)^2 + sum_(p,q) 1/2 R_pq (y_p - y_q)^2,    R_pq = sum_k beta_k S_pq^(k),  beta_k >= 0

z from the network, S from three similarities of neighbours (superpixels.py). With A = I + D - R, D the row sums of R,
the density exp(-E) / Z is Gaussian: its mode is A^-1 z, its likelihood is the loss `crf`. Sums over (p,q) go over both
orders.

Settled by their code for MATLAB (dcnf-fcsp, prediction only): A, mode, similarities with their constants, pooling,
kinds of layers. Their trained network could not be had, and with it the widths of layers behind VGG's; nor their
training code. Left unsaid or otherwise here:

- Behind the backbone's last map two 3 x 3 convolutions of 512 channels; behind the pooling 128, 16 and 1 units, with
  ReLU, logistic and no activation: the last of the patch network of CVPR 2015, section 3.3.
- y is ln metres. They map logarithms to 0..1 between the data's nearest and farthest depth and clip what is outside.
- beta = softplus of what is learned, so that no step must be corrected; it starts at 1.
- A superpixel is a 24th of the photo's shorter side, their 20 pixels of 480, at least 4 pixels. Its measured depth is
  the mean of its pixels' logarithms.
- They spread the depths of centroids over the photo by colorization; here a pixel has the depth of its superpixel.
- The likelihood is a mean per superpixel, theirs a sum over each picture: the same with another learning rate.

No ONNX: the mode solves a dense system of equations, for which ONNX has no operator.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.backbone import Backbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import rescale_logarithm
from hqmd_cli.models.network import MEAN_DEPTH_M
from hqmd_cli.models.table1.gaussian_field import GaussianField, at_pixels, wide
from hqmd_cli.models.table1.superpixels import similarities, slic

MAP_CHANNELS = 512
UNARY_UNITS = (128, 16)
SUPERPIXELS_ACROSS = 24  # along the shorter side
SMALLEST_SUPERPIXEL = 4  # pixels along a side
SIMILARITIES = 3


class Dcnf(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W), constant on each of about 24 x 32 superpixels.

    A 2 x 3 x 288 x 384 batch through VGG-16: maps 2 x 512 x 9 x 12, pooled 2 x 768 x 512, z and y 2 x 768.
    """

    paper = Paper(
        "Liu et al. 2016",
        "https://arxiv.org/abs/1502.07411",
        model={"backbone": "vgg16", "output_stride": 32, "size": (480, 640)},
        # Momentum, decay, rate and its steps (x 0.6 after 20 epochs of 795 pictures, 60 in all) are meant to be those
        # of CVPR 2015, section 4, but were written without its text at hand; batch 1 is ours.
        training={
            "loss": "crf",
            "optimizer": "sgd",
            "lr": 1e-4,
            "momentum": 0.9,
            "weight_decay": 5e-4,
            "batch_size": 1,
            "epochs": 60,
            "lr_decay": 0.6,
            "lr_decay_steps": 20 * 795,
        },
    )
    backbone: Backbone
    not_in_onnx = "the most likely depths solve a dense system of equations, for which ONNX has no operator"

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.backbone = build_stages(config, backbone_weights)
        self.maps = nn.Sequential(
            nn.Conv2d(self.backbone.high_channels, MAP_CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(MAP_CHANNELS, MAP_CHANNELS, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        first, second = UNARY_UNITS
        self.hidden = nn.Sequential(
            nn.Linear(MAP_CHANNELS, first), nn.ReLU(inplace=True), nn.Linear(first, second), nn.Sigmoid()
        )
        self.last = nn.Linear(second, 1)
        with torch.no_grad():  # logistic units start near 1/2
            self.last.bias.fill_(math.log(MEAN_DEPTH_M) - self.last.weight.sum() / 2)
        self.pairwise = nn.Parameter(torch.full((SIMILARITIES,), math.log(math.expm1(1))))

    @property
    def beta(self) -> Tensor:
        """Weights of the similarities, (3,), positive."""
        return F.softplus(self.pairwise)

    def estimate(self, rgb: Tensor) -> Estimate:
        """The mode of the field; parts["field"] is the field."""
        maps = self.maps(self.backbone(rgb)[1])
        with torch.autocast(rgb.device.type, enabled=False):  # eight bits are too few to solve equations with
            with torch.no_grad():
                side = max(SMALLEST_SUPERPIXEL, round(min(rgb.shape[-2:]) / SUPERPIXELS_ACROSS))
                nodes, count = slic(rgb, side)
                alike = similarities(rgb, nodes, count)
            z = self.last(self.hidden(pool(maps.float(), nodes, count)))[..., 0]
            a = interaction(wide(self.beta), wide(alike))
            field = GaussianField.from_energy(nodes, 2 * a, 2 * wide(z))
            return Estimate(at_pixels(field.mean, nodes).exp().to(rgb.dtype), parts={"field": field})

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Exact: y is linear in z, and A leaves constants alone, so that what is added to all z is added to all y."""
        rescale_logarithm(self.last, factor, power)


def interaction(beta: Tensor, alike: Tensor) -> Tensor:
    """A = I + D - R: (K,), (B, K, n, n) -> (B, n, n)."""
    r = torch.einsum("k,bkpq->bpq", beta, alike)
    return torch.diag_embed(1 + r.sum(dim=-1)) - r


def pool(maps: Tensor, nodes: Tensor, count: int) -> Tensor:
    """Superpixel pooling: (B, C, h, w), (B, H, W) -> (B, n, C).

    The mean over a superpixel's pixels of the maps enlarged to the photo by nearest neighbours, without enlarging them:
    each superpixel is a weighted mean of the cells that it covers. 0 for empty ones.
    """
    batch, _, height, width = maps.shape
    rows, columns = (
        (2 * torch.arange(pixels, device=maps.device) + 1) * cells // (2 * pixels)
        for cells, pixels in zip((height, width), nodes.shape[1:], strict=True)
    )
    cells = rows[:, None] * width + columns
    places = nodes * (height * width) + cells
    covered = maps.new_zeros(batch, count * height * width)
    covered = covered.scatter_add(1, places.flatten(1), torch.ones_like(places, dtype=maps.dtype).flatten(1))
    covered = covered.view(batch, count, height * width)
    shares = covered / covered.sum(dim=2, keepdim=True).clamp(min=1)
    return shares @ maps.flatten(2).transpose(1, 2)
