"""What a network learns from a teacher whose maps are no metres: the same map up to scale and shift.

The scale- and shift-invariant loss of MiDaS (Ranftl et al. 2020, https://arxiv.org/abs/1907.01341): each map is shifted
to a median of 0 and scaled to a mean absolute deviation of 1 (eq. 7), the absolute differences are averaged (eq. 5),
and the differences of neighbours are added at several scales (eq. 11). They trim the largest differences, which come
from wrong measurements; a teacher's maps have none, so we don't.

terms.py defines shapes and masks. Maps are those of a teacher, (B, 1, H, W), valid where `valid` says so.
"""

from collections.abc import Callable

import torch
from torch import Tensor

from hqmd_cli.depth import SMALLEST_DEPTH_M
from hqmd_cli.losses import of_all_depths
from hqmd_cli.losses.terms import neighbour_differences, require_valid
from hqmd_cli.models.base import Estimate
from hqmd_cli.parallel.batch_sums import batch_mean, batch_mean_or_zero
from hqmd_cli.units import KINDS

GRADIENT_WEIGHT = 0.5  # alpha of eq. 12
SCALES = 4  # K of eq. 11: each halves height and width
FLATTEST = 1e-3  # deviation, in the map's own unit, below which a map counts as flat and is not scaled up to noise

LossOf = Callable[[Estimate, Tensor, Tensor], Tensor]


def standardised(maps: Tensor, valid: Tensor) -> Tensor:
    """Shift and scale each map (B, 1, H, W) by eq. 7, over its valid pixels; 0 elsewhere."""
    median = torch.where(valid, maps, torch.nan).flatten(1).nanmedian(dim=1).values.view(-1, 1, 1, 1)
    centred = torch.where(valid, maps - median, 0)
    deviation = centred.abs().sum((1, 2, 3), keepdim=True) / valid.sum((1, 2, 3), keepdim=True).clamp(min=1)
    return centred / deviation.clamp(min=FLATTEST)


def scale_and_shift_invariant(pred: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Compare maps of one kind, (B, 1, H, W), up to a scale and a shift of each picture."""
    require_valid(valid)
    difference = standardised(pred, valid) - standardised(label, valid)
    total = batch_mean(torch.masked_select(difference, valid).abs())
    for step in (2**scale for scale in range(SCALES)):
        slopes = neighbour_differences(difference[..., ::step, ::step], valid[..., ::step, ::step])
        total = total + GRADIENT_WEIGHT * sum(batch_mean_or_zero(slope.abs()) for slope in slopes)
    return total


def of_disparity(pred_m: Tensor, label: Tensor, valid: Tensor) -> Tensor:
    """Compare 1 / depth with a teacher's disparity."""
    return scale_and_shift_invariant(pred_m.clamp(min=SMALLEST_DEPTH_M).reciprocal(), label, valid)


def of_kinds(loss_of: LossOf, estimate: Estimate, labels: Tensor, valid: Tensor, kinds: Tensor) -> Tensor:
    """Take `loss_of` of the pictures labelled in metres, and the loss above of the others, by their share of the batch.

    `kinds` (B,) holds the number of each label's kind in units.KINDS.
    """
    objectives = (loss_of, of_all_depths(of_disparity), of_all_depths(scale_and_shift_invariant))
    total = labels.new_zeros(())
    for number, objective in zip(range(len(KINDS)), objectives, strict=True):
        chosen = kinds == number
        if (share := batch_mean(chosen.float())) > 0:
            total = total + share * objective(estimate, labels, valid & chosen.view(-1, 1, 1, 1))
    return total
