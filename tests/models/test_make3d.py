"""Make3D's features and its fields of patches: against brute force and linear programming on tiny grids.

What its authors' own code says of the filters, benchmarks/table1_checks/make3d.py compares.
"""

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scipy.integrate import quad
from scipy.optimize import linprog
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.export.onnx_graph import export_file
from hqmd_cli.losses import build_loss
from hqmd_cli.losses.random_fields import laplace_terms
from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.gaussian_field import GaussianField, negative_log_likelihood, solve
from hqmd_cli.models.table1.make3d import ROWS, Make3d, Make3dLaplacian
from hqmd_cli.models.table1.patch_grid import (
    STEPS,
    Grid,
    GridTerms,
    coarser,
    differences,
    from_differences,
    grid_nodes,
    laplace_energy,
    laplace_mode,
    precision,
)
from hqmd_cli.models.table1.texture_features import (
    FEATURES,
    FILTERS,
    RELATIVE,
    describe,
    filters,
    histograms,
    respond,
    with_neighbours,
)

SYSTEMS = ["make3d", "make3d-laplacian"]
GRID = Grid(3, 4)


def make3d(system: str = "make3d", **settings: object) -> Make3d:
    """Not as it starts, but with parameters that differ from patch to patch."""
    network = build_model(ModelConfig().with_settings(system=system, **settings))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        network.theta += 0.3 * torch.randn(network.theta.shape, generator=generator)
        network.u += 0.03 * torch.randn(network.u.shape, generator=generator)
    return network  # type: ignore[return-value]


def photos(height: int, width: int, count: int = 2) -> Tensor:
    """With low frequencies, as photos have."""
    rough = torch.rand(count, 3, 5, 6, generator=torch.Generator().manual_seed(1))
    return F.interpolate(rough, size=(height, width), mode="bilinear").clamp(0, 1)


def example(grid: Grid = GRID, seed: int = 0) -> GridTerms:
    """Random terms of a grid."""
    generator = torch.Generator().manual_seed(seed)

    def scales(count: int) -> Tensor:
        return 0.05 + 0.3 * torch.rand(1, count, dtype=torch.float64, generator=generator)

    expected = 1 + 0.4 * torch.randn(1, grid.count, dtype=torch.float64, generator=generator)
    between = [scales(len(grid.pairs(step, expected.device)[0])) for step in STEPS]
    return GridTerms(grid, grid_nodes(grid, torch.zeros(1, 1, 6, 8)), expected, scales(grid.count), between)


# ---- the field ----


def places(grid: Grid) -> list[tuple[int, int]]:
    return [(row, column) for row in range(grid.rows) for column in range(grid.columns)]


def slow_scales(depths: Tensor, grid: Grid) -> list[dict[tuple[int, int], Tensor]]:
    """d_i(s) as the paper writes it, patch by patch."""
    scales = [{place: depths[i] for i, place in enumerate(places(grid))}]
    for step in STEPS[:-1]:
        below = scales[-1]
        sides = [(0, 0), (0, step), (0, -step), (step, 0), (-step, 0)]
        scales.append(
            {
                (row, column): sum(below.get((row + dy, column + dx), below[row, column]) for dy, dx in sides) / 5
                for row, column in below
            }
        )
    return scales


