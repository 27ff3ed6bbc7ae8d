"""Make3D's field of patches: depth by features made by hand, linear, and by what neighbours are like.

Saxena, Chung and Ng, "3-D Depth Reconstruction from a Single Still Image", IJCV 76 (2007), and "Learning Depth from
Single Monocular Images", NIPS 2005. For the log depths d of the patches of a grid, x_i a patch's 646 features and
y_ijs the difference of two patches' 170 histograms (texture_features.py), r the row of a patch,
s a scale (patch_grid.py), their two models

    Gaussian    sum_i (d_i - x_i' theta_r)^2 / 2 s1_i^2  + sum_s sum_ij (d_i(s) - d_j(s))^2 / 2 s2_ijs^2
    Laplacian   sum_i |d_i - x_i' theta_r| / l1_i        + sum_s sum_ij |d_i(s) - d_j(s)| / l2_ijs

are minimal at the most likely depths: the first by least squares, here exactly; the second by linear programming, here
by ADMM, whose energy is within 0.1 % of the program's least (HiGHS had none for a photo after a minute). s1^2 and l1
are v_r' x_i with v >= 0, s2^2 and l2 are u_rs' |y_ijs| with u >= 0.

This is the field of points. The planes of superpixels of "Make3D" (Saxena, Sun and Ng, TPAMI 2009) are not here: they
need predicted orientations, occlusions and camera models of its own data.

They learn theta by least squares (Gaussian) or a linear program (Laplacian) row by row, without the pairs, then v and
u as regressions on squared or absolute errors. Here all is learned by gradient descent: with the loss `mrf-gaussian`
on the exact likelihood of the whole field; with `mrf-laplacian`, whose Z has no closed form, on that of each term for
itself: for theta their linear program, but weighted by 1 / l1; for v and u scales that are near the mean absolute
error. Further:

- 18 rows of patches, as many columns as the photo's shape asks for; theirs is 107 x 86 or 305 x 55.
- Features are divided by their deviations, theirs by powers of ten below their maxima (FeaMax); theta has a constant,
  as LearnDepth.m. v and u have one, too, without which patches that look alike had to be equally deep.
- Features beyond 5 deviations count as 5, and no depth is expected below 1.8 cm or beyond 400 m.
- At the Laplacian mode pairs weigh a sixth, for a patch has about six, and terms learned one by one all say the same:
  with their whole weight, overfitted pictures came out flat.
- Depths between the middles of patches are interpolated.

No ONNX, for the reason of dcnf.py.
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models.base import DepthModel, Estimate, Paper
from hqmd_cli.models.layers import resize
from hqmd_cli.models.network import MEAN_DEPTH_M
from hqmd_cli.models.table1.gaussian_field import GaussianField, wide
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
MOST_COLUMNS = 32  # of 16:9; in a wider photo patches are wider, for the time goes with their number's third power
LARGEST_DEVIATION = 5.0
EXPECTED_RANGE = (-4.0, 6.0)  # ln metres
FIRST_THETA = 0.05
# What constants, and logarithms of v and u, are multiplied by, so that one learning rate suits all.
CONSTANT_STRIDE, LOG_STRIDE = 10.0, 30.0
PAIR_SHARE = 1 / (2 * len(STEPS))  # of a Laplacian pair at the mode
TRAINING_STEPS = 20  # of the Laplacian mode, which its own loss does not look at
URL = "https://doi.org/10.1007/s11263-007-0071-y"


class Make3d(DepthModel):
    """The Gaussian model. RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W).

    A 2 x 3 x 288 x 384 batch: 18 x 24 patches, features 2 x 646 x 18 x 24, histograms 2 x 3 x 170 x 432, d 2 x 432.
    """

    paper = Paper(
        "Saxena et al. 2007",
        URL,
        # They name no descent, for they solve. A rate at which 721 photos are learned in a few epochs.
        training={"loss": "mrf-gaussian", "lr": 3e-3, "epochs": 20},
    )
    not_in_onnx = "the most likely depths solve a dense system of equations, for which ONNX has no operator"
    # What training starts with, and at each scale: variances in (ln metres)^2.
    first_own, first_between = 0.2**2, (0.1**2, 0.2**2, 0.4**2)
    least = 1e-4  # of either

    def __init__(self, config: ModelConfig, backbone_weights: str | None = "none") -> None:
        super().__init__(config)
        self.deviations = nn.BatchNorm2d(FEATURES, eps=1e-8, momentum=None, affine=False)  # of all batches alike
        self.theta = nn.Parameter(FIRST_THETA * torch.randn(ROWS, FEATURES))
        self.constant = nn.Parameter(torch.full((ROWS,), math.log(MEAN_DEPTH_M) / CONSTANT_STRIDE))
        # Logarithms, so that no step must be corrected. The last is that of the constant.
        self.v = nn.Parameter(torch.full((ROWS, FEATURES + 1), math.log(self.first_own / (FEATURES + 1)) / LOG_STRIDE))
        between = torch.tensor(self.first_between).view(1, -1, 1) / FILTERS
        self.u = nn.Parameter((between.log() / LOG_STRIDE).repeat(ROWS, 1, RELATIVE + 1))

    def estimate(self, rgb: Tensor) -> Estimate:
        """The mode; parts["field"] is the field, of the Laplacian model parts["terms"]."""
        with torch.autocast(rgb.device.type, enabled=False):
            terms = self.terms(rgb.float())
            mode, parts = self.mode(terms)
            depth = mode.view(-1, 1, ROWS, terms.grid.columns).to(rgb.dtype)
            return Estimate(resize(depth, rgb.shape[-2:]).exp(), parts=parts)

    def terms(self, rgb: Tensor) -> GridTerms:
        """What each patch and each pair says."""
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
            wide(expected.clamp(*EXPECTED_RANGE).flatten(1)),
            wide(own.flatten(1)) + self.least,
            [wide(self.pair_scale(histograms[:, scale], grid, scale)) + self.least for scale in range(len(STEPS))],
        )

    def pair_scale(self, histograms: Tensor, grid: Grid, scale: int) -> Tensor:
        """u' |y| of a scale's pairs, by the row of their first patch: (B, 170, n) -> (B, m)."""
        first, second = grid.pairs(STEPS[scale], histograms.device)
        unlike = (histograms[:, :, first] - histograms[:, :, second]).abs()
        weights = (LOG_STRIDE * self.u[:, scale]).exp()[first // grid.columns]  # (m, 171)
        return torch.einsum("bfm,mf->bm", unlike, weights[:, :-1]) + weights[:, -1]

    def mode(self, terms: GridTerms) -> tuple[Tensor, dict[str, Any]]:
        """The most likely log depths (B, n), and the parts of the estimate."""
        weights = 1 / terms.own
        matrix = precision(weights, [1 / scale for scale in terms.between], terms.grid)
        field = GaussianField.from_energy(terms.nodes, matrix, weights * terms.expected)
        return field.mean, {"field": field}

    @torch.no_grad()
    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Exact for power 1 as far as nothing is clamped: pairs look at differences only. The power is left alone."""
        self.constant.add_(math.log(factor) / CONSTANT_STRIDE)


class Make3dLaplacian(Make3d):
    """The Laplacian model, which they found the better one."""

    paper = Paper("Saxena et al. 2007", URL, training={"loss": "mrf-laplacian", "lr": 3e-3, "epochs": 20})
    first_own, first_between = 0.1, (0.05, 0.1, 0.2)  # ln metres
    least = 3e-3

    def mode(self, terms: GridTerms) -> tuple[Tensor, dict[str, Any]]:
        """That of the linear program, in training not to the end; its gradient is that of a Gaussian field near it."""
        steps = TRAINING_STEPS if self.training else ADMM_STEPS
        weaker = replace(terms, between=[scale / PAIR_SHARE for scale in terms.between])
        mode = laplace_mode(weaker.expected, weaker.own, weaker.between, weaker.grid, steps)
        if torch.is_grad_enabled():
            near = reweighted(mode, weaker)
            mode = mode + near - near.detach()
        return mode, {"terms": terms}
