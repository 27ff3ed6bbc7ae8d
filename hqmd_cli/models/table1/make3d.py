"""Make3D's field of patches: depth is linear in hand-made features, and similar neighbours have similar depth.

Saxena, Chung and Ng, "3-D Depth Reconstruction from a Single Still Image", IJCV 76 (2007), and "Learning Depth from
Single Monocular Images", NIPS 2005. For the log depths d of a grid of patches, with x_i the 646 features of a patch,
y_ijs the difference of two patches' 170 histograms (texture_features.py), r the row of a patch and s a scale
(patch_grid.py), their two models

    Gaussian    sum_i (d_i - x_i' theta_r)^2 / 2 s1_i^2  + sum_s sum_ij (d_i(s) - d_j(s))^2 / 2 s2_ijs^2
    Laplacian   sum_i |d_i - x_i' theta_r| / l1_i        + sum_s sum_ij |d_i(s) - d_j(s)| / l2_ijs

are minimal at the most likely depths. The first is a least-squares problem, solved exactly here. The second is a linear
program; here ADMM gets within 0.1 % of its least energy (HiGHS found no solution for a photo within a minute). s1^2 and
l1 are v_r' x_i with v >= 0, s2^2 and l2 are u_rs' |y_ijs| with u >= 0.

This is the field of points, before "Make3D" (Saxena, Sun and Ng, TPAMI 2009). The planes of that paper, the row of
Table 1, are in make3d_planes.py.

They learn theta row by row, without the pairs, by least squares (Gaussian) or a linear program (Laplacian), then v and
u by regression on squared or absolute errors. Here everything is learned by gradient descent. The loss `mrf-gaussian`
is the exact likelihood of the whole field. The Laplacian field has no closed form for Z, so `mrf-laplacian` is the
likelihood of each term alone: for theta this is their linear program, weighted by 1 / l1; v and u become scales near
the mean absolute error. Other differences:

- The grid has 18 rows, and as many columns as the photo's shape needs. Theirs is 107 x 86 or 305 x 55.
- Features are divided by their deviations; theirs by powers of ten below their maxima (FeaMax). theta has a constant,
  as in LearnDepth.m. v and u have one, too: without it, patches that look alike would have to be equally deep.
- Features are clamped to 5 deviations, and expected depths to 1.8 cm .. 400 m.
- At the Laplacian mode pairs weigh a sixth. A patch has about six, and terms learned one by one all say the same: at
  full weight even overfitted pictures came out flat.
- Depths between the middles of patches are interpolated.

ONNX has no operator that solves a dense system of equations, so the mode cannot be exported.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.activations import MEAN_DEPTH_M
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import resize
from hqmd_cli.models.table1.gaussian_field import NOT_IN_ONNX, GaussianField, double
from hqmd_cli.models.table1.patch_grid import (
    ADMM_STEPS,
    STEPS,
    Grid,
    GridTerms,
    grid_nodes,
    laplace_mode,
    precision,
    reweighted,
)
from hqmd_cli.models.table1.texture_features import FEATURES, FILTERS, RELATIVE, describe

ROWS = 18
MOST_COLUMNS = 32  # for 16:9; wider photos have wider patches, as time grows with the cube of their number
LARGEST_DEVIATION = 5.0
EXPECTED_RANGE = (-4.0, 6.0)  # ln metres
FIRST_THETA = 0.05
# Factors of the constants, and of the logarithms of v and u, so that one learning rate suits all.
CONSTANT_STRIDE, LOG_STRIDE = 10.0, 30.0
PAIR_SHARE = 1 / (2 * len(STEPS))  # weight of a Laplacian pair at the mode
TRAINING_STEPS = 20  # of ADMM in training, as the loss of the Laplacian model does not use the mode
URL = "https://doi.org/10.1007/s11263-007-0071-y"


class Make3d(DepthModel):
    """The Gaussian model. RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres.

    A batch 2 x 3 x 288 x 384: 18 x 24 patches, features 2 x 646 x 18 x 24, histograms 2 x 3 x 170 x 432, d 2 x 432.
    """

    paper = Paper(
        "Saxena et al. 2007",
        URL,
        # Ours: they solve instead of descending. At this rate 721 photos are learned in a few epochs.
        training={"loss": "mrf-gaussian", "lr": 3e-3, "epochs": 20},
    )
    not_in_onnx = NOT_IN_ONNX
    # Variances at the start of training in (ln metres)^2: of a patch, and of its pairs at each scale.
    first_own, first_between = 0.2**2, (0.1**2, 0.2**2, 0.4**2)
    least = 1e-4  # variance of a patch or a pair

    def __init__(self, config: NetworkConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        # Without momentum all batches count alike.
        self.deviations = nn.BatchNorm2d(FEATURES, eps=1e-8, momentum=None, affine=False)
        self.theta = nn.Parameter(FIRST_THETA * torch.randn(ROWS, FEATURES))
        self.constant = nn.Parameter(torch.full((ROWS,), math.log(MEAN_DEPTH_M) / CONSTANT_STRIDE))
        # Logarithms, so that no step needs correction. The last one belongs to the constant.
        self.v = nn.Parameter(torch.full((ROWS, FEATURES + 1), math.log(self.first_own / (FEATURES + 1)) / LOG_STRIDE))
        between = torch.tensor(self.first_between).view(1, -1, 1) / FILTERS
        self.u = nn.Parameter((between.log() / LOG_STRIDE).repeat(ROWS, 1, RELATIVE + 1))

    def estimate(self, rgb: Tensor) -> Estimate:
        """Return the mode; parts["field"] is the field, or parts["terms"] in the Laplacian model."""
        with torch.autocast(rgb.device.type, enabled=False):
            terms = self.terms(rgb.float())
            mode, parts = self.mode(terms)
            depth = mode.view(-1, 1, ROWS, terms.grid.columns).to(rgb.dtype)
            return Estimate(resize(depth, rgb.shape[-2:]).exp(), parts=parts)

    def terms(self, rgb: Tensor) -> GridTerms:
        """Return the terms of each patch and each pair of RGB (B, 3, H, W) in 0..1."""
        height, width = rgb.shape[-2:]
        grid = Grid(ROWS, min(MOST_COLUMNS, max(2, round(ROWS * width / height))))
        with torch.no_grad():
            absolute, histograms = describe(rgb, grid.rows, grid.columns)
        centred = self.deviations(absolute).clamp(-LARGEST_DEVIATION, LARGEST_DEVIATION) / math.sqrt(FEATURES)
        expected = torch.einsum("bfrc,rf->brc", centred, self.theta) + CONSTANT_STRIDE * self.constant[:, None]
        variance = absolute.var(dim=(0, 2, 3)) if self.training else self.deviations.get_buffer("running_var")
        spread = absolute / torch.sqrt(variance + self.deviations.eps).view(-1, 1, 1)
        spread = spread.clamp(max=2 * LARGEST_DEVIATION)
        v = (LOG_STRIDE * self.v).exp()
        own = torch.einsum("bfrc,rf->brc", spread, v[:, :-1]) + v[:, -1:]
        return GridTerms(
            grid,
            grid_nodes(grid, rgb),
            double(expected.clamp(*EXPECTED_RANGE).flatten(1)),
            double(own.flatten(1)) + self.least,
            [double(self.pair_scale(histograms[:, scale], grid, scale)) + self.least for scale in range(len(STEPS))],
        )

    def pair_scale(self, histograms: Tensor, grid: Grid, scale: int) -> Tensor:
        """Return u' |y| of a scale's pairs, with u of the row of the first patch: (B, 170, n) -> (B, m)."""
        first, second = grid.pairs(STEPS[scale], histograms.device)
        unlike = (histograms[:, :, first] - histograms[:, :, second]).abs()
        weights = (LOG_STRIDE * self.u[:, scale]).exp()[first // grid.columns]  # (m, 171)
        return torch.einsum("bfm,mf->bm", unlike, weights[:, :-1]) + weights[:, -1]

    def mode(self, terms: GridTerms) -> tuple[Tensor, dict[str, Any]]:
        """Return the most likely log depths, (B, n), and the parts of the estimate."""
        weights = 1 / terms.own
        matrix = precision(weights, [1 / scale for scale in terms.between], terms.grid)
        field = GaussianField.from_energy(terms.nodes, matrix, weights * terms.expected)
        return field.mean, {"field": field}

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Rescale exactly by `factor` where nothing is clamped, as pairs see differences only. `power` is ignored."""
        self.constant.add_(math.log(factor) / CONSTANT_STRIDE)


class Make3dLaplacian(Make3d):
    """The Laplacian model, which works better according to the paper."""

    paper = Paper("Saxena et al. 2007", URL, training={"loss": "mrf-laplacian", "lr": 3e-3, "epochs": 20})
    first_own, first_between = 0.1, (0.05, 0.1, 0.2)  # ln metres
    least = 3e-3  # ln metres

    def mode(self, terms: GridTerms) -> tuple[Tensor, dict[str, Any]]:
        """Solve the linear program, in training with fewer steps. The gradient comes from a Gaussian field near it."""
        steps = TRAINING_STEPS if self.training else ADMM_STEPS
        weaker = replace(terms, between=[scale / PAIR_SHARE for scale in terms.between])
        mode = laplace_mode(weaker, steps)
        if torch.is_grad_enabled():
            near = reweighted(mode, weaker)
            mode = mode + near - near.detach()
        return mode, {"terms": terms}
