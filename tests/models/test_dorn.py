"""DORN (Fu et al. 2018): intervals of depth, the loss by hand, shapes at the seams, and our network with its head."""

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.config.network import ModelConfig, NetworkConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_model
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.ordinal import (
    DISCRETISATIONS,
    OrdinalHead,
    counted,
    entropy,
    from_pairs,
    labels_of,
    metres_of,
    spacing_increasing,
    uniform,
)
from hqmd_cli.models.recipes import from_paper
from hqmd_cli.models.table1.dorn import DORN, FullImageEncoder
from hqmd_cli.training.loop import EpochReport, fit

OURS = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(48, 64), output_stride=32, aspp_channels=16, fuse_channels=16, depth_bins=20
)
THRESHOLDS = torch.tensor([1.0, 2.0, 4.0, 8.0])  # SID of three intervals


def column(*logits: float) -> Tensor:
    """One pixel, (1, K, 1, 1) float64."""
    return torch.tensor(logits, dtype=torch.float64).view(1, -1, 1, 1)


def answered(logits: Tensor, thresholds_m: Tensor = THRESHOLDS) -> Estimate:
    return Estimate(metres_of(counted(logits), thresholds_m), parts={"ordinal": logits, "thresholds_m": thresholds_m})


def certain(labels: Tensor, bins: int) -> Tensor:
    """Logits (B, K, H, W) of a network that knows the labels (B, 1, H, W)."""
    return torch.where(torch.arange(bins).view(1, -1, 1, 1) < labels, 50.0, -50.0)


def test_thresholds_by_hand() -> None:
    torch.testing.assert_close(spacing_increasing(1, 8, 3), THRESHOLDS)
    torch.testing.assert_close(uniform(1, 7, 3), torch.tensor([1.0, 3.0, 5.0, 7.0]))


def test_the_authors_intervals_for_nyu() -> None:
    """demo_nyuv2.py: a label l is exp(l / 25 - 0.36) metres."""
    config = NetworkConfig()
    thresholds_m = spacing_increasing(*config.depth_range_m, config.depth_bins)
    torch.testing.assert_close(thresholds_m, (torch.arange(69) / 25 - 0.36).exp(), rtol=5e-4, atol=0)


def test_labels_by_hand() -> None:
    depth_m = torch.tensor([0.2, 1.0, 1.99, 2.0, 3.9, 4.0, 7.9, 8.0, 90.0])
    assert labels_of(depth_m, THRESHOLDS).tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 2]
    assert metres_of(torch.tensor([0, 1, 2]), THRESHOLDS).tolist() == [1.5, 3, 6]


@pytest.mark.parametrize("bins", [2, 20, 68])
@pytest.mark.parametrize("name", DISCRETISATIONS)
def test_discretisation_there_and_back(name: str, bins: int) -> None:
    thresholds_m = DISCRETISATIONS[name](0.7, 10.0, bins)
    assert thresholds_m.shape == (bins + 1,) and (thresholds_m.diff() > 0).all()
    labels = torch.arange(bins)
    assert torch.equal(labels_of(metres_of(labels, thresholds_m), thresholds_m), labels)
    depth_m = torch.linspace(0.7, 9.999, 1000)
    back_m, widths_m = metres_of(labels_of(depth_m, thresholds_m), thresholds_m), thresholds_m.diff()
    assert ((back_m - depth_m).abs() <= widths_m[labels_of(depth_m, thresholds_m)] / 2 + 1e-5).all()


@pytest.mark.parametrize("name", DISCRETISATIONS)
def test_what_is_wide_is_equal(name: str) -> None:
    thresholds_m = DISCRETISATIONS[name](0.7, 10.0, 40)
    steps = thresholds_m.log().diff() if name == "sid" else thresholds_m.diff()
    torch.testing.assert_close(steps, steps[:1].expand(40), rtol=1e-3, atol=1e-6)


def test_counting() -> None:
    """Each decision counts, in whatever order; none or all of them still give an interval."""
    for logits, label in ((column(-1, -1, -1), 0), (column(1, -1, -1), 1), (column(-1, 2, 0), 2), (column(1, 1, 1), 2)):
        assert counted(logits).tolist() == [[[[label]]]]


def test_a_pair_of_channels_is_one_logit() -> None:
    """Eq. 3: P(l > k) is the second of two in a softmax, channels 2k and 2k + 1."""
    channels = torch.randn(2, 10, 3, 4, generator=torch.Generator().manual_seed(0))
    pairs = channels.view(2, 5, 2, 3, 4).softmax(dim=2)[:, :, 1]
    torch.testing.assert_close(from_pairs(channels).sigmoid(), pairs)
    enlarged = F.interpolate(channels, size=(7, 9), mode="bilinear", align_corners=False)
    torch.testing.assert_close(
        F.interpolate(from_pairs(channels), size=(7, 9), mode="bilinear", align_corners=False), from_pairs(enlarged)
    )


