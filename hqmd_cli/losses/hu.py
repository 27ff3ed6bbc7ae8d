"""The objective of Hu et al. (WACV 2019, https://arxiv.org/abs/1803.08673), as rerun in the paper's Table 1.

Log depth error + log gradient error + normals, all three with weight 1, as their section 3.2 and released
training script have it. Gradients are ours (terms.gradients), where their script uses Sobel filters.
Shapes and masks as in terms.py.
"""

from torch import Tensor

from hqmd_cli.losses.terms import absolute_error, normal_loss, paired_gradients
from hqmd_cli.parallel import batch_sums as across

ALPHA = 0.5  # of F(e) = ln(e + alpha)


def log_depth_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """l_depth: mean of ln(e + alpha). Negative for a good prediction: at zero error it is ln(alpha)."""
    return across.mean((absolute_error(pred_m, depth_m, valid) + ALPHA).log())


def log_gradient_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """l_grad: mean of F(|error of the horizontal gradient|) + F(|error of the vertical gradient|)."""
    d_x, d_y, g_x, g_y = paired_gradients(pred_m, depth_m, valid)
    return across.mean_or_zero(((d_x - g_x).abs() + ALPHA).log() + ((d_y - g_y).abs() + ALPHA).log())


def full(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Table 1, "w/ loss of Hu et al."."""
    l_depth, l_grad = log_depth_loss(pred_m, depth_m, valid), log_gradient_loss(pred_m, depth_m, valid)
    return l_depth + l_grad + normal_loss(pred_m, depth_m, valid)
