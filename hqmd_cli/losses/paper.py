"""The paper's objective, eq. 7, and its two ablations in Table 1. terms.py defines shapes and masks."""

from torch import Tensor

from hqmd_cli.losses.terms import depth_loss, gradient_direction_loss, gradient_magnitude_loss

LAMBDA = 1.0  # weight of the gradient magnitude; 4.1
MU = 1.0  # weight of the gradient direction; 4.1


def depth(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Table 1, "w/ l_depth"."""
    return depth_loss(pred_m, depth_m, valid)


def depth_and_magnitude(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Table 1, "w/ l_depth + λ l_grad.mg"."""
    return depth(pred_m, depth_m, valid) + LAMBDA * gradient_magnitude_loss(pred_m, depth_m, valid)


def full(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 7; Table 1, "w/ full loss"."""
    return depth_and_magnitude(pred_m, depth_m, valid) + MU * gradient_direction_loss(pred_m, depth_m, valid)
