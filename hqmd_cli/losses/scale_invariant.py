"""The losses of Eigen et al. on log depth (NIPS 2014, https://arxiv.org/abs/1406.2283, eq. 4; ICCV 2015, eq. 1).

terms.py defines shapes and masks. The papers do not say how the pictures of a batch are weighted, nor how holes affect
slopes; both follow the authors' code (define_cost, define_depths_cost; docs/table1.md).
"""

import torch
from torch import Tensor

from hqmd_cli.losses.terms import neighbour_differences, require_valid
from hqmd_cli.parallel.batch_sums import batch_mean_or_zero, batch_sum

INVARIANCE = 0.5  # lambda: half of the squared error that all pixels of a picture share does not count


def log_difference(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """d = ln pred - ln truth: (B, 1, H, W), 0 in holes."""
    return torch.where(valid, pred_m, 1).log() - torch.where(valid, depth_m, 1).log()


def scale_invariant_loss(d: Tensor, valid: Tensor) -> Tensor:
    """Eq. 4 of 2014 for each picture: 1/n sum d^2 - lambda/n^2 (sum d)^2 of its n valid pixels; weighted by n^2."""
    count = valid.sum(dim=(1, 2, 3)).to(d.dtype)
    squares, means = (x.sum(dim=(1, 2, 3)) / count.clamp(min=1) for x in (d.square(), d))
    each = count.square() * (squares - INVARIANCE * means.square())
    return batch_sum(each.sum()) / batch_sum(count.square().sum())


def gradient_matching_loss(d: Tensor, valid: Tensor) -> Tensor:
    """Last sum of eq. 1 of 2015: mean d_x^2 + mean d_y^2, each over the pairs of neighbours that are both valid."""
    horizontal, vertical = neighbour_differences(d, valid)
    return batch_mean_or_zero(horizontal.square()) + batch_mean_or_zero(vertical.square())


def silog(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Objective of Eigen et al. 2014."""
    require_valid(valid)
    return scale_invariant_loss(log_difference(pred_m, depth_m, valid), valid)


def silog_and_gradient(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Objective of Eigen and Fergus 2015."""
    require_valid(valid)
    d = log_difference(pred_m, depth_m, valid)
    return scale_invariant_loss(d, valid) + gradient_matching_loss(d, valid)
