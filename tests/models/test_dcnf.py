"""DCNF's superpixels, similarities and field, and Gaussian fields as such: against brute force on tiny graphs.

What its authors' own code says of the same numbers, benchmarks/table1_checks/dcnf.py compares.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.export.onnx_graph import export_file
from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.dcnf import Dcnf, interaction, pool
from hqmd_cli.models.table1.gaussian_field import GaussianField, negative_log_likelihood, node_means
from hqmd_cli.models.table1.superpixels import borders, histograms, luv, similarities, slic, textures


def doubles(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))


def dcnf(**settings: object) -> Dcnf:
    """On a tiny backbone, the same each time."""
    torch.manual_seed(0)
    return build_model(ModelConfig().with_settings(backbone="test_resnet", system="dcnf", output_stride=32, **settings))  # type: ignore[return-value]


def scene(height: int, width: int) -> Tensor:
    """Two walls of different colours, with noise: (1, 3, H, W)."""
    rgb = 0.05 * torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(1))
    rgb[:, 0, :, : width // 2 - 3] += 0.9
    rgb[:, 1, :, width // 2 - 3 :] += 0.5
    return rgb


# ---- the field ----

ALIKE = torch.tensor([[0, 0.8, 0.3], [0.8, 0, 0], [0.3, 0, 0]], dtype=torch.float64)  # superpixel 0 is beside 1 and 2


def liu_energy(y: Tensor, z: Tensor, beta: float) -> Tensor:
    """Their sum as it is written, over both orders of a pair. y (..., 3)."""
    pairs = sum(0.5 * beta * ALIKE[p, q] * (y[..., p] - y[..., q]) ** 2 for p in range(3) for q in range(3) if p != q)
    return ((y - z) ** 2).sum(dim=-1) + pairs


def liu_field(z: Tensor, beta: float) -> GaussianField:
    a = interaction(torch.tensor([beta], dtype=torch.float64), ALIKE[None, None])
    return GaussianField.from_energy(torch.zeros(1, 1, 1, dtype=torch.long), 2 * a, 2 * z[None])


def test_the_mode_is_the_least_energy_by_brute_force() -> None:
    z = torch.tensor([0.2, 1.5, -0.7], dtype=torch.float64)
    mean = liu_field(z, 1.7).mean[0]
    y = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    search = torch.optim.LBFGS(
        [y], max_iter=200, tolerance_grad=1e-12, tolerance_change=0, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        energy = liu_energy(y, z, 1.7)
        energy.backward()
        return energy

    search.step(closure)
    torch.testing.assert_close(mean, y.detach(), atol=1e-7, rtol=0)
    assert (mean - z).abs().max() > 0.1  # the pairs did something
    torch.testing.assert_close(mean.sum(), z.sum())  # and left the sum alone: A's rows and columns sum to 1


def test_the_likelihood_is_the_energy_normalised_by_a_sum_over_a_lattice() -> None:
    """Z of two superpixels, 0 and 1, by adding up 600 x 600 points; exp(-E) is 1e-20 at the border."""
    a = interaction(torch.tensor([1.7], dtype=torch.float64), ALIKE[None, None, :2, :2])
    z = torch.tensor([[0.2, 1.5]], dtype=torch.float64)
    field = GaussianField.from_energy(torch.zeros(1, 1, 1, dtype=torch.long), 2 * a, 2 * z)
    side = torch.linspace(-6, 8, 600, dtype=torch.float64)
    y = torch.cartesian_prod(side, side)
    energy = (y - z).square().sum(dim=1) + 1.7 * 0.8 * (y[:, 0] - y[:, 1]) ** 2
    step = (side[1] - side[0]).item()
    log_z = math.log((-energy).exp().sum().item() * step**2)
    seen = torch.tensor([[1.0, -0.4]], dtype=torch.float64)
    expected = 1.0 * ((seen - z) ** 2).sum().item() + 1.7 * 0.8 * 1.4**2 + log_z
    found = negative_log_likelihood(field, seen, torch.ones(1, 2, dtype=torch.bool))
    assert found.item() == pytest.approx(expected, abs=1e-9)


def test_a_hole_is_integrated_out() -> None:
    """Three superpixels, the middle value unknown: the density summed over all it could be."""
    z = torch.tensor([0.2, 1.5, -0.7], dtype=torch.float64)
    field = liu_field(z, 1.7)
    side = torch.linspace(-8, 10, 4000, dtype=torch.float64)
    values = torch.tensor([0.6, 0, -0.1], dtype=torch.float64).repeat(len(side), 1)
    values[:, 1] = side
    whole = torch.ones(len(side), 3, dtype=torch.bool)
    many = GaussianField(*(part.expand(len(side), *part.shape[1:]) for part in vars(field).values()))
    density = (-negative_log_likelihood(many, values, whole)).exp().sum() * (side[1] - side[0])
    spoilt = torch.tensor([[0.6, math.nan, -0.1]], dtype=torch.float64)
    found = negative_log_likelihood(field, spoilt, torch.tensor([[True, False, True]]))
    assert found.item() == pytest.approx(-math.log(density.item()), abs=1e-9)


def test_gradcheck_of_the_likelihood_with_a_hole() -> None:
    known = torch.tensor([[True, False, True]])

    def loss(z: Tensor, beta: Tensor, values: Tensor) -> Tensor:
        a = interaction(beta, ALIKE[None, None])
        field = GaussianField.from_energy(torch.zeros(1, 1, 1, dtype=torch.long), 2 * a, 2 * z)
        return negative_log_likelihood(field, values, known)

    beta = torch.tensor([1.7], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        loss, (doubles(1, 3).requires_grad_(), beta, doubles(1, 3, seed=1).requires_grad_())
    )


@pytest.mark.parametrize("name", ["crf", "mrf-gaussian", "mrf-laplacian"])
def test_gradcheck_on_the_depth_of_any_network(name: str) -> None:
    depth = 1 + 4 * torch.rand(2, 1, 6, 7, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    valid = torch.rand(2, 1, 6, 7, generator=torch.Generator().manual_seed(3)) > 0.3
    pred = (depth + 0.5 * doubles(2, 1, 6, 7).abs()).requires_grad_()
    assert torch.autograd.gradcheck(lambda pred: build_loss(name)(Estimate(pred), depth, valid), pred)


@pytest.mark.parametrize("name", ["crf", "mrf-gaussian", "mrf-laplacian"])
def test_invalid_pixels_change_nothing_and_better_depth_scores_lower(name: str) -> None:
    depth = 1 + 4 * torch.rand(2, 1, 40, 52, generator=torch.Generator().manual_seed(2))
    valid = torch.ones_like(depth, dtype=torch.bool)
    valid[:, :, :9, 20:30] = False
    spoilt = depth.clone()
    spoilt[~valid] = math.nan
    losses = [build_loss(name)(Estimate(depth * (1 + share)), spoilt, valid).item() for share in (0, 0.05, 0.3)]
    assert losses == sorted(losses)
    assert losses[0] < losses[1] < losses[2]
    assert build_loss(name)(Estimate(depth * 1.3), depth, valid).item() == losses[2]
    with pytest.raises(HqmdError, match="no valid depth pixel"):
        build_loss(name)(Estimate(depth), depth, torch.zeros_like(valid))


def test_the_fixed_field_of_crf_by_hand() -> None:
    """2 x 2 patches of a pixel each, A = I + L: 1 + 2 on the diagonal, -1 for neighbours, determinant 3 x 3 x 5."""
    logs = torch.tensor([[0.1, 0.2], [0.0, -0.3]], dtype=torch.float64)[None, None]
    found = build_loss("crf")(Estimate(torch.ones_like(logs)), logs.exp(), torch.ones_like(logs, dtype=torch.bool))
    squares = (0.1**2 + 0.2**2 + 0 + 0.3**2) + (0.1**2 + 0.5**2 + 0.1**2 + 0.3**2)
    expected = squares + 2 * math.log(math.pi) - math.log(45) / 2
    assert found.item() == pytest.approx(expected / 4, abs=1e-12)


# ---- superpixels ----


def test_superpixels_follow_the_wall_and_not_each_others_pictures() -> None:
    rgb = torch.cat([scene(48, 64), torch.rand(1, 3, 48, 64, generator=torch.Generator().manual_seed(4))])
    nodes, count = slic(rgb, 8)
    assert (nodes.shape, count) == ((2, 48, 64), 6 * 8)
    alone, _ = slic(rgb[1:], 8)
    assert torch.equal(nodes[1:], alone)
    wall = torch.zeros(1, 1, 48, 64)
    wall[..., 29:] = 1  # width // 2 - 3, no border of the grid
    shares = node_means(wall, nodes[:1], count)[0]
    assert ((shares == 0) | (shares == 1)).all()


@pytest.mark.parametrize(("height", "width", "region"), [(32, 32, 8), (33, 47, 5), (32, 200, 7)])
def test_superpixels_of_any_size(height: int, width: int, region: int) -> None:
    nodes, count = slic(torch.rand(1, 3, height, width, generator=torch.Generator().manual_seed(5)), region)
    assert count == math.ceil(height / region) * math.ceil(width / region)
    assert nodes.min() >= 0
    assert nodes.max() < count
    assert len(nodes.unique()) > 0.8 * count
    rows = nodes[0] // math.ceil(width / region)
    home = torch.arange(height)[:, None] // region
    assert (rows - home).abs().max() <= 1  # within the four around a pixel


def test_pooling_is_the_mean_of_the_enlarged_maps() -> None:
    maps, nodes = torch.rand(2, 3, 4, 5), torch.randint(0, 6, (2, 22, 31), generator=torch.Generator().manual_seed(6))
    enlarged = F.interpolate(maps, size=(22, 31), mode="nearest-exact")
    torch.testing.assert_close(pool(maps, nodes, 6), node_means(enlarged, nodes, 6)[0].transpose(1, 2))
    assert torch.equal(pool(maps, nodes, 7)[:, 6], torch.zeros(2, 3))  # an empty superpixel


def test_borders_are_those_of_the_map() -> None:
    nodes = torch.tensor([[[0, 0, 1], [2, 2, 1], [3, 2, 1]]])
    expected = torch.zeros(5, 5)
    for one, other in ((0, 1), (0, 2), (1, 2), (2, 3)):
        expected[one, other] = expected[other, one] = 1
    assert torch.equal(borders(nodes, 5)[0], expected)


def test_similarities_are_one_for_twins_and_small_across_a_wall() -> None:
    rgb = torch.zeros(1, 3, 32, 48)
    rgb[:, :, :, 16:32], rgb[:, 0, :, 32:] = 0, 1.0
    nodes = (torch.arange(48) // 16).expand(1, 32, 48)
    alike = similarities(rgb, nodes, 4)
    assert torch.equal(alike, alike.transpose(2, 3))
    torch.testing.assert_close(alike[0, 1:, 0, 1], torch.ones(2))  # twins; texture sees the black around the photo
    # Histograms differ by 1 in four of 33 bins... of one channel: two bins, so a distance of sqrt(2 / 33)
    assert alike[0, 1, 1, 2].item() == pytest.approx(math.exp(-25 * math.sqrt(2 / 33)), rel=1e-5)
    assert alike[0, 2, 1, 2] < 0.01
    assert alike[0, :, 0, 2].count_nonzero() == 0  # no common border
    assert alike[0, :, 3].count_nonzero() == 0  # an empty one
    assert alike.diagonal(dim1=2, dim2=3).count_nonzero() == 0


def test_colours_and_histograms_by_hand() -> None:
    white = luv(torch.ones(1, 3, 1, 1)).flatten()
    torch.testing.assert_close(white, torch.tensor([100.0, 0, 0]), atol=2e-2, rtol=0)
    assert torch.equal(luv(torch.zeros(1, 3, 1, 1)).flatten(), torch.zeros(3))
    rgb = torch.tensor([0, 22, 23, 255]).view(1, 1, 1, 4).expand(1, 3, 1, 4) / 255
    red = histograms(rgb, torch.zeros(1, 1, 4, dtype=torch.long), 1)[0, :11, 0]
    torch.testing.assert_close(red, torch.tensor([2, 1, *[0] * 8, 1]) / 4)  # 256 / 11 = 23.3, centres half a level off


def test_a_flat_box_has_the_flat_pattern() -> None:
    rgb = torch.full((1, 3, 40, 40), 0.5)
    rgb[:, :, 20:] = torch.linspace(0, 1, 20).view(20, 1)  # brighter downwards: SE, S, SW are set, bits 1 to 3
    found = textures(rgb, (torch.arange(40)[:, None] // 20).expand(1, 40, 40), 2)
    assert found.shape == (1, 58, 2)
    assert found[0, 56, 0] == 1
    assert found[0, 7 * 1 + 3 - 1, 1] == 1


# ---- the system ----


@pytest.mark.parametrize("size", [(32, 32), (33, 47), (64, 33), (40, 130)])
def test_depth_of_any_size_of_photo(size: tuple[int, int]) -> None:
    network, rgb = dcnf().eval(), torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(7))
    with torch.no_grad():
        both, one = network(rgb), network(rgb[1:])
    assert both.shape == (2, 1, *size)
    assert both.isfinite().all()
    assert both.min() > 0
    torch.testing.assert_close(both[1:], one, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shade", [0.0, 1.0])
def test_a_photo_of_one_colour(shade: float) -> None:
    network = dcnf()
    estimate = network.estimate(torch.full((1, 3, 48, 64), shade))
    loss = build_loss("crf")(estimate, torch.full((1, 1, 48, 64), 2.0), torch.ones(1, 1, 48, 64, dtype=torch.bool))
    loss.backward()
    assert loss.isfinite()
    assert all(p.grad is None or p.grad.isfinite().all() for p in network.parameters())


@pytest.mark.slow
def test_gradient_reaches_every_parameter_and_bf16_training_solves() -> None:
    network = dcnf().train()
    with torch.autocast("cpu", torch.bfloat16):
        estimate = network.estimate(scene(64, 96).repeat(2, 1, 1, 1))
    depth = 2 + torch.rand(2, 1, 64, 96, generator=torch.Generator().manual_seed(8))
    build_loss("crf")(estimate, depth, torch.ones_like(depth, dtype=torch.bool)).backward()
    assert [n for n, p in network.named_parameters() if p.grad is None or not p.grad.isfinite().all()] == []
    assert network.pairwise.grad.count_nonzero() == 3


def test_the_network_predicts_the_mode_of_the_field_it_is_trained_by() -> None:
    network = dcnf().eval()
    with torch.no_grad():
        estimate = network.estimate(scene(64, 96))
    field = estimate.parts["field"]
    expected = field.mean[0][field.nodes[0]].exp().float()
    torch.testing.assert_close(estimate.depth_m[0, 0], expected)
    assert torch.linalg.eigvalsh(field.precision[0]).min() >= 2 - 1e-9  # 2 (I + L)


def test_rescaling_is_exact() -> None:
    network = dcnf().eval()
    with torch.no_grad():
        before = network(scene(48, 64))
        network.rescale(1.7, 1.2)
        torch.testing.assert_close(network(scene(48, 64)), 1.7 * before**1.2, rtol=1e-4, atol=0)


def test_saved_and_reopened_by_config_alone(tmp_path: Path) -> None:
    network = dcnf(size=(48, 64)).eval()
    save_checkpoint(
        tmp_path / "dcnf", network, CheckpointInfo(ModelConfig(network.config), TrainConfig().with_settings(loss="crf"))
    )
    again, _ = load_checkpoint(tmp_path / "dcnf", torch.device("cpu"))
    with torch.no_grad():
        assert torch.equal(again(scene(48, 64)), network(scene(48, 64)))


def test_export_says_why_not(tmp_path: Path) -> None:
    with pytest.raises(HqmdError, match=r"dcnf cannot become ONNX: .* system of equations"):
        export_file(dcnf(), ModelConfig(), tmp_path / "model.onnx")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_papers_settings() -> None:
    model, training = from_paper("dcnf", {})
    assert (model.network.backbone, training.objective.loss, training.optimization.optimizer) == ("vgg16", "crf", "sgd")
    network = build_model(ModelConfig().with_settings(backbone="vgg16", system="dcnf", output_stride=32), None)
    shapes = [tuple(p.shape) for p in network.backbone.net.parameters() if p.ndim == 4]  # type: ignore[union-attr]
    assert len(shapes) == 13  # VGG-16's convolutions, the first 31 layers with ReLU and pooling
    assert network.backbone.high_stride == 32  # type: ignore[union-attr]
