"""The multi-scale field of Saxena, Chung and Ng on a grid of patches.

"3-D Depth Reconstruction from a Single Still Image", IJCV 76 (2007), as in NIPS 2005. The field has a term for each
patch, and one for each pair of neighbours at scales 1 to 3. The depth of a patch at the next scale is the mean of its
own and its four neighbours', d_i(s + 1) = 1/5 sum of d_j(s). Our choices where the paper is silent or where we differ:

- Neighbours are 1, 3 and 9 patches away at scales 1, 2 and 3, as in features/genFeaVector.m of their code.
- At the border the patch itself takes the place of a missing neighbour in the mean.
- Their sums name each pair twice, once from either side; ours once.

Patches are numbered row by row, n = rows x columns. All functions take a batch, and differentiate.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.models.table1.gaussian_field import solve, solve_factored

STEPS = (1, 3, 9)  # patches between neighbours at scales 1, 2 and 3
ADMM_STEPS = 200
SHRINKAGE = 0.1  # ln metres a step, about the size of residuals
RELAXATION = 1.6  # the usual over-relaxation


@dataclass(frozen=True)
class GridTerms:
    """Expected log depths of a grid, and the scales of deviations from them."""

    grid: "Grid"
    nodes: Tensor  # (B, H, W): the patch of each pixel
    expected: Tensor  # (B, n) ln metres
    own: Tensor  # (B, n), scale of d - expected
    between: list[Tensor]  # (B, m) for each scale s of the grid, scale of d_i(s) - d_j(s)


@dataclass(frozen=True)
class Grid:
    """A grid of patches, and the neighbours among them."""

    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Number of patches, n."""
        return self.rows * self.columns

    def neighbours(self, step: int, device: torch.device) -> Tensor:
        """Return the patch to the left, to the right, above and below, (4, n); the patch itself if there is none."""
        return neighbours_of(self.rows, self.columns, step).to(device)

    def pairs(self, step: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Return each pair of neighbours once: the left or upper patches (m,), the right or lower ones (m,)."""
        own = torch.arange(self.count, device=device).expand(2, -1)
        other = self.neighbours(step, device)[[1, 3]]
        exists = other != own
        return own[exists], other[exists]


@lru_cache(maxsize=64)
def neighbours_of(rows: int, columns: int, step: int) -> Tensor:
    """Compute Grid.neighbours on the CPU."""
    with torch.inference_mode(False):  # training could not use a cached inference tensor
        number = torch.arange(rows * columns).view(rows, columns)
        result = number.repeat(4, 1, 1)
        result[0, :, step:], result[1, :, :-step] = number[:, :-step], number[:, step:]
        result[2, step:], result[3, :-step] = number[:-step], number[step:]
        return result.flatten(1)


def coarser(values: Tensor, grid: Grid, step: int, dim: int = -1) -> Tensor:
    """Average each patch with its four neighbours, along the dimension of patches `dim`: C times `values`."""
    return Coarser.apply(values, grid.neighbours(step, values.device), dim)


class Coarser(torch.autograd.Function):
    """Multiplication by C. C is symmetric, so it is its own derivative; torch would derive it patch by patch."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, neighbours: Tensor, dim: int) -> Tensor:
        ctx.dim = dim
        ctx.save_for_backward(neighbours)
        left, *others = neighbours
        total = values.index_select(dim, left)
        for beside in others:  # in place, for `values` may be (B, n, n)
            total += values.index_select(dim, beside)
        return (total + values) / 5

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, None, None]:
        (neighbours,) = ctx.saved_tensors
        return Coarser.apply(slopes[0], neighbours, ctx.dim), None, None


def differences(values: Tensor, grid: Grid) -> list[Tensor]:
    """Return d_i(s) - d_j(s) of the pairs of each scale: (B, n) -> a (B, m) for each."""
    result = []
    for step in STEPS:
        first, second = grid.pairs(step, values.device)
        result.append(values[:, first] - values[:, second])
        values = coarser(values, grid, step)
    return result


def from_differences(gaps: list[Tensor], grid: Grid) -> Tensor:
    """Apply the transpose of `differences`: a (B, m) for each scale -> (B, n)."""
    total = gaps[0].new_zeros(len(gaps[0]), grid.count)
    for scale in range(len(STEPS) - 1, -1, -1):
        if scale < len(STEPS) - 1:
            total = coarser(total, grid, STEPS[scale])
        first, second = grid.pairs(STEPS[scale], total.device)
        total = total.index_add(1, first, gaps[scale]).index_add(1, second, gaps[scale], alpha=-1)
    return total


