"""DCNF-FCSP: a Gaussian field over superpixels whose terms a convolutional network learns.

Liu, Shen, Lin and Reid, "Learning Depth from Single Monocular Images Using Deep Convolutional Neural Fields", TPAMI
2016 (https://arxiv.org/abs/1502.07411); CVPR 2015 as "Deep Convolutional Neural Fields for Depth Estimation from a
Single Image". For the log depths y of n superpixels

    E(y) = sum_p (y_p - z_p)^2 + sum_(p,q) 1/2 R_pq (y_p - y_q)^2,    R_pq = sum_k beta_k S_pq^(k),  beta_k >= 0

The network gives z; S are three similarities of neighbours (superpixels.py). With A = I + D - R, where D holds the row
sums of R, the density exp(-E) / Z is Gaussian: its mode is A^-1 z, and its likelihood is the loss `crf`. Sums over
(p,q) take both orders of a pair.

From their MATLAB code (dcnf-fcsp, prediction only): A, the mode, the similarities with their constants, the pooling and
the kinds of layers. Their trained network and their training code are not available, and with them the widths of the
layers after VGG. Our choices where we do not know or where we differ:

- Two 3 x 3 convolutions of 512 channels follow the backbone's last map. After the pooling come 128, 16 and 1 units with
  ReLU, logistic and no activation: the last layers of the patch network of CVPR 2015, section 3.3.
- y is ln metres. They map logarithms to 0..1 between the nearest and farthest depth of the data, and clip.
- beta is the softplus of what is learned, so no step needs correction. It starts at 1.
- A superpixel is a 24th of the photo's shorter side, as their 20 of 480 pixels, and at least 4 pixels. Its measured
  depth is the mean of its pixels' logarithms.
- They spread the depths of the centroids over the photo by colorization. Here a pixel has the depth of its superpixel.
- The likelihood is a mean per superpixel. Theirs is a sum per picture, which differs by a learning rate.

ONNX has no operator that solves a dense system of equations, so the mode cannot be exported.
"""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.activations import MEAN_DEPTH_M
from hqmd_cli.models.backbone import Backbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import rescale_logarithm
from hqmd_cli.models.table1.gaussian_field import NOT_IN_ONNX, GaussianField, at_pixels, double
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
        # Momentum, decay, rate and its steps (x 0.6 after 20 epochs of 795 pictures, 60 in all) are from memory of
        # CVPR 2015, section 4: check them before you cite them. The batch size is ours.
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
    not_in_onnx = NOT_IN_ONNX

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
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
        with torch.no_grad():  # logistic units start near 1/2, so this starts at a plausible depth
            self.last.bias.fill_(math.log(MEAN_DEPTH_M) - self.last.weight.sum() / 2)
        self.pairwise = nn.Parameter(torch.full((SIMILARITIES,), math.log(math.expm1(1))))

    @property
    def beta(self) -> Tensor:
        """Positive weights of the similarities, (3,)."""
        return F.softplus(self.pairwise)

    def estimate(self, rgb: Tensor) -> Estimate:
        """Return the mode of the field; parts["field"] is the field itself."""
        maps = self.maps(self.backbone(rgb)[1])
        with torch.autocast(rgb.device.type, enabled=False):  # bfloat16 is too coarse to solve equations
            with torch.no_grad():
                side = max(SMALLEST_SUPERPIXEL, round(min(rgb.shape[-2:]) / SUPERPIXELS_ACROSS))
                nodes, count = slic(rgb, side)
                similarity = similarities(rgb, nodes, count)
            z = self.last(self.hidden(pool(maps.float(), nodes, count)))[..., 0]
            a = interaction(double(self.beta), double(similarity))
            field = GaussianField.from_energy(nodes, 2 * a, 2 * double(z))
            return Estimate(at_pixels(field.mean, nodes).exp().to(rgb.dtype), parts={"field": field})

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Rescale exactly: y is linear in z, and A keeps constants, so a shift of all z shifts all y."""
        rescale_logarithm(self.last, factor, power)


def interaction(beta: Tensor, similarity: Tensor) -> Tensor:
    """Return A = I + D - R: weights (K,), similarities (B, K, n, n) -> (B, n, n)."""
    r = torch.einsum("k,bkpq->bpq", beta, similarity)
    return torch.diag_embed(1 + r.sum(dim=-1)) - r


def pool(maps: Tensor, nodes: Tensor, count: int) -> Tensor:
    """Pool maps over superpixels: (B, C, h, w), nodes (B, H, W) -> (B, n, C); 0 for an empty superpixel.

    Equals the mean over a superpixel's pixels of the maps enlarged to the photo by nearest neighbours. Nothing is
    enlarged: each superpixel takes a weighted mean of the cells that it covers.
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
