"""The training objectives against the equations of the paper's section 3.2.

EXAMPLE below is worked by hand once for every equation. Gradients are forward differences: a 2 x 3 map has two
stencils.
"""

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hqmd_cli.commands.train import LossName
from hqmd_cli.errors import HqmdError
from hqmd_cli.losses import DEPTH_LOSSES, LOSSES, OWN_LOSSES, build_loss, terms
from hqmd_cli.losses.hu import log_depth_loss, log_gradient_loss
from hqmd_cli.models.base import Estimate
from hqmd_cli.models.ordinal import spacing_increasing

GRADIENT_TERMS = {
    "normal": terms.normal_loss,
    "magnitude": terms.gradient_magnitude_loss,
    "direction": terms.gradient_direction_loss,
    "log gradient": log_gradient_loss,
}
TERMS = {"depth": terms.depth_loss, "log depth": log_depth_loss, **GRADIENT_TERMS}


def objective(name: str):
    """A loss of depth alone, (pred_m, depth_m, valid) -> scalar."""
    return lambda pred_m, depth_m, valid: build_loss(name)(Estimate(pred_m), depth_m, valid)


OBJECTIVES = {**TERMS, **{f"objective {name}": objective(name) for name in DEPTH_LOSSES}}


def depth_map(*rows: list[float]) -> Tensor:
    """Rows of numbers as (1, 1, H, W) float64."""
    return torch.tensor(rows, dtype=torch.float64)[None, None]


def everywhere(like: Tensor) -> Tensor:
    return torch.ones_like(like, dtype=torch.bool)


def random_maps(seed: int = 0, shape: tuple[int, int, int, int] = (2, 1, 4, 5)) -> tuple[Tensor, Tensor]:
    """Prediction and truth in 1..5 m, float64."""
    generator = torch.Generator().manual_seed(seed)
    pred, depth = (1 + 4 * torch.rand(shape, generator=generator, dtype=torch.float64) for _ in range(2))
    return pred, depth


def mask_with_holes(seed: int = 1, shape: tuple[int, int, int, int] = (2, 1, 4, 5)) -> Tensor:
    """About a sixth of the pixels invalid, the corner of the first picture among them."""
    valid = torch.rand(shape, generator=torch.Generator().manual_seed(seed)) > 1 / 6
    valid[0, 0, 0, 0] = False
    return valid


# left stencil:  d = (2, 1), g = (1, 3);  right stencil: d = (0, 1), g = (0, 0)
EXAMPLE_PRED = depth_map([1, 3, 3], [2, 4, 9])
EXAMPLE_DEPTH = depth_map([1, 2, 2], [4, 2, 9])
# Errors 0 1 1 / 2 2 0, so c = 2/5: B(1) = (1 + 0.16) / 0.8 = 1.45, B(2) = (4 + 0.16) / 0.8 = 5.2
EXAMPLE_EQ2 = (0 + 1.45 + 1.45 + 5.2 + 5.2 + 0) / 6
# <d, g> = 2*1 + 1*3 + 1 = 6, |d|^2 = 4 + 1 + 1 = 6, |g|^2 = 1 + 9 + 1 = 11; on the right 1, 2 and 1
EXAMPLE_EQ3 = ((1 - 6 / math.sqrt(6 * 11)) + (1 - 1 / math.sqrt(2))) / 2
EXAMPLE_EQ5 = ((abs(3 - 1) + abs(2 - 1)) + (abs(0 - 1) + abs(0 - 0))) / 2
EXAMPLE_EQ6 = (abs(3 * 2 - 1 * 1) + abs(0 * 0 - 1 * 0)) / 2
EXAMPLE_LOG_DEPTH = (2 * math.log(0.5) + 2 * math.log(1.5) + 2 * math.log(2.5)) / 6
# |d_x - g_x| = 1 and 0, |d_y - g_y| = 2 and 1, each + 0.5
EXAMPLE_LOG_GRADIENT = ((math.log(1.5) + math.log(2.5)) + (math.log(0.5) + math.log(1.5))) / 2