def slow_pairs(grid: Grid, step: int) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Those to the right, then those below."""
    inside = places(grid)
    right = [((row, column), (row, column + step)) for row, column in inside if (row, column + step) in inside]
    return right + [((row, column), (row + step, column)) for row, column in inside if (row + step, column) in inside]


@pytest.mark.parametrize("grid", [Grid(3, 4), Grid(5, 1), Grid(1, 12), Grid(11, 10)])
def test_scales_and_pairs_are_those_of_the_paper(grid: Grid) -> None:
    depths = torch.randn(grid.count, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for found, scale, step in zip(differences(depths[None], grid), slow_scales(depths, grid), STEPS, strict=True):
        expected = [(scale[one] - scale[other]).item() for one, other in slow_pairs(grid, step)]
        assert found[0].tolist() == pytest.approx(expected, abs=1e-12)


def gaussian_energy(depths: Tensor, terms: GridTerms) -> Tensor:
    """Half the sum of squares over variances, (B, n) -> (B,)."""
    own = ((depths - terms.expected).square() / terms.own).sum(dim=1)
    gaps = differences(depths, terms.grid)
    return (own + sum((gap.square() / scale).sum(dim=1) for gap, scale in zip(gaps, terms.between, strict=True))) / 2


def test_the_precision_is_the_energys_curvature() -> None:
    for grid in (GRID, Grid(2, 11)):
        terms = example(grid)
        matrix = precision(1 / terms.own, [1 / scale for scale in terms.between], grid)
        flat = torch.zeros(grid.count, dtype=torch.float64)
        curvature = torch.autograd.functional.hessian(lambda d, terms=terms: gaussian_energy(d[None], terms)[0], flat)
        torch.testing.assert_close(matrix[0], curvature)


def test_the_gaussian_mode_is_the_least_energy_by_brute_force() -> None:
    terms = example()
    weights = 1 / terms.own
    mode = solve(precision(weights, [1 / scale for scale in terms.between], GRID), weights * terms.expected)[0]
    depths = torch.zeros_like(mode, requires_grad=True)
    search = torch.optim.LBFGS(
        [depths], max_iter=500, tolerance_grad=1e-11, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        energy = gaussian_energy(depths[None], terms)[0]
        energy.backward()
        return energy

    search.step(closure)
    torch.testing.assert_close(mode, depths.detach(), atol=1e-6, rtol=0)
    assert (mode - terms.expected[0]).abs().max() > 0.05


def linear_program(terms: GridTerms) -> tuple[Tensor, float]:
    """min sum w_k t_k with -t <= A d - b <= t, by HiGHS: the depths, and the least energy."""
    n = terms.grid.count
    identity = torch.eye(n, dtype=torch.float64)
    a = torch.cat([identity, *(gap.T for gap in differences(identity, terms.grid))])
    b = torch.cat([terms.expected[0], torch.zeros(len(a) - n, dtype=torch.float64)])
    weights = torch.cat([1 / terms.own[0], *(1 / scale[0] for scale in terms.between)])
    slack = torch.eye(len(a), dtype=torch.float64)
    limits = torch.cat([torch.cat([a, -slack], 1), torch.cat([-a, -slack], 1)])
    costs = torch.cat([torch.zeros(n, dtype=torch.float64), weights])
    bounds = [(None, None)] * n + [(0, None)] * len(a)
    answer = linprog(costs.numpy(), A_ub=limits.numpy(), b_ub=torch.cat([b, -b]).numpy(), bounds=bounds, method="highs")
    return torch.tensor(answer.x[:n]), answer.fun


@pytest.mark.parametrize("seed", range(4))
def test_the_laplacian_mode_is_that_of_the_linear_program(seed: int) -> None:
    terms = example(seed=seed)
    depths, least = linear_program(terms)
    mode = laplace_mode(terms)
    energy = laplace_energy(mode, terms).item()
    assert least * (1 - 1e-9) <= energy < least * 1.001
    torch.testing.assert_close(mode[0], depths, atol=2e-3, rtol=0)  # 0.2 %
    assert (depths - terms.expected[0]).abs().max() > 0.05


def test_the_gaussian_likelihood_is_normalised() -> None:
    """Two patches: exp(-energy) summed over 500 x 500 points is Z."""
    terms = example(Grid(1, 2))
    weights = 1 / terms.own
    matrix = precision(weights, [1 / scale for scale in terms.between], terms.grid)
    field = GaussianField.from_energy(terms.nodes, matrix, weights * terms.expected)
    side = torch.linspace(-6, 8, 500, dtype=torch.float64)
    points = torch.cartesian_prod(side, side)
    energies = gaussian_energy(points, terms)
    log_z = math.log((-energies).exp().sum().item() * (side[1] - side[0]).item() ** 2)
    seen = torch.tensor([[0.4, 1.3]], dtype=torch.float64)
    found = negative_log_likelihood(field, seen, torch.ones(1, 2, dtype=torch.bool))
    assert found.item() == pytest.approx(gaussian_energy(seen, terms).item() + log_z, abs=1e-8)


def test_each_laplacian_term_is_normalised() -> None:
    """One patch has one term; a pair has one of each patch and one of both at each of the scales that it has."""
    alone = example(Grid(1, 1))
    known = torch.ones(1, 1, dtype=torch.bool)
    density = lambda d: math.exp(-laplace_terms(alone, torch.tensor([[d]], dtype=torch.float64), known).item())  # noqa: E731
    total = sum(quad(density, *ends)[0] for ends in ((-20, alone.expected.item()), (alone.expected.item(), 20)))
    assert total == pytest.approx(1, abs=1e-6)
    pair, d = example(Grid(1, 2)), torch.tensor([[0.4, 1.3]], dtype=torch.float64)
    by_hand = sum(
        abs(residual) / scale + math.log(2 * scale)
        for residual, scale in [
            (0.4 - pair.expected[0, 0].item(), pair.own[0, 0].item()),
            (1.3 - pair.expected[0, 1].item(), pair.own[0, 1].item()),
            (0.9, pair.between[0].item()),  # 3 and 9 patches away there is nobody
        ]
    )
    assert laplace_terms(pair, d, torch.ones(1, 2, dtype=torch.bool)).item() == pytest.approx(by_hand, abs=1e-12)


def test_a_hole_takes_its_terms_with_it() -> None:
    """Also those of larger scales whose means contain it."""
    terms, known = example(Grid(1, 8)), torch.ones(1, 8, dtype=torch.bool)
    known[0, 3] = False
    values = torch.linspace(0.5, 1.5, 8, dtype=torch.float64)[None]
    spoilt = values.clone()
    spoilt[0, 3] = math.nan
    found = laplace_terms(terms, spoilt, known).item()
    assert found == laplace_terms(terms, values, known).item()
    own = ((values - terms.expected).abs() / terms.own + (2 * terms.own).log())[known].sum()
    first = differences(values, terms.grid)[0].abs() / terms.between[0] + (2 * terms.between[0]).log()
    # Pairs 2-3 and 3-4 go at scale 1. At scale 2 the means of patches 2, 3, 4 go: of pairs 0-3, 1-4, 2-5, 3-6, 4-7 all.
    assert found == pytest.approx((own + first[0, [0, 1, 4, 5, 6]].sum()).item(), abs=1e-12)


@pytest.mark.parametrize("grid", [Grid(3, 4), Grid(10, 2)])
def test_from_differences_is_the_transpose(grid: Grid) -> None:
    identity = torch.eye(grid.count, dtype=torch.float64)
    matrix = torch.cat([gap.T for gap in differences(identity, grid)])  # (all pairs, n)
    gaps = [torch.randn(1, len(grid.pairs(step, identity.device)[0])).double() for step in STEPS]
    torch.testing.assert_close(from_differences(gaps, grid)[0], matrix.T @ torch.cat(gaps, dim=1)[0])


def test_gradchecks() -> None:
    terms = example()
    known = torch.rand(1, GRID.count, generator=torch.Generator().manual_seed(3)) > 0.2
    values = torch.randn(1, GRID.count, dtype=torch.float64, generator=torch.Generator().manual_seed(4))

    def gaussian(expected: Tensor, own: Tensor, *between: Tensor) -> Tensor:
        matrix = precision(1 / own, [1 / scale for scale in between], GRID)
        return negative_log_likelihood(GaussianField.from_energy(terms.nodes, matrix, expected / own), values, known)

    def laplacian(expected: Tensor, own: Tensor, *between: Tensor) -> Tensor:
        return laplace_terms(replace(terms, expected=expected, own=own, between=list(between)), values, known)

    inputs = [tensor.requires_grad_() for tensor in (terms.expected, terms.own, *terms.between)]
    assert torch.autograd.gradcheck(gaussian, inputs)
    assert torch.autograd.gradcheck(laplacian, inputs)
    assert torch.autograd.gradcheck(
        lambda m: coarser(m, GRID, 1, dim=1), torch.randn(1, 12, 2).double().requires_grad_()
    )


# ---- features ----


def test_filters_are_nine_of_laws_two_colours_and_six_edges() -> None:
    bank = filters()
    assert bank.shape == (FILTERS, 3, 5, 5)
    torch.testing.assert_close(bank.abs().sum(dim=(1, 2, 3)), torch.ones(FILTERS))
    assert [bank[i].sum().abs().item() > 0.5 for i in range(FILTERS)] == [i in (0, 9, 10) for i in range(FILTERS)]
    torch.testing.assert_close(16 * bank[0, 0, 1:4, 1:4], torch.tensor([[1.0, 2, 1], [2, 4, 2], [1, 2, 1]]))
    torch.testing.assert_close(16 * bank[8, 0, 1:4, 1:4], torch.tensor([[1.0, -2, 1], [-2, 4, -2], [1, -2, 1]]))


@pytest.mark.parametrize("angle", range(6))
def test_an_edge_is_seen_best_by_the_filter_of_its_angle(angle: int) -> None:
    turn = math.radians(30 * angle)
    down, across = torch.meshgrid(*[torch.arange(21) - 10.0] * 2, indexing="ij")
    brightness = (across * math.cos(turn) - down * math.sin(turn) > 0).float()
    response = respond(brightness.expand(1, 3, -1, -1))[0, 11:, 10, 10]
    assert response.argmax() == angle


def test_features_of_a_flat_photo() -> None:
    """Only brightness and the two colours are not 0; the column's features are those of every scale."""
    absolute, relative = describe(torch.full((1, 3, 64, 64), 0.5), 24, 24)
    assert absolute.shape == (1, FEATURES, 24, 24)
    assert (FEATURES, RELATIVE) == (646, 170)
    assert relative.shape == (1, 3, RELATIVE, 24 * 24)
    expected = torch.zeros(2 * FILTERS)
    expected[[0, 9, 10]], expected[[17, 26, 27]] = 0.5, 0.25
    torch.testing.assert_close(absolute[0, :, 5, 7], expected.repeat(19), atol=1e-5, rtol=0)
    torch.testing.assert_close(relative.view(3, FILTERS, 10, -1).sum(dim=2), torch.ones(3, FILTERS, 24 * 24))


