"""A grid of patches on which depths of several scales hang together: the multi-scale field of Saxena, Chung and Ng.

"3-D Depth Reconstruction from a Single Still Image", IJCV 76 (2007), as NIPS 2005 before it. Beside a term for each
patch it has one for each pair of neighbours at scales 1 to 3, where the depth of a patch at the next scale is the mean
of its own and its four neighbours', d_i(s + 1) = 1/5 sum of d_j(s). What that leaves unsaid:

- How far neighbours are at a scale: 1, 3 and 9 patches, as features/genFeaVector.m of their code steps.
- Where there is no neighbour, at the border: there the patch itself takes its place in the mean.
- Their sums name each pair twice, from either side; ours once.

Patches are numbered row by row; n = rows x columns. Everything takes a batch, and differentiates.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.models.table1.gaussian_field import solve, solve_factored

STEPS = (1, 3, 9)  # patches from one neighbour to the next, at scales 1, 2 and 3
ADMM_STEPS = 200
SHRINKAGE, RELAXATION = 0.1, 1.6  # ln metres a step, about the size of residuals; over-relaxation as usual


@dataclass(frozen=True)
class GridTerms:
    """What is expected of a grid's log depths, and how far from it they may be."""

    grid: "Grid"
    nodes: Tensor  # (B, H, W): the patch of each pixel
    expected: Tensor  # (B, n) ln metres
    own: Tensor  # (B, n): scale of d - expected
    between: list[Tensor]  # (B, m) for each scale of the grid: scale of d_i(s) - d_j(s)


@dataclass(frozen=True)
class Grid:
    """Which patches are neighbours."""

    rows: int
    columns: int

    @property
    def count(self) -> int:
        """Patches."""
        return self.rows * self.columns

    def neighbours(self, step: int, device: torch.device) -> Tensor:
        """(4, n): the patch to the left, to the right, above and below; the patch itself where there is none."""
        return neighbours_of(self.rows, self.columns, step).to(device)

    def pairs(self, step: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """Each pair of neighbours once, (m,) and (m,): the left or upper patch, the right or lower one."""
        own = torch.arange(self.count, device=device).expand(2, -1)
        other = self.neighbours(step, device)[[1, 3]]
        there = other != own
        return own[there], other[there]


@lru_cache(maxsize=64)
def neighbours_of(rows: int, columns: int, step: int) -> Tensor:
    """Grid.neighbours on the CPU."""
    with torch.inference_mode(False):  # a tensor made for inference could not be used in training later
        number = torch.arange(rows * columns).view(rows, columns)
        result = number.repeat(4, 1, 1)
        result[0, :, step:], result[1, :, :-step] = number[:, :-step], number[:, step:]
        result[2, step:], result[3, :-step] = number[:-step], number[step:]
        return result.flatten(1)


def coarser(values: Tensor, grid: Grid, step: int, dim: int = -1) -> Tensor:
    """The means with the four neighbours, along a dimension that counts patches: C times `values`."""
    return Coarser.apply(values, grid.neighbours(step, values.device), dim)


class Coarser(torch.autograd.Function):
    """C, symmetric and so its own derivative, which torch would work out patch by patch."""

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
    """(B, n) -> for each scale (B, m): d_i(s) - d_j(s) of its pairs."""
    result = []
    for step in STEPS:
        first, second = grid.pairs(step, values.device)
        result.append(values[:, first] - values[:, second])
        values = coarser(values, grid, step)
    return result


def from_differences(gaps: list[Tensor], grid: Grid) -> Tensor:
    """The transpose of `differences`: (B, m) for each scale -> (B, n)."""
    total = gaps[0].new_zeros(len(gaps[0]), grid.count)
    for scale in range(len(STEPS) - 1, -1, -1):
        if scale < len(STEPS) - 1:
            total = coarser(total, grid, STEPS[scale])
        first, second = grid.pairs(STEPS[scale], total.device)
        total = total.index_add(1, first, gaps[scale]).index_add(1, second, gaps[scale], alpha=-1)
    return total


def laplacian(weights: Tensor, grid: Grid, step: int) -> Tensor:
    """(B, m) weights of a scale's pairs -> (B, n, n): the matrix of sum of w (d_i - d_j)^2."""
    n, (first, second) = grid.count, grid.pairs(step, weights.device)
    places = torch.cat([first * n + first, second * n + second, first * n + second, second * n + first])
    entries = torch.cat([weights, weights, -weights, -weights], dim=1)
    return weights.new_zeros(len(weights), n * n).index_add(1, places, entries).view(-1, n, n)


def precision(own: Tensor, between: list[Tensor], grid: Grid) -> Tensor:
    """The matrix of sum of w_i d_i^2 + sum over scales of w_ij (d_i(s) - d_j(s))^2, (B, n, n).

    Weights are (B, n), and (B, m) for each scale. Coarsest first: M = L_1 + C_1 (L_2 + C_2 L_3 C_2) C_1, where C takes
    a scale to the next.
    """
    matrix = laplacian(between[-1], grid, STEPS[-1])
    for weights, step in zip(between[-2::-1], STEPS[-2::-1], strict=True):
        matrix = coarser(coarser(matrix, grid, step, dim=1), grid, step, dim=2)
        matrix = matrix + laplacian(weights, grid, step)
    return matrix + torch.diag_embed(own)


def laplace_energy(values: Tensor, expected: Tensor, own: Tensor, between: list[Tensor], grid: Grid) -> Tensor:
    """sum |d_i - expected_i| / own_i + sum over scales |d_i(s) - d_j(s)| / between_ij, (B,): -ln(Z x density)."""
    far = ((values - expected).abs() / own).sum(dim=1)
    return far + sum(
        (gap.abs() / scale).sum(dim=1) for gap, scale in zip(differences(values, grid), between, strict=True)
    )


def laplace_mode(expected: Tensor, own: Tensor, between: list[Tensor], grid: Grid, steps: int = ADMM_STEPS) -> Tensor:
    """The (B, n) of least laplace_energy: their linear program, by the alternating direction method of multipliers.

    Boyd et al., "Distributed Optimization and Statistical Learning via ADMM", section 6.1, least absolute deviations:
    all residuals r = (d - expected, differences) get copies z that are shrunk one by one, and d is fitted to the copies
    by least squares with one matrix for all steps. Scales as in laplace_energy; no gradient.
    """
    with torch.no_grad():
        weights = [1 / scale for scale in (own, *between)]
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
    """Log depths near those of laplace_mode as a function of the terms, for gradients: (B, n) -> (B, n).

    The Gaussian field whose weights 1 / (scale x |residual|) are those at `values`, taken for constants.
    """
    with torch.no_grad():
        lengths = [gap.abs() + SHRINKAGE for gap in (values - terms.expected, *differences(values, terms.grid))]
    own, *between = (1 / (s * length) for s, length in zip((terms.own, *terms.between), lengths, strict=True))
    return solve(precision(own, between, terms.grid), own * terms.expected)


def grid_nodes(grid: Grid, like: Tensor) -> Tensor:
    """The patch of each pixel of (B, C, H, W), (B, H, W)."""
    height, width = like.shape[-2:]
    row = torch.arange(height, device=like.device) * grid.rows // height
    column = torch.arange(width, device=like.device) * grid.columns // width
    return (row[:, None] * grid.columns + column).expand(len(like), -1, -1)
