"""Eigen et al. 2014 and Eigen and Fergus 2015: their losses by hand, shapes at the seams, what passes no gradient."""

import math
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.losses import build_loss
from hqmd_cli.losses.scale_invariant import gradient_matching_loss, scale_invariant_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.base import DepthModel, Estimate
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.eigen2014 import COARSE_ONE, SMALLEST_SIDE, coarse_cells, normalised_pool
from hqmd_cli.models.table1.eigen2015 import Refinement, fourfold, twofold
from hqmd_cli.models.table1.eigen_layers import FullView, quarter, seen_photo
from hqmd_cli.training.loop import EpochReport, fit

NAMES = ["eigen2014", "eigen2015"]
SMALL = {"size": (64, 96), "backbone": "test_efficientnet"}


def depth_map(*rows: list[float]) -> Tensor:
    """Rows of exponents as (1, 1, H, W) float64 metres: e to the power of them."""
    return torch.tensor(rows, dtype=torch.float64).exp()[None, None]


def loss(name: str, pred_m: Tensor, depth_m: Tensor, valid: Tensor | None = None) -> float:
    everywhere = torch.ones_like(depth_m, dtype=torch.bool)
    return build_loss(name)(Estimate(pred_m), depth_m, everywhere if valid is None else valid).item()


# ln pred - ln truth: 1 3 / 0 2, so the mean of squares is 14/4 and the mean 6/4
PRED, TRUTH = depth_map([2, 3], [1, 1]), depth_map([1, 0], [1, -1])
SILOG = 14 / 4 - (6 / 4) ** 2 / 2
GRADIENT = ((3 - 1) ** 2 + (2 - 0) ** 2) / 2 + ((0 - 1) ** 2 + (2 - 3) ** 2) / 2  # two neighbours each way


def test_losses_by_hand() -> None:
    assert loss("silog", PRED, TRUTH) == pytest.approx(SILOG)
    assert loss("silog+grad", PRED, TRUTH) == pytest.approx(SILOG + GRADIENT)


def test_a_hole_takes_its_pixel_and_its_two_slopes() -> None:
    valid = torch.tensor([[True, True], [False, True]])[None, None]
    for hole_m in (0.0, math.nan, 1e6):
        truth_m = TRUTH.where(valid, hole_m)
        expected = (1 + 9 + 4) / 3 - ((1 + 3 + 2) / 3) ** 2 / 2
        assert loss("silog", PRED, truth_m, valid) == pytest.approx(expected)
        assert loss("silog+grad", PRED, truth_m, valid) == pytest.approx(expected + (3 - 1) ** 2 + (2 - 3) ** 2)


def test_no_neighbours_no_slopes() -> None:
    valid = torch.tensor([[True, False], [False, True]])[None, None]
    assert loss("silog+grad", PRED, TRUTH, valid) == pytest.approx((1 + 4) / 2 - (3 / 2) ** 2 / 2)


def test_pictures_weigh_their_valid_pixels_squared() -> None:
    """n of eq. 4 is one picture's, so that its scale is forgiven by itself; an empty one counts nothing."""
    pred_m, truth_m = torch.cat([PRED, PRED, PRED]), torch.cat([TRUTH, TRUTH, TRUTH])
    valid = torch.ones_like(pred_m, dtype=torch.bool)
    valid[1, :, 0] = False  # leaves 0 2
    valid[2] = False
    row = (0 + 4) / 2 - 1**2 / 2
    assert loss("silog", pred_m, truth_m, valid) == pytest.approx((16 * SILOG + 4 * row) / 20)
    slopes = (4 + 4 + 4) / 3 + (1 + 1) / 2
    assert loss("silog+grad", pred_m, truth_m, valid) == pytest.approx((16 * SILOG + 4 * row) / 20 + slopes)


def test_half_of_a_common_factor_is_forgiven() -> None:
    """d = ln f everywhere: (ln f)^2 - (ln f)^2 / 2, and no gradient at all."""
    for factor in (0.5, 2.0, 3.0):
        for name in ("silog", "silog+grad"):
            assert loss(name, factor * TRUTH, TRUTH) == pytest.approx(math.log(factor) ** 2 / 2)


@pytest.mark.parametrize("name", ["silog", "silog+grad"])
def test_gradients_of_the_losses(name: str) -> None:
    generator = torch.Generator().manual_seed(0)
    pred_m = 1 + 4 * torch.rand(2, 1, 3, 4, generator=generator, dtype=torch.float64)
    truth_m = 1 + 4 * torch.rand(2, 1, 3, 4, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 1, 3, 4, generator=generator) > 0.2
    truth_m = truth_m.where(valid, math.nan)
    pred_m.requires_grad_(True)
    loss_of = build_loss(name)
    assert torch.autograd.gradcheck(lambda pred: loss_of(Estimate(pred), truth_m, valid), pred_m)
    (gradient,) = torch.autograd.grad(loss_of(Estimate(pred_m), truth_m, valid), pred_m)
    assert torch.equal(gradient != 0, valid)


