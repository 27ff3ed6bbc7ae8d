"""The paper's objective and the error of log depth. Shapes and masks as in terms.py.

Metres alone let far pixels decide: 0.3 m too far is little at 6 m and much at 1 m. AbsRel and delta, and what people
see in a depth map, are about ratios.
"""

from torch import Tensor

from hqmd_cli import across
from hqmd_cli.losses import paper
from hqmd_cli.losses.terms import absolute_log_error

LOG_WEIGHT = 2.0  # brings the term to about the size of l_depth, .3 in a network that is nearly trained


def full_and_log(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 7 + 2 mean |ln d - ln g|."""
    return paper.full(pred_m, depth_m, valid) + LOG_WEIGHT * across.mean(absolute_log_error(pred_m, depth_m, valid))