def test_neighbours_stand_where_they_should() -> None:
    number = torch.arange(20.0).view(1, 1, 4, 5)
    own, left, right, above, below = with_neighbours(number, 3)[0, :, 1, 1].tolist()
    assert (own, left, right, above, below) == (6, 5, 9, 1, 16)  # left and above end at the border


def test_histograms_count_the_pixels_of_a_patch() -> None:
    response = torch.zeros(1, FILTERS, 4, 6)
    response[:, 3, :2, :3] = 1.0  # the largest there is: bin 9
    response[:, 3, 0, 0] = 0
    found = histograms(response, 2, 2).view(FILTERS, 10, 4)
    assert found[3, :, 0].tolist() == pytest.approx([1 / 6, *[0] * 8, 5 / 6])
    assert found[3, :, 1:].tolist() == [[1] * 3, *[[0] * 3] * 9]


# ---- the systems ----


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
@pytest.mark.parametrize("size", [(32, 32), (33, 47), (90, 35), (32, 120)])
def test_depth_of_any_size_of_photo(system: str, size: tuple[int, int]) -> None:
    network = make3d(system).eval()
    with torch.no_grad():
        both, one = network(photos(*size)), network(photos(*size)[1:])
    assert both.shape == (2, 1, *size)
    assert both.isfinite().all()
    assert both.min() > 0
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=0)


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_black_photo_in_training(system: str) -> None:
    network = make3d(system).train()
    estimate = network.estimate(torch.zeros(1, 3, 48, 64))
    depth = torch.full((1, 1, 48, 64), 2.0)
    loss = build_loss(network.paper.training["loss"])(estimate, depth, torch.ones_like(depth, dtype=torch.bool))
    loss.backward()
    assert loss.isfinite()
    assert all(parameter.grad.isfinite().all() for parameter in network.parameters())


