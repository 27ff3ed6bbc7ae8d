"""MS-CRF, Xu et al., "Multi-Scale Continuous CRFs as Sequential Deep Networks for Monocular Depth Estimation"
(CVPR 2017, https://arxiv.org/abs/1704.02157): depth maps from several stages of a network, fused by
continuous CRFs. Two models:

    mscrf-unified   one CRF of all maps: each pixel of each is tied to pixels of its own and of the other maps
    mscrf-cascade   one CRF after another (C-MF blocks): the next map is observed, the result so far is where it starts

For a photo of 256 x 320, ResNet-50:

    side maps   3 x (B x 1 x 32 x 40)   metres, from strides 8, 16 and 32; each is supervised, too (Estimate.aux_m)
    C-MF        B x S x 1280            the same as maps of 1280 pixels, 6 mean-field updates (models/mean_field.py)
    depth       B x 1 x 256 x 320       the last map, enlarged bilinearly

The text was not to be had when this was written; the authors' Caffe code, danxuhk/ContinuousCRF-CNN, was, but it has
the cascade alone: the unified model is here the same energy with pairs between all maps. From that code: the update,
the order of maps (fine to coarse), what starts and what is observed, 6 updates, the weights to start with (3 near,
5 colour) and the width of the kernel of colours. Changed or unsaid, and how we decided:
- Their field has the photo's pixels and sums approximately, on a permutohedral lattice. Ours has an eighth of the sides
  and sums exactly, over all pairs: plain products of matrices, which any device and ONNX can do. It takes
  (H W / 64)^2 numbers a kernel and photo: 6.6 MB at 256 x 320, 92 MB at 480 x 640. Edges are no finer than that.
- Their kernel of near pixels reaches 3 of them, less than a step of our grid: ours reaches one step.
- They divide a kernel by its rows' sums, which leaves no CRF that it belongs to. Ours stays symmetric.
- Weights stay positive as softplus of what is learned; theirs may turn negative. Between the maps of the unified model
  they start at the same total, in equal parts, and are symmetric, as an energy's are.
- Side maps: 3 x 3 convolution to 128 channels, batch norm, ReLU, 3 x 3 convolution, softplus; theirs enlarge by
  transposed convolutions, whose widths are in a file that was not to be had.
- Which of the unified model's maps is the answer: the last one, as in the cascade.
- Both learn end to end from the start, by the square loss in metres, `l2`, of side maps and answer alike.
  Rates and lengths: our defaults.
Unused of ModelConfig: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import ConvBNReLU, FullPrecisionConv, full_precision, resize
from hqmd_cli.models.network import ACTIVATIONS
from hqmd_cli.models.table1.continuous_crf import image_kernels, mean_field
from hqmd_cli.registry import pick

SIDE_MAPS = 3  # res3, res4 and res5 in theirs
SIDE_CHANNELS = 128
GRID_STRIDE = 8  # of the field, in pixels
UPDATES = 6  # num_iterations
START_WEIGHTS = (3.0, 5.0)  # spatial_weight, bilateral_weight: of near pixels, of like colours

PAPER = Paper(
    "Xu et al. 2017",
    "https://arxiv.org/abs/1704.02157",
    model={"size": (256, 320), "output_stride": 32},
    training={"loss": "l2"},
    weights="github.com/danxuhk/ContinuousCRF-CNN, by Google Drive, no licence stated (Caffe)",
)


class SideMap(nn.Module):
    """A stage's own depth: (B, C, h, w) -> (B, 1, *size), metres."""

    def __init__(self, channels: int, activation: str) -> None:
        super().__init__()
        chosen = pick(ACTIVATIONS, activation, "activation")
        self.to_metres = chosen.to_metres
        self.narrow = ConvBNReLU(channels, SIDE_CHANNELS, kernel=3)
        self.logits = FullPrecisionConv(SIDE_CHANNELS, 1, 3, padding=1)
        chosen.start(self.logits)

    def forward(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        return resize(self.to_metres(self.logits(self.narrow(feature))), size)


class MeanFieldBlock(nn.Module):
    """C-MF: `maps` maps of a grid, brought to agree with one another and with the photo."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        start = torch.tensor(START_WEIGHTS).view(-1, 1, 1).expand(-1, maps, maps) / maps
        self.raw_weights = nn.Parameter(start.expm1().log())  # softplus of these: the weights

    @property
    def weights(self) -> Tensor:
        """(2, maps, maps), positive and symmetric."""
        positive = F.softplus(self.raw_weights)
        return (positive + positive.transpose(1, 2)) / 2

    def forward(self, start: Tensor, observed: Tensor, kernels: list[Tensor]) -> Tensor:
        """start and observed (B, maps, N), kernels (B, N, N) -> (B, maps, N)."""
        return mean_field(start, observed, kernels, self.weights, UPDATES)


class MultiScaleCRF(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up. A kind says how maps are fused."""

    paper = PAPER
    backbone: StageBackbone

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.backbone = build_stages(config, backbone_weights)
        self.sides = nn.ModuleList(SideMap(c, config.activation) for c in self.backbone.channels[-SIDE_MAPS:])
        self.build()

    def build(self) -> None:
        """Make the C-MF blocks."""
        raise NotImplementedError

    def fuse(self, maps: Tensor, kernels: list[Tensor]) -> Tensor:
        """Side maps (B, SIDE_MAPS, N), fine to coarse -> the answer (B, 1, N)."""
        raise NotImplementedError

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        features = self.backbone.stages(rgb)[-SIDE_MAPS:]
        height, width = ((side + GRID_STRIDE - 1) // GRID_STRIDE for side in rgb.shape[-2:])
        sides = [side(feature, (height, width)) for side, feature in zip(self.sides, features, strict=True)]
        with full_precision(rgb):  # sums over thousands of pixels are no work for eight bits
            maps = torch.cat(sides, dim=1).float().flatten(2)
            fused = self.fuse(maps, image_kernels(rgb.float(), (height, width)))
            depth_m = resize(fused.unflatten(2, (height, width)), rgb.shape[-2:])
        return Estimate(depth_m, aux_m=tuple(sides))


class Unified(MultiScaleCRF):
    """mscrf-unified."""

    def build(self) -> None:
        self.field = MeanFieldBlock(SIDE_MAPS)

    def fuse(self, maps: Tensor, kernels: list[Tensor]) -> Tensor:
        return self.field(maps, maps, kernels)[:, -1:]


class Cascade(MultiScaleCRF):
    """mscrf-cascade."""

    def build(self) -> None:
        self.fields = nn.ModuleList(MeanFieldBlock(1) for _ in range(SIDE_MAPS - 1))

    def fuse(self, maps: Tensor, kernels: list[Tensor]) -> Tensor:
        fused, *further = maps.split(1, dim=1)
        for field, observed in zip(self.fields, further, strict=True):
            fused = field(fused, observed, kernels)
        return fused
