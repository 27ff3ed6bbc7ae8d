"""Likelihoods of the fields of Liu et al. (models/dcnf.py) and of Saxena et al. (models/make3d.py).

Of an estimate that says what its field is, in `parts`, they are those of that field. Any other network's depth is taken
for a field's mean (its expected depths), and the rest is fixed: a grid of patches, with the constants below. All are
means per node, in ln metres; nodes without a valid pixel are integrated out, or left out of a product of terms.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from hqmd_cli.losses.terms import require_valid
from hqmd_cli.models.table1.gaussian_field import GaussianField, negative_log_likelihood, node_means, wide
from hqmd_cli.models.table1.patch_grid import (
    STEPS,
    Grid,
    GridTerms,
    coarser,
    differences,
    grid_nodes,
    laplacian,
    precision,
)
from hqmd_cli.parallel import batch_sums as across

if TYPE_CHECKING:
    from hqmd_cli.models.base import Estimate

PATCHES_ACROSS = 24  # of a fixed field, along the shorter side
BETA = 1.0  # of neighbours in the fixed field of Liu et al., whose own terms weigh 1
OWN_DEVIATION, PAIR_DEVIATION = 0.3, 0.1  # ln metres, of the fixed fields of Saxena et al.


def crf(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """-ln likelihood of a Gaussian field; without one, of A = I + L over a grid: (y - mean)' A (y - mean) + const."""
    return gaussian(estimate, depth_m, valid, liu_precision)


def mrf_gaussian(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """The same, but without a field that of three scales with fixed deviations."""
    return gaussian(estimate, depth_m, valid, saxena_precision)


def mrf_laplacian(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """-ln of the product of a Laplacian field's terms, each normalised for itself; without one, with fixed scales."""
    require_valid(valid)
    terms = estimate.parts.get("terms") or fixed_terms(estimate.depth_m)
    values, known = measured(depth_m, valid, terms.nodes, terms.grid.count)
    return (across.total(laplace_terms(terms, values, known).sum()) / across.total(known.sum())).to(
        estimate.depth_m.dtype
    )


def laplace_terms(terms: GridTerms, values: Tensor, known: Tensor) -> Tensor:
    """|r| / l + ln 2 l, summed over the terms all of whose depths are known: (B, n), (B, n) bool -> (B,)."""
    far = (values - terms.expected).abs() / terms.own + (2 * terms.own).log()
    total = torch.where(known, far, 0).sum(dim=1)
    held = torch.where(known, values, 0)
    whole = known.to(values.dtype)
    for gap, scale, step in zip(differences(held, terms.grid), terms.between, STEPS, strict=True):
        first, second = terms.grid.pairs(step, values.device)
        pair_known = torch.minimum(whole[:, first], whole[:, second]) > 1 - 1e-6
        total = total + torch.where(pair_known, gap.abs() / scale + (2 * scale).log(), 0).sum(dim=1)
        whole = coarser(whole, terms.grid, step)
    return total


def gaussian(
    estimate: "Estimate", depth_m: Tensor, valid: Tensor, fixed_precision: Callable[[Grid, Tensor], Tensor]
) -> Tensor:
    """-ln likelihood per known node of the estimate's field, or of the fixed one around its depth."""
    require_valid(valid)
    field = estimate.parts.get("field") or fixed_field(estimate.depth_m, fixed_precision)
    values, known = measured(depth_m, valid, field.nodes, field.mean.shape[1])
    total = across.total(negative_log_likelihood(field, values, known).sum()) / across.total(known.sum())
    return total.to(estimate.depth_m.dtype)


def measured(depth_m: Tensor, valid: Tensor, nodes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The mean ln depth of each node's valid pixels, (B, n), and whether it has any."""
    logs = wide(torch.where(valid, depth_m, 1).log())
    means, pixels = node_means(logs, nodes, count, valid[:, 0])
    return means[:, 0], pixels > 0


def fixed_grid(depth_m: Tensor) -> tuple[Grid, Tensor]:
    """Square patches over (B, 1, H, W), none smaller than a pixel, and the patch of each pixel."""
    shorter = min(depth_m.shape[-2:])
    patches = min(PATCHES_ACROSS, shorter)
    rows, columns = (round(patches * side / shorter) for side in depth_m.shape[-2:])
    grid = Grid(rows, columns)
    return grid, grid_nodes(grid, depth_m)


def fixed_field(depth_m: Tensor, precision_of: Callable[[Grid, Tensor], Tensor]) -> GaussianField:
    """A field around a network's depth, whose precision does not look at the picture."""
    grid, nodes = fixed_grid(depth_m)
    mean = node_means(wide(depth_m.log()), nodes, grid.count)[0][:, 0]
    matrix = precision_of(grid, mean.new_ones(1, grid.count))
    return GaussianField.around(nodes, matrix.expand(len(mean), -1, -1), mean)


def liu_precision(grid: Grid, ones: Tensor) -> Tensor:
    """2 A of neighbours that are all alike; `ones` is (1, n)."""
    first, _ = grid.pairs(STEPS[0], ones.device)
    return 2 * (torch.diag_embed(ones) + laplacian(BETA * ones[:, first], grid, STEPS[0]))


def saxena_precision(grid: Grid, ones: Tensor) -> Tensor:
    """That of models/make3d.py with fixed deviations."""
    between = [ones[:, grid.pairs(step, ones.device)[0]] / PAIR_DEVIATION**2 for step in STEPS]
    return precision(ones / OWN_DEVIATION**2, between, grid)


def fixed_terms(depth_m: Tensor) -> GridTerms:
    """The terms of a Laplacian field around a network's depth."""
    grid, nodes = fixed_grid(depth_m)
    expected = node_means(wide(depth_m.log()), nodes, grid.count)[0][:, 0]
    between = [PAIR_DEVIATION * torch.ones_like(expected[:, grid.pairs(step, nodes.device)[0]]) for step in STEPS]
    return GridTerms(grid, nodes, expected, OWN_DEVIATION * torch.ones_like(expected), between)
