"""The two plainest objectives, which Carvalho et al. (ICIP 2018) compare and Xu et al. (CVPR 2017) train with.

Shapes and masks as in terms.py.
"""

from torch import Tensor

from hqmd_cli.losses import paper
from hqmd_cli.losses.terms import absolute_error, absolute_log_error
from hqmd_cli.parallel import batch_sums as across


def l1(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """The mean absolute error, in metres."""
    return across.mean(absolute_error(pred_m, depth_m, valid))


def l2(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """The mean squared error, in square metres."""
    return across.mean(absolute_error(pred_m, depth_m, valid).square())


LOG_WEIGHT = 2.0  # brings the term to about the size of l_depth, .3 in a network that is nearly trained


def full_and_log(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 7 + 2 mean |ln d - ln g|."""
    return paper.full(pred_m, depth_m, valid) + LOG_WEIGHT * across.mean(absolute_log_error(pred_m, depth_m, valid))