@pytest.mark.parametrize(
    ("term", "expected"),
    [
        ("depth", EXAMPLE_EQ2),
        ("normal", EXAMPLE_EQ3),
        ("magnitude", EXAMPLE_EQ5),
        ("direction", EXAMPLE_EQ6),
        ("log depth", EXAMPLE_LOG_DEPTH),
        ("log gradient", EXAMPLE_LOG_GRADIENT),
        ("objective depth", EXAMPLE_EQ2),
        ("objective depth+mg", EXAMPLE_EQ2 + EXAMPLE_EQ5),
        ("objective full", EXAMPLE_EQ2 + EXAMPLE_EQ5 + EXAMPLE_EQ6),  # eq. 7 with λ = µ = 1
        ("objective hu", EXAMPLE_LOG_DEPTH + EXAMPLE_LOG_GRADIENT + EXAMPLE_EQ3),
    ],
)
def test_example_worked_by_hand(term: str, expected: float) -> None:
    loss = OBJECTIVES[term](EXAMPLE_PRED, EXAMPLE_DEPTH, everywhere(EXAMPLE_DEPTH))
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, abs=1e-12)


def test_berhu_is_the_error_up_to_c_and_quadratic_beyond() -> None:
    error, c = torch.tensor([0, 0.5, 1, 2, 5], dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    # (4 + 1) / 2 = 2.5 and (25 + 1) / 2 = 13
    assert terms.berhu(error, c).tolist() == [0, 0.5, 1, 2.5, 13]


def test_berhu_is_smooth_at_c() -> None:
    c = torch.tensor(0.7, dtype=torch.float64)
    around = torch.tensor([0.7 - 1e-9, 0.7, 0.7 + 1e-9], dtype=torch.float64, requires_grad=True)
    values = terms.berhu(around, c)
    (slopes,) = torch.autograd.grad(values.sum(), around)
    assert values.tolist() == pytest.approx([0.7] * 3, abs=1e-8)
    assert slopes.tolist() == pytest.approx([1.0] * 3, abs=1e-8)


def test_threshold_is_a_fifth_of_the_largest_error_of_the_whole_batch() -> None:
    depth = torch.full((2, 1, 1, 2), 10.0, dtype=torch.float64)
    pred = depth + torch.tensor([[1.0, -5.0], [0.5, 2.0]], dtype=torch.float64).view(2, 1, 1, 2)
    # c = 5/5 = 1 for both pictures; c = 2/5 for the second alone would give 0.5125 and 5.2 instead of 0.5 and 2.5
    assert terms.depth_loss(pred, depth, everywhere(depth)).item() == pytest.approx((1 + 13 + 0.5 + 2.5) / 4, abs=1e-12)


def test_an_invalid_pixel_does_not_raise_the_threshold() -> None:
    depth, pred = depth_map([1, 1, 1]), depth_map([2, 6, 101])
    # c = 5/5 = 1: (1 + 13) / 2; with the invalid error of 100, c = 20 and the mean (1 + 5) / 2
    loss = terms.depth_loss(pred, depth, torch.tensor([True, True, False]).view(1, 1, 1, 3))
    assert loss.item() == pytest.approx(7, abs=1e-12)


def test_threshold_is_a_constant_to_the_gradient() -> None:
    depth = depth_map([9, 9, 9, 9])
    pred = depth_map([9, 9.5, 7, 14]).requires_grad_()
    terms.depth_loss(pred, depth, everywhere(depth)).backward()
    # c = 1. Slope 1 up to c and e / c beyond, with the error's sign, over 4 pixels; 0 where there is no error
    assert pred.grad is not None
    assert pred.grad.flatten().tolist() == pytest.approx([0, 1 / 4, -2 / 4, 5 / 4], abs=1e-12)


def test_gradients_are_forward_differences() -> None:
    z_x, z_y = terms.gradients(depth_map([1, 4, 6], [2, 8, 8], [5, 5, 7]))
    assert z_x[0, 0].tolist() == [[3, 2], [6, 0]]
    assert z_y[0, 0].tolist() == [[1, 4], [3, -3]]


@pytest.mark.parametrize("name", ["depth+mg", "full", "hu"])
def test_a_map_without_a_whole_stencil_leaves_the_depth_term(name: str) -> None:
    depth, pred = depth_map([2, 2, 2]), depth_map([2, 3, 4]).requires_grad_()
    only_depth = log_depth_loss if name == "hu" else terms.depth_loss
    loss = objective(name)(pred, depth, everywhere(depth))
    assert loss.item() == pytest.approx(only_depth(pred, depth, everywhere(depth)).item(), abs=1e-12)
    loss.backward()
    assert pred.grad is not None
    assert pred.grad.isfinite().all()


def test_equations_5_and_6_sum_the_cross_product_of_normals() -> None:
    """Eq. 4: on each 2 x 2 window, which has one stencil, and as means over the map."""
    pred, depth = random_maps()
    (d_x, d_y), (g_x, g_y) = terms.gradients(pred), terms.gradients(depth)
    one = torch.ones_like(d_x)
    cross = torch.linalg.cross(torch.stack([-d_x, -d_y, one], -1), torch.stack([-g_x, -g_y, one], -1)).abs()
    magnitude, direction = cross[..., 0] + cross[..., 1], cross[..., 2]

    for b, _, y, x in torch.cartesian_prod(*(torch.arange(side) for side in d_x.shape)).tolist():
        window = (slice(b, b + 1), slice(None), slice(y, y + 2), slice(x, x + 2))
        pair = pred[window], depth[window], everywhere(depth[window])
        torch.testing.assert_close(terms.gradient_magnitude_loss(*pair), magnitude[b, 0, y, x])
        torch.testing.assert_close(terms.gradient_direction_loss(*pair), direction[b, 0, y, x])
    whole = pred, depth, everywhere(depth)
    torch.testing.assert_close(terms.gradient_magnitude_loss(*whole), magnitude.mean())
    torch.testing.assert_close(terms.gradient_direction_loss(*whole), direction.mean())


def test_direction_is_zero_for_parallel_gradients_of_any_length() -> None:
    slope = depth_map([1, 2, 3], [3, 4, 5], [5, 6, 7])  # gradient (1, 2)
    assert terms.gradient_direction_loss(3 * slope + 1, slope, everywhere(slope)).item() == pytest.approx(0, abs=1e-12)
    assert terms.gradient_magnitude_loss(3 * slope + 1, slope, everywhere(slope)).item() == pytest.approx(2 + 4)


@pytest.mark.parametrize("name", DEPTH_LOSSES)
@pytest.mark.parametrize("truth", ["flat", "rough"])
def test_gradients_are_finite_at_zero_error(name: str, truth: str) -> None:
    depth = torch.full((2, 1, 4, 5), 2.5) if truth == "flat" else random_maps()[1].float()
    pred = depth.clone().requires_grad_()
    loss = objective(name)(pred, depth, everywhere(depth))
    loss.backward()
    assert loss.isfinite()
    assert pred.grad is not None
    assert pred.grad.abs().max() < 1e-6  # the minimum: nothing pulls


def test_gradcheck_berhu() -> None:
    c = torch.tensor(1.0, dtype=torch.float64)
    error = torch.tensor([0.1, 0.9, 1.1, 4.0], dtype=torch.float64, requires_grad=True)  # both branches
    assert torch.autograd.gradcheck(lambda e: terms.berhu(e, c), error)


def test_gradcheck_depth_loss() -> None:
    """The pixel with the largest error stays fixed: c follows it, but is a constant to the gradient."""
    pred, depth = random_maps()
    fixed = depth.flatten()[:1] + 20
    free = pred.flatten()[1:].requires_grad_()

    def loss(free: Tensor) -> Tensor:
        return terms.depth_loss(torch.cat([fixed, free]).view_as(depth), depth, everywhere(depth))

    assert torch.autograd.gradcheck(loss, free)


@pytest.mark.parametrize("term", [*GRADIENT_TERMS, "log depth"])
def test_gradcheck(term: str) -> None:
    pred, depth = random_maps()
    valid = mask_with_holes()
    assert torch.autograd.gradcheck(lambda pred: TERMS[term](pred, depth, valid), pred.requires_grad_())


@pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e9, -3.0])
@pytest.mark.parametrize("where", ["depth", "pred"])
@pytest.mark.parametrize("name", OBJECTIVES)
def test_invalid_pixels_change_nothing(name: str, where: str, garbage: float) -> None:
    pred, depth = random_maps()
    valid = mask_with_holes()
    spoilt = {"depth": depth.clone(), "pred": pred.clone()}
    spoilt[where][~valid] = garbage

    losses, grads = [], []
    for p, d in ((pred, depth), (spoilt["pred"], spoilt["depth"])):
        leaf = p.clone().requires_grad_()
        losses.append(OBJECTIVES[name](leaf, d, valid))
        grads.extend(torch.autograd.grad(losses[-1], leaf))
    assert losses[0].item() == losses[1].item()
    assert torch.equal(grads[0], grads[1])
    assert grads[0].count_nonzero() > 0
    assert (grads[1][~valid] == 0).all()


