"""MS-CRF: Xu et al., "Multi-Scale Continuous CRFs as Sequential Deep Networks for Monocular Depth Estimation"
(CVPR 2017, https://arxiv.org/abs/1704.02157): depth maps from several stages of a network, fused by continuous CRFs.
Two models:

    mscrf-unified   one CRF over all maps: each pixel of each map is tied to pixels of its own and of the other maps
    mscrf-cascade   one CRF after another (C-MF blocks): each observes the next map, and starts from the result so far

For a photo of 256 x 320 and ResNet-50:

    side maps   3 x (B x 1 x 32 x 40)   metres, from strides 8, 16 and 32; each has a loss of its own (Estimate.aux_m)
    C-MF        B x S x 1280            S maps of 1280 pixels, 6 mean-field updates (continuous_crf.py)
    depth       B x 1 x 256 x 320       the last map, enlarged bilinearly

We could not get the text. We follow the authors' Caffe code, danxuhk/ContinuousCRF-CNN, which has only the cascade. Our
unified model has the same energy, with pairs between all maps. From that code we have the update, the order of the maps
(fine to coarse), the start and the observation of each CRF, 6 updates, the first weights (3 near, 5 colour) and the
width of the colour kernel. Our choices where it is silent or where we differ:
- Their field has the photo's pixels, and approximates its sums on a permutohedral lattice. Ours has an eighth of the
  sides, and exact sums over all pairs: plain matrix products, for any device and for ONNX. A kernel takes
  (H W / 64)^2 numbers per photo: 6.6 MB at 256 x 320, 92 MB at 480 x 640. Edges are no finer than that grid.
- Their kernel of near pixels reaches 3 pixels, less than a step of our grid. Ours reaches one step.
- They divide each row of a kernel by its sum, and then no CRF has that kernel. Ours stays symmetric.
- Our weights are the softplus of what is learned, so they stay positive; theirs may turn negative. In the unified model
  they start from the same total, in equal parts, and are symmetric, as an energy requires.
- Side maps: 3 x 3 convolution to 128 channels, batch norm, ReLU, 3 x 3 convolution, config.activation. They enlarge by
  transposed convolutions, whose widths are in a file that we could not get.
- The answer of the unified model is its last map, as in the cascade.
- Both models learn end to end from the start, by the squared error in metres, `l2`, of side maps and answer alike.
  Rates and lengths are our defaults.

Settings without effect: decoder, low_*, high_*, aspp_*, fuse_channels.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.activations import ACTIVATIONS
from hqmd_cli.models.backbone import StageBackbone, build_stages
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import ConvBNReLU, FullPrecisionConv, full_precision, resize
from hqmd_cli.models.table1.continuous_crf import image_kernels, mean_field
from hqmd_cli.registry import pick

SIDE_MAPS = 3  # res3, res4 and res5 in their code
SIDE_CHANNELS = 128
GRID_STRIDE = 8  # pixels of the photo per step of the field's grid
UPDATES = 6  # num_iterations in their code
START_WEIGHTS = (3.0, 5.0)  # spatial_weight (near pixels), bilateral_weight (similar colours)

PAPER = Paper(
    "Xu et al. 2017",
    "https://arxiv.org/abs/1704.02157",
    model={"size": (256, 320), "output_stride": 32},
    training={"loss": "l2"},
    weights="github.com/danxuhk/ContinuousCRF-CNN, by Google Drive, no licence stated (Caffe)",
)


class SideMap(nn.Module):
    """Depth from one stage: (B, C, h, w) -> (B, 1, *size) metres."""

    def __init__(self, channels: int, name: str) -> None:
        super().__init__()
        activation = pick(ACTIVATIONS, name, "activation")
        self.to_metres = activation.to_metres
        self.narrow = ConvBNReLU(channels, SIDE_CHANNELS, kernel=3)
        self.logits = FullPrecisionConv(SIDE_CHANNELS, 1, 3, padding=1)
        activation.start(self.logits)

    def forward(self, feature: Tensor, size: tuple[int, int]) -> Tensor:
        return resize(self.to_metres(self.logits(self.narrow(feature))), size)


class MeanFieldBlock(nn.Module):
    """C-MF: makes `maps` maps on a grid agree with one another and with the photo."""

    def __init__(self, maps: int) -> None:
        super().__init__()
        start = torch.tensor(START_WEIGHTS).view(-1, 1, 1).expand(-1, maps, maps) / maps
        self.raw_weights = nn.Parameter(start.expm1().log())  # their softplus is the weights

    @property
    def weights(self) -> Tensor:
        """(2, maps, maps), positive and symmetric."""
        positive = F.softplus(self.raw_weights)
        return (positive + positive.transpose(1, 2)) / 2

    def forward(self, start: Tensor, observed: Tensor, kernels: list[Tensor]) -> Tensor:
        """start and observed (B, maps, N), kernels (B, N, N) -> (B, maps, N)."""
        return mean_field(start, observed, kernels, self.weights, UPDATES)


class MultiScaleCRF(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres; H and W from 32 up. Subclasses fuse the side maps."""

    paper = PAPER
    backbone: StageBackbone

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.backbone = build_stages(config, backbone_weights)
        self.sides = nn.ModuleList(SideMap(c, config.activation) for c in self.backbone.channels[-SIDE_MAPS:])

    def fuse(self, maps: Tensor, kernels: list[Tensor]) -> Tensor:
        """Side maps (B, SIDE_MAPS, N) in metres, fine to coarse, and kernels (B, N, N) -> (B, 1, N) metres."""
        raise NotImplementedError

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> (B, 1, H, W) metres."""
        features = self.backbone.stages(rgb)[-SIDE_MAPS:]
        height, width = ((side + GRID_STRIDE - 1) // GRID_STRIDE for side in rgb.shape[-2:])
        sides = [side(feature, (height, width)) for side, feature in zip(self.sides, features, strict=True)]
        with full_precision(rgb):  # bfloat16 is too coarse for sums over thousands of pixels
            maps = torch.cat(sides, dim=1).float().flatten(2)
            fused = self.fuse(maps, image_kernels(rgb.float(), (height, width)))
            depth_m = resize(fused.unflatten(2, (height, width)), rgb.shape[-2:])
        return Estimate(depth_m, aux_m=tuple(sides))


class Unified(MultiScaleCRF):
    """mscrf-unified: one CRF over all side maps."""

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        self.field = MeanFieldBlock(SIDE_MAPS)

    def fuse(self, maps: Tensor, kernels: list[Tensor]) -> Tensor:
        return self.field(maps, maps, kernels)[:, -1:]


class Cascade(MultiScaleCRF):
    """mscrf-cascade: one CRF for each further side map."""

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config, backbone_weights)
        self.fields = nn.ModuleList(MeanFieldBlock(1) for _ in range(SIDE_MAPS - 1))

    def fuse(self, maps: Tensor, kernels: list[Tensor]) -> Tensor:
        fused, *further = maps.split(1, dim=1)
        for field, observed in zip(self.fields, further, strict=True):
            fused = field(fused, observed, kernels)
        return fused
