"""The terms that losses are made of: one pure function per equation of the paper (3.2).

All take pred_m and depth_m (B, 1, H, W) in metres and valid (B, 1, H, W) bool, and return a scalar.
An invalid pixel contributes nothing: neither to a sum, nor through a gradient stencil that touches it.
Means are over the whole batch, whichever processes hold its pictures (parallel/batch_sums.py): a plain mean would train
on another objective under torchrun. Raises NoValidDepth for a batch without a valid pixel.
"""

import torch
from torch import Tensor, masked_select  # four times as fast as indexing by a mask, forward and backward

from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel.batch_sums import batch_max, batch_mean, batch_mean_or_zero

BERHU_FRACTION = 1 / 5  # c is this share of the batch's largest absolute error; below eq. 1
SMALLEST_THRESHOLD_M = 1e-6  # keeps eq. 1 finite where the prediction is perfect; far below any sensor's noise


class NoValidDepth(HqmdError):
    """A batch without a valid pixel, from which nothing can be learned."""


def require_valid(valid: Tensor) -> None:
    """Raise NoValidDepth if no process has a valid pixel."""
    if not batch_max(valid.any().float()) > 0:
        raise NoValidDepth("a batch has no valid depth pixel; check the depth files and their unit")


def absolute_error(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """e_i = |g_i - d_i| of the valid pixels: (N,) metres."""
    require_valid(valid)
    return masked_select(pred_m - depth_m, valid).abs()


def absolute_log_error(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """|ln d_i - ln g_i| of the valid pixels: (N,), the logarithm of the factor by which each depth is wrong."""
    require_valid(valid)
    return (masked_select(pred_m, valid).log() - masked_select(depth_m, valid).log()).abs()


def berhu_threshold(error: Tensor) -> Tensor:
    """c of eq. 1: 1/5 of the largest absolute error in the batch; a constant to the gradient."""
    return (BERHU_FRACTION * batch_max(error)).clamp(min=SMALLEST_THRESHOLD_M)


def berhu(error: Tensor, c: Tensor) -> Tensor:
    """Eq. 1, elementwise: e up to c, (e^2 + c^2) / 2c beyond. `error` is absolute."""
    return torch.where(error <= c, error, (error.square() + c.square()) / (2 * c))


def depth_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 2, l_depth: the mean BerHu of the absolute depth error."""
    error = absolute_error(pred_m, depth_m, valid)
    return batch_mean(berhu(error, berhu_threshold(error)))


def gradients(z_m: Tensor) -> tuple[Tensor, Tensor]:
    """Horizontal and vertical gradient: each (B, 1, H-1, W-1), metres per pixel.

    The paper does not name the operator. Forward differences have the smallest stencil: they keep edges sharpest and
    lose the fewest pixels around a hole.
    """
    corner = z_m[..., :-1, :-1]
    return z_m[..., :-1, 1:] - corner, z_m[..., 1:, :-1] - corner


def neighbour_differences(values: Tensor, valid: Tensor) -> tuple[Tensor, Tensor]:
    """Subtract each pixel from the one on its right, and from the one below, where both are valid: (N,) and (M,)."""
    d_x, both_x = values[..., 1:] - values[..., :-1], valid[..., 1:] & valid[..., :-1]
    d_y, both_y = values[..., 1:, :] - values[..., :-1, :], valid[..., 1:, :] & valid[..., :-1, :]
    return masked_select(d_x, both_x), masked_select(d_y, both_y)


def valid_gradients(valid: Tensor) -> Tensor:
    """Mark the stencils whose three pixels are all valid: (B, 1, H-1, W-1) bool."""
    return valid[..., :-1, :-1] & valid[..., :-1, 1:] & valid[..., 1:, :-1]


def paired_gradients(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of the prediction (d_x, d_y) and the truth (g_x, g_y) at valid stencils: each (N,)."""
    require_valid(valid)
    where = valid_gradients(valid)
    d_x, d_y, g_x, g_y = (masked_select(g, where) for g in (*gradients(pred_m), *gradients(depth_m)))
    return d_x, d_y, g_x, g_y


def normal_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 3, l_normal of Hu et al.: one minus the cosine between the normals (-z_x, -z_y, 1)."""
    d_x, d_y, g_x, g_y = paired_gradients(pred_m, depth_m, valid)
    dot = d_x * g_x + d_y * g_y + 1
    lengths = (d_x.square() + d_y.square() + 1).sqrt() * (g_x.square() + g_y.square() + 1).sqrt()
    return batch_mean_or_zero(1 - dot / lengths)


def gradient_magnitude_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 5, l_grad.mg: the L1 difference of the gradients, the first two entries of eq. 4."""
    d_x, d_y, g_x, g_y = paired_gradients(pred_m, depth_m, valid)
    return batch_mean_or_zero((g_y - d_y).abs() + (d_x - g_x).abs())


def gradient_direction_loss(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eq. 6, l_grad.dr: the third entry of eq. 4, zero where the gradients are parallel."""
    d_x, d_y, g_x, g_y = paired_gradients(pred_m, depth_m, valid)
    return batch_mean_or_zero((g_y * d_x - d_y * g_x).abs())