def test_the_loss_by_hand() -> None:
    """A pixel of label 1: "l > 0" is true, the other two are false. P = 3/4, 1/5, 1/2."""
    logits = column(math.log(3), -math.log(4), 0)
    expected = -(math.log(3 / 4) + math.log(4 / 5) + math.log(1 / 2))
    assert entropy(logits, torch.tensor([[[[1]]]])).item() == pytest.approx(expected)
    depth_m = torch.full((1, 1, 1, 1), 2.5, dtype=torch.float64)
    loss = build_loss("ordinal")(answered(logits), depth_m, torch.ones_like(depth_m, dtype=torch.bool))
    assert loss.ndim == 0 and loss.item() == pytest.approx(expected)


def test_the_loss_is_the_mean_over_valid_pixels() -> None:
    logits = torch.cat([column(math.log(3), -9, -9), column(-5, -5, -5), column(0, 0, 0)], dim=3)  # (1, 3, 1, 3)
    depth_m = torch.tensor([2.5, 0.0, 7.0], dtype=torch.float64).view(1, 1, 1, 3)
    first = -math.log(3 / 4) + 2 * math.log(1 + math.exp(-9))
    loss = build_loss("ordinal")(answered(logits), depth_m, depth_m > 0)
    assert loss.item() == pytest.approx((first + 3 * math.log(2)) / 2)


def test_who_knows_loses_nothing_and_the_farther_off_the_more() -> None:
    thresholds_m = spacing_increasing(0.7, 10, 20)
    depth_m = torch.linspace(0.8, 9.5, 24).view(1, 1, 4, 6)
    labels, valid = labels_of(depth_m, thresholds_m), torch.ones(1, 1, 4, 6, dtype=torch.bool)

    def loss(off: int) -> float:
        logits = certain((labels + off).clamp(0, 19), 20)
        return build_loss("ordinal")(answered(logits, thresholds_m), depth_m, valid).item()

    assert loss(0) < 1e-6 < loss(1) < loss(2) < loss(5)
    torch.testing.assert_close(counted(certain(labels, 20)), labels)


def test_gradients_of_the_loss() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 3, 2, 3, generator=generator, dtype=torch.float64, requires_grad=True)
    depth_m = 1 + 7 * torch.rand(2, 1, 2, 3, generator=generator, dtype=torch.float64)
    valid = torch.rand(2, 1, 2, 3, generator=generator) > 0.3
    assert 0 < valid.sum() < 12
    loss_of = build_loss("ordinal")
    assert torch.autograd.gradcheck(lambda x: loss_of(answered(x), depth_m, valid), logits)
    (gradient,) = torch.autograd.grad(loss_of(answered(logits), depth_m, valid), logits)
    assert torch.equal(gradient.abs().sum(dim=1, keepdim=True) > 0, valid)


@pytest.mark.parametrize("fill", [0.0, float("nan")])
def test_holes_say_nothing(fill: float) -> None:
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    depth_m = torch.tensor([[3.0, 1.5], [5.0, 7.0]])[None, None]
    valid = torch.tensor([[True, True], [False, True]])[None, None]
    loss_of = build_loss("ordinal")
    assert loss_of(answered(logits), depth_m.where(valid, fill), valid) == loss_of(answered(logits), depth_m, valid)


def test_a_batch_of_holes_is_refused() -> None:
    with pytest.raises(HqmdError, match="no valid depth"):
        build_loss("ordinal")(answered(torch.zeros(1, 3, 2, 2)), torch.zeros(1, 1, 2, 2), torch.zeros(1, 1, 2, 2) > 0)


def test_losses_and_networks_that_do_not_fit() -> None:
    depth_m, valid = torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2) > 0
    with pytest.raises(HqmdError, match="--model dorn"):
        build_loss("ordinal")(Estimate(depth_m), depth_m, valid)
    with pytest.raises(HqmdError, match="--loss ordinal"):
        build_loss("depth")(answered(torch.zeros(1, 3, 2, 2)), depth_m, valid)


@pytest.mark.parametrize(
    "wrong", [{"depth_bins": 1}, {"depth_range_m": (0, 10)}, {"depth_range_m": (5, 4)}, {"depth_range_m": (1, 2, 3)}]
)
def test_intervals_that_cannot_be(wrong: dict) -> None:
    with pytest.raises(HqmdError, match=next(iter(wrong))):
        ModelConfig.from_flat(wrong)


@pytest.fixture(scope="module")
def paper_size() -> dict[str, tuple[int, ...]]:
    """Shape without the batch of what each part gives, at the paper's size, without values."""
    with torch.device("meta"):
        network = build_model(from_paper("dorn", {})[0], None).eval()
    assert isinstance(network, DORN)
    scene = network.scene
    parts: dict[str, nn.Module] = {"full image": scene.encoder, "connect": scene.encoder.connect, "join": scene.join}
    parts |= {f"branch {i}": branch for i, branch in enumerate(scene.branches)} | {"pairs": scene.pairs}
    shapes: dict[str, tuple[int, ...]] = {}
    for name, part in parts.items():
        part.register_forward_hook(lambda _, __, out, name=name: shapes.update({name: tuple(out.shape[1:])}))
    estimate = network.estimate(torch.empty(1, 3, 257, 353, device="meta"))
    shapes |= {"ordinal": tuple(estimate.parts["ordinal"].shape[1:]), "depth": tuple(estimate.depth_m.shape[1:])}
    return shapes | {"weight": tuple(scene.encoder.connect.weight.shape)}