@pytest.mark.parametrize("term", GRADIENT_TERMS)
def test_a_stencil_that_touches_a_hole_does_not_pull(term: str) -> None:
    """A hole in the middle of 3 x 3 leaves one of four stencils: the upper left one, which does not see it."""
    pred, depth = random_maps(shape=(1, 1, 3, 3))
    valid = everywhere(depth)
    valid[0, 0, 1, 1] = False
    (grad,) = torch.autograd.grad(GRADIENT_TERMS[term](pred.requires_grad_(), depth, valid), pred)
    assert (grad[0, 0] != 0).tolist() == [[True, True, False], [True, False, False], [False, False, False]]


@pytest.mark.parametrize("hole", [(0, 0), (0, 1), (1, 0)])
def test_each_pixel_of_a_stencil_must_be_valid(hole: tuple[int, int]) -> None:
    pred, depth = random_maps(shape=(1, 1, 2, 2))
    valid = everywhere(depth)
    valid[0, 0, hole[0], hole[1]] = False
    (grad,) = torch.autograd.grad(terms.gradient_magnitude_loss(pred.requires_grad_(), depth, valid), pred)
    assert grad.count_nonzero() == 0


def test_holes_are_left_out_of_the_mean() -> None:
    depth, pred = depth_map([1, 1, 1, 1], [1, 1, 1, 1]), depth_map([1, 2, 2, 9], [1, 1, 1, 1])
    valid = everywhere(depth)
    valid[0, 0, 0, 3] = False
    # two of three stencils: |1| + |0| and |0| + |-1|
    assert terms.gradient_magnitude_loss(pred, depth, valid).item() == pytest.approx((1 + 1) / 2)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_a_batch_without_a_valid_pixel_is_refused(name: str) -> None:
    pred, depth = random_maps()
    with pytest.raises(HqmdError, match="no valid depth pixel"):
        OBJECTIVES[name](pred, depth, torch.zeros_like(depth, dtype=torch.bool))


