"""MS-CRF: the mean field against the exact Gaussian CRF, and the two networks built on it."""

import pytest
import torch
from torch import Tensor

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.models import build_model
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.continuous_crf import balanced, gaussian, image_kernels, mean_field, messages
from hqmd_cli.models.table1.mscrf import START_WEIGHTS, UPDATES, MeanFieldBlock

GRID = (3, 4)
MODELS = ("mscrf-unified", "mscrf-cascade")


def random_field(maps: int) -> tuple[Tensor, list[Tensor], Tensor]:
    """Observed depths (1, S, N), two kernels of a random picture, and symmetric positive weights (2, S, S)."""
    torch.manual_seed(0)
    rgb = torch.rand(1, 3, 24, 32, dtype=torch.float64) * 0.2  # colours near enough to pull at one another
    observed = 1 + 4 * torch.rand(1, maps, GRID[0] * GRID[1], dtype=torch.float64)
    weights = torch.rand(2, maps, maps, dtype=torch.float64) * 3
    return observed, image_kernels(rgb, GRID), weights + weights.transpose(1, 2)


def energy(y: Tensor, observed: Tensor, kernels: list[Tensor], weights: Tensor) -> Tensor:
    """The energy at the head of continuous_crf.py, term by term, of y (S * N,)."""
    maps, pixels = observed.shape[1:]
    y = y.view(maps, pixels)
    total = (y - observed[0]).square().sum()
    for kernel, weight in zip(kernels, weights, strict=True):
        for a in range(maps):
            for b in range(maps):
                total = total + weight[a, b] / 2 * (kernel[0] * (y[a][:, None] - y[b][None, :]).square()).sum()
    return total


@pytest.mark.parametrize("maps", [1, 2, 3])
def test_the_fixed_point_is_the_minimum_of_the_energy(maps: int) -> None:
    """Closed form, of the energy itself: it is quadratic, so that its minimum is -Hessian^-1 gradient at zero."""
    observed, kernels, weights = random_field(maps)
    zero = torch.zeros(observed.numel(), dtype=torch.float64)
    of_y = lambda y: energy(y, observed, kernels, weights)  # noqa: E731
    hessian = torch.autograd.functional.hessian(of_y, zero)
    slope = torch.autograd.functional.jacobian(of_y, zero)
    exact = torch.linalg.solve(hessian, -slope).view_as(observed)
    reached = mean_field(observed, observed, kernels, weights, steps=3000)
    torch.testing.assert_close(reached, exact, rtol=0, atol=1e-9)
    assert (exact - observed).abs().max() > 0.1  # the field did something


def test_the_fixed_point_does_not_depend_on_the_start_but_few_steps_do() -> None:
    observed, kernels, weights = random_field(1)
    starts = observed, torch.full_like(observed, 9.0)
    torch.testing.assert_close(*(mean_field(start, observed, kernels, weights, 3000) for start in starts))
    near, far = (mean_field(start, observed, kernels, weights, UPDATES) for start in starts)
    assert (far - near).abs().max() > 0.01  # what makes the cascade remember the map that it starts from


def test_each_update_lowers_the_energy() -> None:
    observed, kernels, weights = random_field(2)
    start = torch.full_like(observed, 9.0)
    energies = [energy(mean_field(start, observed, kernels, weights, n).flatten(), observed, kernels, weights)
                for n in range(6)]  # fmt: skip
    assert energies == sorted(energies, reverse=True)
    assert energies[-1] < energies[0]


def test_two_pixels_by_hand() -> None:
    """K = [[0, 1], [1, 0]], weight 1, observed 1 and 4: (1 + y2) / 2 and (4 + y1) / 2 meet at 2 and 3."""
    kernel = torch.tensor([[[0.0, 1.0], [1.0, 0.0]]])
    observed, weight = torch.tensor([[[1.0, 4.0]]]), torch.ones(1, 1, 1)
    once = mean_field(observed, observed, [kernel], weight, 1)
    torch.testing.assert_close(once, torch.tensor([[[2.5, 2.5]]]))
    torch.testing.assert_close(mean_field(observed, observed, [kernel], weight, 60), torch.tensor([[[2.0, 3.0]]]))


def test_no_weight_no_change_and_a_plane_of_one_depth_stays() -> None:
    observed, kernels, weights = random_field(2)
    torch.testing.assert_close(mean_field(observed, observed, kernels, weights * 0, UPDATES), observed)
    flat = torch.full_like(observed, 2.5)
    torch.testing.assert_close(mean_field(flat, flat, kernels, weights, UPDATES), flat)