@pytest.mark.parametrize("system", SYSTEMS)
def test_gradient_reaches_every_row(system: str) -> None:
    network = make3d(system).train()
    depth = 2 + torch.rand(2, 1, 64, 24, generator=torch.Generator().manual_seed(5))
    with torch.autocast("cpu", torch.bfloat16):
        estimate = network.estimate(photos(64, 24))
    build_loss(network.paper.training["loss"])(estimate, depth, torch.ones_like(depth, dtype=torch.bool)).backward()
    for name, parameter in network.named_parameters():
        rows = parameter.grad.reshape(ROWS, -1).abs().amax(dim=1)  # type: ignore[union-attr]
        assert rows.isfinite().all(), name
        assert (rows > 0).all(), name


@pytest.mark.parametrize("system", SYSTEMS)
def test_its_depth_can_be_trained_by_any_loss(system: str) -> None:
    network = make3d(system).train()
    depth = torch.full((1, 1, 64, 24), 2.0)
    build_loss("hu")(network.estimate(photos(64, 24, 1)), depth, torch.ones_like(depth, dtype=torch.bool)).backward()
    assert network.theta.grad is not None
    assert network.theta.grad.count_nonzero() > 0


def test_each_row_has_its_parameters() -> None:
    network = make3d().eval()
    rgb = photos(64, 64, 1)
    with torch.no_grad():
        before = network.terms(rgb).expected.view(ROWS, -1)
        network.constant[7] += 0.05
        after = network.terms(rgb).expected.view(ROWS, -1)
    changed = (after - before).abs().amax(dim=1) > 1e-6
    assert changed.nonzero().flatten().tolist() == [7]