def test_the_terms_take_the_difference_alone() -> None:
    d = torch.tensor([[1.0, 3.0], [0.0, 2.0]])[None, None]
    valid = torch.ones_like(d, dtype=torch.bool)
    assert scale_invariant_loss(d, valid).item() == pytest.approx(SILOG)
    assert scale_invariant_loss(-d, valid).item() == pytest.approx(SILOG)
    assert gradient_matching_loss(d + 5, valid).item() == pytest.approx(GRADIENT)


@pytest.mark.parametrize("name", ["silog", "silog+grad"])
def test_a_batch_of_holes_is_refused(name: str) -> None:
    with pytest.raises(HqmdError, match="no valid depth"):
        loss(name, PRED, TRUTH, torch.zeros_like(TRUTH, dtype=torch.bool))


def shapes_of(name: str, parts_of: dict[str, str]) -> dict[str, tuple[int, ...]]:
    """Shape without the batch of what each named part gives, at the paper's size, without values."""
    with torch.device("meta"):
        network = build_model(from_paper(name, {})[0], None).eval()
    assert isinstance(network, DepthModel)
    shapes: dict[str, tuple[int, ...]] = {}
    for part, path in parts_of.items():
        network.get_submodule(path).register_forward_hook(
            lambda _, __, out, part=part: shapes.update({part: tuple(out.shape[1:])})
        )
    estimate = network.estimate(torch.empty(1, 3, 228, 304, device="meta"))
    assert estimate.depth_m.shape == (1, 1, 228, 304)
    return shapes | {"further": tuple(estimate.aux_m[0].shape[1:])}


def test_eigen2014_at_its_papers_size() -> None:
    """Figure 1: 37 x 27, 18 x 13 (three), 8 x 6, 4096, 74 x 55; 64 channels with the coarse map among them."""
    shapes = shapes_of(
        "eigen2014",
        {f"{i}": f"coarse.{i}" for i in (3, 7, 9, 11, 14)}
        | {"6": "view.hidden", "map": "view", "see": "see", "refine": "refine", "logits": "logits"},
    )
    grid = (55, 74)
    assert [shapes[i] for i in ["3", "7", "9", "11", "14"]] == [
        (96, 27, 37), (256, 13, 18), (384, 13, 18), (384, 13, 18), (256, 6, 8),
    ]  # fmt: skip
    assert (shapes["6"], shapes["map"], shapes["further"]) == ((4096,), (1, *grid), (1, *grid))
    assert (shapes["see"], shapes["refine"], shapes["logits"]) == ((63, *grid), (64, *grid), (1, *grid))


def test_eigen2015_at_its_papers_size() -> None:
    """Figure 1, with VGG: 9 x 7 cells, 4096, 64 of 19 x 14, 74 x 55, 147 x 109."""
    shapes = shapes_of(
        "eigen2015",
        {"1.6": "view.hidden", "1.7": "view", "2.1": "scale2.see", "2.4": "scale2.refine", "2.5": "scale2.logits"}
        | {"3.1": "scale3.see", "3.3": "scale3.refine", "3.4": "scale3.logits"},
    )
    second, third = (55, 74), (109, 147)
    assert (shapes["1.6"], shapes["1.7"]) == ((4096,), (64, 14, 19))
    assert (shapes["2.1"], shapes["2.4"], shapes["2.5"]) == ((96, *second), (64, *second), (1, *second))
    assert (shapes["3.1"], shapes["3.3"], shapes["3.4"]) == ((96, *third), (64, *third), (1, *third))
    assert shapes["further"] == (1, *second)


def test_layers_of_scales_2_and_3() -> None:
    for coarse, layers in ((64, 4), (1, 3)):
        scale = Refinement(seen_photo(96, 2), twofold, coarse, layers)
        convolutions = [m for m in [*scale.refine, scale.logits] if isinstance(m, nn.Conv2d)]
        assert [c.kernel_size for c in convolutions] == [(5, 5)] * layers
        assert convolutions[0].in_channels == 96 + coarse and convolutions[-1].out_channels == 1
        assert all(before.out_channels == 64 == after.in_channels for before, after in pairwise(convolutions))


def test_cells_are_those_of_the_layers() -> None:
    for side in range(SMALLEST_SIDE, SMALLEST_SIDE + 40):
        with torch.device("meta"), torch.no_grad():
            network = build_model(from_paper("eigen2014", {"model": {"size": (side, SMALLEST_SIDE)}})[0])
            seen = torch.empty(1, 3, side, SMALLEST_SIDE)
            assert network.coarse(seen).shape[-2:] == (coarse_cells(side), 1)
            assert network.see(seen).shape[-2:] == (quarter(side), quarter(SMALLEST_SIDE))