def test_depth_stays_between_the_nearest_and_the_farthest() -> None:
    observed, kernels, weights = random_field(3)
    fused = mean_field(observed, observed, kernels, weights * 100, UPDATES)
    assert observed.min() <= fused.min() and fused.max() <= observed.max()


def test_gradcheck_of_the_updates() -> None:
    observed, kernels, weights = random_field(2)
    observed, weights = observed.requires_grad_(), weights.requires_grad_()
    assert torch.autograd.gradcheck(lambda s, w: mean_field(s, s, kernels, w, 3), (observed, weights))


def test_the_kernel_of_features_is_gaussian() -> None:
    """Features 0, 1, 3 on a line: exp(-1/2), exp(-9/2), exp(-2)."""
    kernel = gaussian(torch.tensor([[[0.0, 1.0, 3.0]]]))
    torch.testing.assert_close(kernel[0, 0], torch.tensor([0.0, -0.5, -4.5]).exp())
    torch.testing.assert_close(kernel[0, 1, 2], torch.tensor(-2.0).exp())


def test_kernels_are_symmetric_and_alike_colours_pull_more() -> None:
    rgb = torch.zeros(1, 3, 32, 64)
    rgb[..., 32:] = 0.5  # a wall of two halves
    near, like = image_kernels(rgb, (4, 8))
    for kernel in (near, like):
        torch.testing.assert_close(kernel, kernel.transpose(1, 2))
        assert kernel.min() >= 0
    left, right = 3, 4  # neighbours in the first row, on either side of the edge
    assert like[0, left, left - 1] > 1000 * like[0, left, right]
    assert near[0, left, left - 1] == pytest.approx(float(near[0, left, right]), rel=0.2)


def test_a_balanced_kernel_of_equal_pixels_has_rows_of_sum_one() -> None:
    torch.testing.assert_close(balanced(torch.ones(1, 5, 5)).sum(-1), torch.ones(1, 5))


def test_a_fields_weights_start_as_published_and_are_symmetric() -> None:
    for maps in (1, 3):
        block = MeanFieldBlock(maps)
        torch.testing.assert_close(block.weights.sum(-1), torch.tensor(START_WEIGHTS)[:, None].expand(2, maps))
    with torch.no_grad():
        block.raw_weights.copy_(torch.randn(2, 3, 3) - 5)
    assert block.weights.min() > 0
    torch.testing.assert_close(block.weights, block.weights.transpose(1, 2))


def small(name: str) -> ModelConfig:
    return from_paper(name, {})[0].with_settings(backbone="test_efficientnet", size=(64, 96))


@pytest.mark.parametrize("name", MODELS)
def test_seams(name: str) -> None:
    torch.manual_seed(0)
    network = build_model(small(name)).eval()
    with torch.no_grad():
        estimate = network.estimate(torch.rand(2, 3, 60, 100))
    assert [tuple(aux_m.shape) for aux_m in estimate.aux_m] == [(2, 1, 8, 13)] * 3
    assert estimate.depth_m.shape == (2, 1, 60, 100)
    assert min(aux_m.min() for aux_m in estimate.aux_m) > 0


@pytest.mark.parametrize("short_numbers", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_the_answer_is_what_the_fields_make_of_the_side_maps(name: str, short_numbers: bool) -> None:
    """In float32, whatever autocast makes of the layers before."""
    torch.manual_seed(0)
    network, rgb = build_model(small(name)).eval(), torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        with torch.autocast("cpu", torch.bfloat16, enabled=short_numbers):
            estimate = network.estimate(rgb)
        sides, kernels = [aux_m.flatten(2) for aux_m in estimate.aux_m], image_kernels(rgb, (8, 12))
        if name == "mscrf-unified":
            together = torch.cat(sides, dim=1)
            fused = mean_field(together, together, kernels, network.field.weights, UPDATES)[:, 2]
        else:
            first = mean_field(sides[0], sides[1], kernels, network.fields[0].weights, UPDATES)
            fused = mean_field(first, sides[2], kernels, network.fields[1].weights, UPDATES)
    expected = torch.nn.functional.interpolate(fused.view(1, 1, 8, 12), size=(64, 96), mode="bilinear")
    torch.testing.assert_close(estimate.depth_m, expected)


def test_messages_mix_maps_by_their_weights() -> None:
    """Two maps of one pixel, kernel 1: map 0 hears 2 of map 1 only."""
    y, weights = torch.tensor([[[3.0], [5.0]]]), torch.tensor([[[0.0, 2.0], [0.0, 0.0]]])
    torch.testing.assert_close(messages(y, [torch.ones(1, 1, 1)], weights), torch.tensor([[[10.0], [0.0]]]))
