"""D3-Net and the network of Moukari et al., at their papers' sizes, and the losses l1 and l2."""

import pytest
import torch
from torch import Tensor

from hqmd_cli.losses.regression import l1, l2
from hqmd_cli.models import build_model
from hqmd_cli.models.base import DepthModel
from hqmd_cli.models.recipes import from_paper


def laid_out(name: str) -> DepthModel:
    """As the paper has it, without values: shapes only."""
    with torch.device("meta"):
        network = build_model(from_paper(name, {})[0], None).eval()
    network.logits.__class__ = torch.nn.Conv2d  # without values there is no autocast to ask about
    return network


def shapes_of(network: DepthModel, parts: list[torch.nn.Module]) -> list[tuple[int, ...]]:
    """What `parts` give for one photo of the paper's size."""
    shapes: list[tuple[int, ...]] = []
    for part in parts:
        part.register_forward_hook(lambda _, __, out: shapes.append(tuple(out.shape[1:])))
    network(torch.empty(1, 3, *network.config.size, device="meta"))
    return shapes


@pytest.mark.slow
def test_d3net_seams() -> None:
    network = laid_out("d3net")
    assert shapes_of(network, [*network.blocks, network.logits]) == [
        (512, 16, 20), (256, 32, 40), (128, 64, 80), (64, 128, 160), (64, 256, 320), (1, 256, 320)
    ]  # fmt: skip
    network = laid_out("d3net")
    assert shapes_of(network, list(network.skips.values())) == [
        (512, 16, 20), (256, 32, 40), (128, 64, 80), (64, 128, 160)
    ]  # fmt: skip


@pytest.mark.slow
def test_d3net_learns_to_halve_in_a_densenet_only() -> None:
    net = laid_out("d3net").backbone.net
    assert [tuple(p.shape) for p in net["features_pool0"].parameters()] == [(64, 64, 4, 4), (64,), (64,)]
    config = from_paper("d3net", {"model": {"backbone": "test_efficientnet"}})[0]
    assert build_model(config).backbone.channels == [16, 24, 32, 48, 64]


@pytest.mark.slow
def test_d3net_drops_out_in_the_two_coarsest_blocks() -> None:
    rates = [[m.p for m in block if isinstance(m, torch.nn.Dropout)] for block in laid_out("d3net").blocks]
    assert rates == [[0.5, 0.5], [0.5, 0.5], [0, 0], [0, 0], [0, 0]]


def test_moukari_seams() -> None:
    network = laid_out("moukari")
    assert network.backbone.high_stride == 16 and len(network.head.branches) == 5
    assert shapes_of(network, [network.head, *network.ups, network.logits]) == [
        (256, 15, 19), (128, 15, 19), (64, 29, 38), (32, 57, 76), (1, 57, 76)
    ]  # fmt: skip


def depth_map(*rows: list[float]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)[None, None]


# Errors 1, 2, 3 m; the fourth pixel is a hole.
PRED, TRUTH = depth_map([2, 4], [5, 9]), depth_map([1, 2], [8, 0])


@pytest.mark.parametrize(("loss", "expected"), [(l1, (1 + 2 + 3) / 3), (l2, (1 + 4 + 9) / 3)])
def test_plain_losses_by_hand(loss, expected: float) -> None:
    assert loss(PRED, TRUTH, TRUTH > 0).item() == pytest.approx(expected)
    assert loss(TRUTH, TRUTH, TRUTH > 0).item() == 0


@pytest.mark.parametrize("loss", [l1, l2])
def test_plain_losses_gradcheck(loss) -> None:
    valid = TRUTH > 0
    assert torch.autograd.gradcheck(lambda pred: loss(pred, TRUTH, valid), PRED.clone().requires_grad_())


def test_the_plain_losses_of_a_system_count_side_maps_alike() -> None:
    """Half a metre off in three of four maps: l2 adds up."""
    from hqmd_cli.losses import build_loss
    from hqmd_cli.models.base import Estimate

    truth = torch.full((1, 1, 4, 4), 2.0)
    off = Estimate(truth, aux_m=(truth[..., :2, :2] + 0.5,) * 3)
    assert build_loss("l2")(off, truth, truth > 0).item() == pytest.approx(0.75)
