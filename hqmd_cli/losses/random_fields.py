"""Likelihoods of the random fields of Liu et al. (table1/dcnf.py) and Saxena et al. (table1/make3d.py).

An estimate may describe its field in `parts`. For any other network, its depth is the mean of a field over a grid of
patches with the constants below. Each loss is a mean per node, in ln metres. A node without a valid pixel is integrated
out, or left out of a product of terms.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from torch import Tensor, masked_select
from torch.nn import functional as F

from hqmd_cli.losses.terms import absolute_log_error, require_valid
from hqmd_cli.models.table1.gaussian_field import GaussianField, double, negative_log_likelihood, node_means
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
from hqmd_cli.models.table1.plane_field import PlaneTerms, true_planes
from hqmd_cli.parallel.batch_sums import batch_mean, batch_mean_or_zero, batch_sum

if TYPE_CHECKING:
    from hqmd_cli.models.base import Estimate

PATCHES_ACROSS = 24  # the shorter side, in a fixed field
BETA = 1.0  # weight of neighbours in the fixed field of Liu et al.; a node's own term has weight 1
OWN_DEVIATION, PAIR_DEVIATION = 0.3, 0.1  # ln metres, in the fixed fields of Saxena et al.
SAME_PLANE = 0.03  # of the depth where two planes are compared


def crf(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """-ln likelihood of a Gaussian field; the fixed one has A = I + L: (y - mean)' A (y - mean) + const."""
    return gaussian(estimate, depth_m, valid, liu_precision)


def mrf_gaussian(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """-ln likelihood of a Gaussian field; the fixed one has three scales with fixed deviations."""
    return gaussian(estimate, depth_m, valid, saxena_precision)


def mrf_laplacian(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """-ln of the product of a Laplacian field's terms, each normalised on its own; the fixed one has fixed scales."""
    require_valid(valid)
    terms = estimate.parts.get("terms") or fixed_terms(estimate.depth_m)
    values, known = measured(depth_m, valid, terms.nodes, terms.grid.count)
    return (batch_sum(laplace_terms(terms, values, known).sum()) / batch_sum(known.sum())).to(estimate.depth_m.dtype)


def planes(estimate: "Estimate", depth_m: Tensor, valid: Tensor) -> Tensor:
    """-ln of the product of a field of planes' terms, each on its own: those of its points, and y of its pairs.

    A measured point has |ln d - ln z| / e + ln 2 e. A pair should have y = 1 if the measured planes of its superpixels
    differ by less than SAME_PLANE. For any other network, each pixel is a point with a fixed e.
    """
    require_valid(valid)
    terms = estimate.parts.get("planes")
    if terms is None:
        return batch_mean(absolute_log_error(estimate.depth_m, depth_m, valid) / OWN_DEVIATION)
    size, points = terms.nodes.shape[1:], terms.points
    depth_m, valid = F.interpolate(depth_m, size), F.interpolate(valid.to(depth_m.dtype), size) > 0
    known = valid.flatten(1)[:, points.pixel]
    logs = double(torch.where(valid, depth_m, 1).log()).flatten(1)[:, points.pixel]
    own = (points.log_depth - logs).abs() / points.error + (2 * points.error).log()
    same, judged = same_plane(terms, depth_m, valid)
    pair = F.binary_cross_entropy_with_logits(terms.logits, same.to(terms.logits.dtype), reduction="none")
    total = batch_mean(masked_select(own, known)) + batch_mean_or_zero(masked_select(pair, judged))
    return total.to(estimate.depth_m.dtype)


def same_plane(terms: PlaneTerms, depth_m: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Tell which pairs agree by measured depth (B, 1, h, w), and for which it is known, (m,) each."""
    pairs = terms.pairs
    planes, known = true_planes(depth_m, valid, terms.nodes, terms.count)
    first, second = ((planes[pairs.picture, node] * pairs.ray).sum(dim=1) for node in (pairs.first, pairs.second))
    judged = known[pairs.picture, pairs.first] & known[pairs.picture, pairs.second]
    return (first - second).abs() < SAME_PLANE * second.abs(), judged


def laplace_terms(terms: GridTerms, values: Tensor, known: Tensor) -> Tensor:
    """Sum |r| / l + ln 2 l over the terms whose depths are all known: (B, n), (B, n) bool -> (B,)."""
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
    """-ln likelihood per known node, under the estimate's field or a fixed one around its depth."""
    require_valid(valid)
    field = estimate.parts.get("field") or fixed_field(estimate.depth_m, fixed_precision)
    values, known = measured(depth_m, valid, field.nodes, field.mean.shape[1])
    total = batch_sum(negative_log_likelihood(field, values, known).sum()) / batch_sum(known.sum())
    return total.to(estimate.depth_m.dtype)


def measured(depth_m: Tensor, valid: Tensor, nodes: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Mean ln depth of each node's valid pixels, (B, n), and a mask of the nodes that have any."""
    logs = double(torch.where(valid, depth_m, 1).log())
    means, pixels = node_means(logs, nodes, count, valid[:, 0])
    return means[:, 0], pixels > 0


def fixed_grid(depth_m: Tensor) -> tuple[Grid, Tensor, Tensor]:
    """Square patches, none smaller than a pixel, over (B, 1, H, W), the patch of each pixel, and its mean ln depth."""
    shorter = min(depth_m.shape[-2:])
    patches = min(PATCHES_ACROSS, shorter)
    rows, columns = (round(patches * side / shorter) for side in depth_m.shape[-2:])
    grid = Grid(rows, columns)
    nodes = grid_nodes(grid, depth_m)
    return grid, nodes, node_means(double(depth_m.log()), nodes, grid.count)[0][:, 0]


def fixed_field(depth_m: Tensor, precision_of: Callable[[Grid, Tensor], Tensor]) -> GaussianField:
    """Gaussian field around a network's depth, whose precision does not depend on the picture."""
    grid, nodes, mean = fixed_grid(depth_m)
    matrix = precision_of(grid, mean.new_ones(1, grid.count))
    return GaussianField.around(nodes, matrix.expand(len(mean), -1, -1), mean)


def liu_precision(grid: Grid, ones: Tensor) -> Tensor:
    """2 A with the same weight for all neighbours; `ones` is (1, n)."""
    first, _ = grid.pairs(STEPS[0], ones.device)
    return 2 * (torch.diag_embed(ones) + laplacian(BETA * ones[:, first], grid, STEPS[0]))


def saxena_precision(grid: Grid, ones: Tensor) -> Tensor:
    """Precision of the field in table1/make3d.py, with fixed deviations; `ones` is (1, n)."""
    between = [ones[:, grid.pairs(step, ones.device)[0]] / PAIR_DEVIATION**2 for step in STEPS]
    return precision(ones / OWN_DEVIATION**2, between, grid)


def fixed_terms(depth_m: Tensor) -> GridTerms:
    """Terms of a Laplacian field around a network's depth, with fixed scales."""
    grid, nodes, expected = fixed_grid(depth_m)
    between = [PAIR_DEVIATION * torch.ones_like(expected[:, grid.pairs(step, nodes.device)[0]]) for step in STEPS]
    return GridTerms(grid, nodes, expected, OWN_DEVIATION * torch.ones_like(expected), between)