def test_shapes_of_the_authors_network(paper_size: dict[str, tuple[int, ...]]) -> None:
    """models/NYUV2/deploy.prototxt: 33 x 45 cells, means of 5 x 6 windows, 136 channels."""
    cells = (33, 45)
    assert [paper_size[f"branch {i}"] for i in range(4)] == [(512, *cells)] * 4
    assert (paper_size["weight"], paper_size["full image"]) == ((512, 2048 * 5 * 6), (512, 1, 1))
    assert (paper_size["join"], paper_size["pairs"]) == ((2048, *cells), (136, *cells))
    assert (paper_size["ordinal"], paper_size["depth"]) == ((68, 257, 353), (1, 257, 353))


def test_windows_at_the_border_are_partial() -> None:
    """The full-image encoder's means are of the cells that are there, not of zeros beside them."""
    encoder = FullImageEncoder(1, 4, (9, 17)).eval()
    seen: list[Tensor] = []
    encoder.connect.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        encoder(torch.full((1, 1, 9, 17), 3.0))
    torch.testing.assert_close(seen[0], torch.full((1, 6), 3.0))


def test_other_activations_than_intervals_are_refused() -> None:
    with pytest.raises(HqmdError, match=r"softplus.*sid, uid"):
        build_model(from_paper("dorn", {"model": {"activation": "softplus"}})[0])


@pytest.mark.parametrize("decoder", ["baseline", "baseline+"])
@pytest.mark.parametrize("activation", DISCRETISATIONS)
def test_our_network_answers_in_intervals(activation: str, decoder: str) -> None:
    network = build_model(OURS.with_settings(activation=activation, decoder=decoder)).eval()
    with torch.no_grad():
        estimate = network.estimate(torch.rand(2, 3, 50, 70))
    assert estimate.parts["ordinal"].shape == (2, 20, 50, 70)
    thresholds_m = DISCRETISATIONS[activation](*OURS.network.depth_range_m, 20)
    middles_m = metres_of(torch.arange(20), thresholds_m)
    assert (estimate.depth_m.flatten()[:, None] - middles_m).abs().min(dim=1).values.max() < 1e-5


def test_logits_are_no_short_numbers_under_autocast() -> None:
    head = OrdinalHead(OURS.network.with_settings(activation="sid"))
    network = build_model(OURS.with_settings(activation="sid")).eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        estimate = network.estimate(torch.rand(1, 3, 48, 64))
    assert (estimate.parts["ordinal"].dtype, estimate.depth_m.dtype) == (torch.float32, torch.float32)
    assert torch.equal(head(estimate.parts["ordinal"]).depth_m, estimate.depth_m)


@pytest.mark.slow
def test_our_network_trains_on_intervals_and_reopens(pairs: Path, tmp_path: Path) -> None:
    model, train = (
        OURS.with_settings(activation="sid"),
        TrainConfig().with_settings(loss="ordinal", batch_size=2, epochs=6, lr=2e-3),
    )
    reports = list(fit(model, train, *open_training_data(pairs), tmp_path / "run", backbone_weights="none"))
    first, *_, last = [report for report in reports if isinstance(report, EpochReport)]
    assert last.loss < 0.9 * first.loss
    network, info = load_checkpoint(tmp_path / "run" / "best", torch.device("cpu"))
    assert (info.model.network.activation, info.training.objective.loss) == ("sid", "ordinal")
    assert network(torch.rand(1, 3, 48, 64)).shape == (1, 1, 48, 64)


@pytest.mark.slow
def test_from_the_command_line(hqmd: Callable, pairs: Path, tmp_path: Path) -> None:
    recipe = tmp_path / "ordinal.toml"
    recipe.write_text(
        '[model]\nbackbone = "test_efficientnet"\noutput_stride = 32\nsize = [48, 64]\naspp_channels = 16\n'
        'fuse_channels = 16\nactivation = "uid"\ndepth_bins = 12\ndepth_range_m = [0.5, 10]\n'
        "[training]\nbatch_size = 2\nepochs = 1\n"
    )
    common = ("train", "--data", pairs, "--recipe", recipe, "--backbone-weights", "none")
    done = hqmd(*common, "--loss", "ordinal", "-o", tmp_path / "run")
    assert done.returncode == 0, done.stderr
    refused = hqmd(*common, "--loss", "full", "-o", tmp_path / "other")
    assert refused.returncode == 1 and "--loss ordinal" in refused.stderr
