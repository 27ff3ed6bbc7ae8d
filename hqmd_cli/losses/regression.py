"""Mean absolute and mean squared error, and the paper's objective with an error of log depth.

Carvalho et al. (ICIP 2018) compare the first two; Xu et al. (CVPR 2017) train with the second. terms.py defines shapes
and masks.
"""

from torch import Tensor

from hqmd_cli.losses import paper
from hqmd_cli.losses.terms import absolute_error, absolute_log_error
from hqmd_cli.parallel.batch_sums import batch_mean


def l1(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """The mean absolute error, in metres."""
    return batch_mean(absolute_error(pred_m, depth_m, valid))


def l2(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """The mean squared error, in square metres."""
    return batch_mean(absolute_error(pred_m, depth_m, valid).square())


LOG_WEIGHT = 2.0  # makes the term about as large as l_depth: 0.3 in a network that is nearly trained


def full_and_log(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 7 plus LOG_WEIGHT x mean |ln d - ln g|."""
    return paper.full(pred_m, depth_m, valid) + LOG_WEIGHT * batch_mean(absolute_log_error(pred_m, depth_m, valid))