@pytest.mark.parametrize("system", SYSTEMS)
def test_rescaling_is_exact(system: str) -> None:
    network = make3d(system).eval()
    with torch.no_grad():
        before = network(photos(64, 24))
        network.rescale(1.7)
        torch.testing.assert_close(network(photos(64, 24)), 1.7 * before, rtol=1e-4, atol=0)


def test_the_two_models_differ_and_learn_by_their_own_losses() -> None:
    assert [from_paper(name, {})[1].objective.loss for name in SYSTEMS] == ["mrf-gaussian", "mrf-laplacian"]
    gaussian, laplacian = (make3d(name).eval() for name in SYSTEMS)
    assert isinstance(laplacian, Make3dLaplacian)
    with torch.no_grad():
        estimates = [network.estimate(photos(48, 64, 1)) for network in (gaussian, laplacian)]
    assert [list(estimate.parts) for estimate in estimates] == [["field"], ["terms"]]
    assert (estimates[0].depth_m - estimates[1].depth_m).abs().max() > 1e-3


@pytest.mark.slow
@pytest.mark.parametrize("system", SYSTEMS)
def test_saved_and_reopened_by_config_alone(system: str, tmp_path: Path) -> None:
    network = make3d(system, size=(48, 64))
    with torch.no_grad():
        network.train()(photos(64, 24))  # what is normal of features is remembered, too
    network.eval()
    save_checkpoint(
        tmp_path / "it",
        network,
        CheckpointInfo(ModelConfig(network.config), TrainConfig().with_settings(loss="mrf-gaussian")),
    )
    again, _ = load_checkpoint(tmp_path / "it", torch.device("cpu"))
    with torch.no_grad():
        assert torch.equal(again(photos(64, 24)), network(photos(64, 24)))


@pytest.mark.parametrize("system", SYSTEMS)
def test_export_says_why_not(system: str, tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=rf"{system} cannot become ONNX: .* system of equations"):
        export_file(make3d(system), ModelConfig(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []
