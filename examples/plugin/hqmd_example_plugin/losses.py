"""A loss of depth: (pred_m, depth_m, valid), each (B, 1, H, W), to a scalar."""

from torch import Tensor

from hqmd_cli.losses.terms import absolute_error


def median(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Return the median absolute error of the valid pixels, in metres. In one process only."""
    return absolute_error(pred_m, depth_m, valid).median()