@pytest.mark.parametrize("name", DEPTH_LOSSES)
def test_a_better_prediction_scores_lower(name: str) -> None:
    noise, depth = random_maps(shape=(2, 1, 8, 9))
    losses = [objective(name)(depth + s * (noise - 3), depth, everywhere(depth)).item() for s in (0, 0.01, 0.1, 0.5)]
    assert losses == sorted(losses)
    assert len(set(losses)) == len(losses)


def test_an_unknown_name_lists_the_names() -> None:
    with pytest.raises(HqmdError) as refusal:
        build_loss("berho")
    for text in ("berho", *LOSSES):
        assert text in str(refusal.value)


def own_objective(name: str):
    """An own loss as (pred_m, depth_m, valid) -> scalar; the network gives logits of 5 intervals, too."""
    logits = torch.randn(2, 5, 4, 5, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    parts = {"ordinal": logits, "thresholds_m": spacing_increasing(1, 5, 5)} if name == "ordinal" else {}
    return lambda pred_m, depth_m, valid: build_loss(name)(Estimate(pred_m, parts=parts), depth_m, valid)


@pytest.mark.parametrize("garbage", [math.nan, math.inf, 1e9, -3.0])
@pytest.mark.parametrize("name", OWN_LOSSES)
def test_depth_of_invalid_pixels_changes_no_own_loss(name: str, garbage: float) -> None:
    pred, depth = random_maps()
    valid = mask_with_holes()
    spoilt = depth.masked_fill(~valid, garbage)
    clean, dirty = (own_objective(name)(pred, truth, valid) for truth in (depth, spoilt))
    assert clean.isfinite() and clean.item() == dirty.item()


@pytest.mark.parametrize("name", OWN_LOSSES)
def test_own_losses_refuse_a_batch_without_a_valid_pixel(name: str) -> None:
    pred, depth = random_maps()
    with pytest.raises(HqmdError, match="no valid depth pixel"):
        own_objective(name)(pred, depth, torch.zeros_like(depth, dtype=torch.bool))


def test_train_offers_every_loss() -> None:
    assert [str(name) for name in LossName] == list(LOSSES)


def test_a_new_loss_is_one_file_and_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "cubed_error.py").write_text(
        "from hqmd_cli.losses.terms import absolute_error\n"
        "from hqmd_cli.parallel.batch_sums import batch_mean\n\n\n"
        "def l3(pred_m, depth_m, valid):\n"
        "    return batch_mean(absolute_error(pred_m, depth_m, valid) ** 3)\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(LOSSES, "l3", "cubed_error:l3")
    pred, depth = depth_map([1, 3]), depth_map([1, 1])
    assert objective("l3")(pred, depth, everywhere(depth)).item() == pytest.approx((0 + 8) / 2)