def laplacian(weights: Tensor, grid: Grid, step: int) -> Tensor:
    """Return the matrix (B, n, n) of sum w (d_i - d_j)^2, given weights (B, m) of a scale's pairs."""
    n, (first, second) = grid.count, grid.pairs(step, weights.device)
    places = torch.cat([first * n + first, second * n + second, first * n + second, second * n + first])
    entries = torch.cat([weights, weights, -weights, -weights], dim=1)
    return weights.new_zeros(len(weights), n * n).index_add(1, places, entries).view(-1, n, n)


def precision(own: Tensor, between: list[Tensor], grid: Grid) -> Tensor:
    """Return the matrix (B, n, n) of sum w_i d_i^2 + sum over scales of w_ij (d_i(s) - d_j(s))^2.

    Weights are `own` (B, n), and a (B, m) for each scale in `between`. Built from the coarsest scale on,
    L_1 + C_1 (L_2 + C_2 L_3 C_2) C_1, where C takes a scale to the next.
    """
    matrix = laplacian(between[-1], grid, STEPS[-1])
    for weights, step in zip(between[-2::-1], STEPS[-2::-1], strict=True):
        matrix = coarser(coarser(matrix, grid, step, dim=1), grid, step, dim=2)
        matrix = matrix + laplacian(weights, grid, step)
    return matrix + torch.diag_embed(own)


def laplace_energy(values: Tensor, terms: GridTerms) -> Tensor:
    """Return sum |d_i - expected_i| / own_i + sum over scales |d_i(s) - d_j(s)| / between_ij, (B,)."""
    far = ((values - terms.expected).abs() / terms.own).sum(dim=1)
    gaps = differences(values, terms.grid)
    return far + sum((gap.abs() / scale).sum(dim=1) for gap, scale in zip(gaps, terms.between, strict=True))


def laplace_mode(terms: GridTerms, steps: int = ADMM_STEPS) -> Tensor:
    """Return the (B, n) of least laplace_energy, the solution of their linear program; without gradient.

    Boyd et al., "Distributed Optimization and Statistical Learning via ADMM", section 6.1, least absolute deviations:
    all residuals r = (d - expected, differences) get copies z, which are shrunk one by one, and d is fitted to the
    copies by least squares, with one matrix for all steps.
    """
    grid, expected = terms.grid, terms.expected
    with torch.no_grad():
        weights = [1 / scale for scale in (terms.own, *terms.between)]
        factor = torch.linalg.cholesky(precision(weights[0], weights[1:], grid))
        values = expected
        residuals = [torch.zeros_like(expected), *differences(expected, grid)]
        copies, duals = [residual.clone() for residual in residuals], [torch.zeros_like(part) for part in residuals]
        for _ in range(steps):
            wanted = [w * (z - u) for w, z, u in zip(weights, copies, duals, strict=True)]
            pull = wanted[0] + weights[0] * expected + from_differences(wanted[1:], grid)
            values = solve_factored(factor, pull)
            residuals = [values - expected, *differences(values, grid)]
            relaxed = [RELAXATION * r + (1 - RELAXATION) * z for r, z in zip(residuals, copies, strict=True)]
            copies = [F.softshrink(r + u, SHRINKAGE) for r, u in zip(relaxed, duals, strict=True)]
            duals = [u + r - z for u, r, z in zip(duals, relaxed, copies, strict=True)]
        return values


def reweighted(values: Tensor, terms: GridTerms) -> Tensor:
    """Return the mode (B, n) of a Gaussian field near that of laplace_mode, so that gradients reach the terms.

    The field has the weights 1 / (scale x |residual|) at `values` (B, n); the residuals count as constants.
    """
    with torch.no_grad():
        lengths = [gap.abs() + SHRINKAGE for gap in (values - terms.expected, *differences(values, terms.grid))]
    own, *between = (1 / (s * length) for s, length in zip((terms.own, *terms.between), lengths, strict=True))
    return solve(precision(own, between, terms.grid), own * terms.expected)


def grid_nodes(grid: Grid, like: Tensor) -> Tensor:
    """Return the patch of each pixel, (B, H, W), for a picture like (B, C, H, W)."""
    height, width = like.shape[-2:]
    row = torch.arange(height, device=like.device) * grid.rows // height
    column = torch.arange(width, device=like.device) * grid.columns // width
    return (row[:, None] * grid.columns + column).expand(len(like), -1, -1)
