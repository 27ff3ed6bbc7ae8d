"""The two plainest objectives, which Carvalho et al. (ICIP 2018) compare and Xu et al. (CVPR 2017) train with.

Shapes and masks as in terms.py.
"""

from torch import Tensor

from hqmd_cli import across
from hqmd_cli.losses.terms import absolute_error


def l1(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """The mean absolute error, in metres."""
    return across.mean(absolute_error(pred_m, depth_m, valid))


def l2(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """The mean squared error, in square metres."""
    return across.mean(absolute_error(pred_m, depth_m, valid).square())
