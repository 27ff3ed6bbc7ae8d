"""The objective of Hu et al. (WACV 2019, https://arxiv.org/abs/1803.08673), which the paper reruns in Table 1.

Log depth error + log gradient error + normals, each with weight 1, as in their section 3.2 and their training script.
Gradients come from terms.gradients; their script uses Sobel filters. terms.py defines shapes and masks.
"""

from torch import Tensor

from hqmd_cli.losses.terms import absolute_error, normal_loss, paired_gradients
from hqmd_cli.parallel.batch_sums import batch_mean, batch_mean_or_zero

ALPHA = 0.5  # in F(e) = ln(e + alpha)


def log_depth_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """l_depth: the mean of ln(e + alpha). A good prediction makes it negative: without error it is ln(alpha)."""
    return batch_mean((absolute_error(pred_m, depth_m, valid) + ALPHA).log())


def log_gradient_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """l_grad: the mean of F(|error of the horizontal gradient|) + F(|error of the vertical gradient|)."""
    d_x, d_y, g_x, g_y = paired_gradients(pred_m, depth_m, valid)
    return batch_mean_or_zero(((d_x - g_x).abs() + ALPHA).log() + ((d_y - g_y).abs() + ALPHA).log())


def full(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Add up the three terms: Table 1, "w/ loss of Hu et al."."""
    l_depth, l_grad = log_depth_loss(pred_m, depth_m, valid), log_gradient_loss(pred_m, depth_m, valid)
    return l_depth + l_grad + normal_loss(pred_m, depth_m, valid)