def test_too_small_a_size_is_refused() -> None:
    with pytest.raises(HqmdError, match="eigen2014 needs a size of 63"):
        build_model(from_paper("eigen2014", {"model": {"size": (62, 96)}})[0])


@pytest.mark.parametrize("size", [(32, 32), (33, 61), (40, 95), (73, 71)])
def test_eigen2015_of_any_size(size: tuple[int, int]) -> None:
    """Maps are cropped after they were enlarged, so they have to be large enough."""
    network = build_model(from_paper("eigen2015", {"model": {**SMALL, "size": size}})[0]).eval()
    with torch.no_grad():
        assert network(torch.rand(1, 3, 50, 60)).shape == (1, 1, 50, 60)


def test_enlarged_by_four_as_the_authors_do() -> None:
    """Cells lie at 1 and 5; between them it is linear, beyond them it falls to 0 within four pixels."""
    row = torch.tensor([[4.0, 8.0]])[None, None]
    expected = torch.tensor([3.0, 4, 5, 6, 7, 8, 6, 4, 2])
    torch.testing.assert_close(fourfold(row, torch.Size((3, 9)))[0, 0, 1], expected)
    torch.testing.assert_close(fourfold(row, torch.Size((3, 9)))[0, 0, 0], 0.75 * expected)


def test_enlarged_by_two_as_the_authors_do() -> None:
    row = torch.tensor([[4.0, 8.0]])[None, None]
    assert twofold(row, torch.Size((2, 3)))[0, 0].tolist() == [[4, 4, 8], [4, 4, 8]]


def test_cells_are_divided_by_their_neighbours_in_five_channels() -> None:
    """x (2 + 1e-4 sum x^2)^-.75, x as 0..255 make it, two channels on either side, as far as there are any."""
    levels = torch.tensor([100.0, 50, 0, 30, 200, 80])
    divided = normalised_pool()[1](levels.view(1, 6, 1, 1) / COARSE_ONE).flatten() * COARSE_ONE
    for channel, neighbours in ((0, levels[:3]), (3, levels[1:6])):
        by = (2 + 1e-4 * neighbours.square().sum()) ** 0.75
        assert divided[channel].item() == pytest.approx((levels[channel] / by).item())


def test_what_scale_2_adds_at_each_place() -> None:
    torch.manual_seed(0)
    network = build_model(from_paper("eigen2015", {"model": SMALL})[0]).eval()
    rgb = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        before = network.estimate(rgb).aux_m[0]
        network.place[0, 3, 5] = 1.0
        factor = network.estimate(rgb).aux_m[0] / before
    assert factor[0, 0, 3, 5].item() == pytest.approx(math.e)
    assert (factor != 1).sum() == 1


def test_one_pixel_changes_the_whole_full_view() -> None:
    torch.manual_seed(0)
    view = FullView(2, (3, 4), 5, (6, 7)).eval()
    x = torch.randn(1, 2, 3, 4)
    other = x.clone()
    other[0, 0, 0, 0] += 1
    with torch.no_grad():
        assert view(x).shape == (1, 5, 6, 7)
        assert (view(x) != view(other)).all()


@pytest.mark.parametrize("name", NAMES)
def test_the_last_map_teaches_only_the_last_part(name: str) -> None:
    """As when the authors train by parts: what is coarse learns from its own map."""
    torch.manual_seed(0)
    network = build_model(from_paper(name, {"model": SMALL})[0])
    estimate = network.estimate(torch.rand(2, 3, 64, 96))
    every = {n for n, _ in network.named_parameters()}
    last = {n for n in every if n.startswith(("scale3.", "see.", "refine.", "logits."))}
    for depth_m, learning in ((estimate.depth_m, last), (estimate.aux_m[0], every - last)):
        network.zero_grad()
        depth_m.sum().backward(retain_graph=True)
        assert {n for n, p in network.named_parameters() if p.grad is not None} == learning


@pytest.mark.slow
def test_our_network_learns_by_their_loss(pairs: Path, tmp_path: Path) -> None:
    model = ModelConfig().with_settings(
        backbone="mobilenetv3_small_050",
        size=(48, 64),
        output_stride=32,
        aspp_channels=16,
        fuse_channels=16,
        activation="exp",
    )
    train = TrainConfig().with_settings(loss="silog+grad", batch_size=2, epochs=4, lr=2e-3)
    reports = list(fit(model, train, *open_training_data(pairs), tmp_path / "run", backbone_weights="none"))
    first, *_, last = [report for report in reports if isinstance(report, EpochReport)]
    assert last.loss < 0.9 * first.loss
