"""The losses of Eigen et al. on log depth (NIPS 2014, https://arxiv.org/abs/1406.2283, eq. 4; ICCV 2015, eq. 1).

Shapes and masks as in terms.py, but each picture counts the same, as their n is that of one picture's valid pixels; one
without any counts nothing.
"""

import torch
from torch import Tensor

from hqmd_cli import across
from hqmd_cli.losses.terms import gradients, require_valid, valid_gradients

INVARIANCE = 0.5  # lambda: of a common factor by which a picture is wrong, half the square is forgiven


def log_difference(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """d = ln pred - ln truth, (B, 1, H, W), 0 in holes."""
    both = (torch.where(valid, depth, 1) for depth in (pred_m, depth_m))
    pred, truth = both
    return pred.log() - truth.log()


def of_each_picture(values: Tensor, valid: Tensor) -> Tensor:
    """(B, 1, h, w), 0 where it does not count -> the sum of each picture that has valid pixels, by how many: (N,)."""
    count = valid.sum(dim=(1, 2, 3))
    return (values.sum(dim=(1, 2, 3)) / count.clamp(min=1))[count > 0]


def scale_invariant_loss(d: Tensor, valid: Tensor) -> Tensor:
    """Eq. 4 of 2014: 1/n sum d^2 - lambda/n^2 (sum d)^2."""
    squares, means = of_each_picture(d.square(), valid), of_each_picture(d, valid)
    return across.mean(squares - INVARIANCE * means.square())


def gradient_matching_loss(d: Tensor, valid: Tensor) -> Tensor:
    """The second line of eq. 1 of 2015: 1/n sum of (d_x^2 + d_y^2), where d and both its neighbours are valid."""
    d_x, d_y = gradients(d)
    squares = torch.where(valid_gradients(valid), d_x.square() + d_y.square(), 0)
    return across.mean(of_each_picture(squares, valid))


def silog(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eigen et al. 2014."""
    require_valid(valid)
    return scale_invariant_loss(log_difference(pred_m, depth_m, valid), valid)


def silog_and_gradient(pred_m: Tensor, depth_m: Tensor, valid: Tensor) -> Tensor:
    """Eigen and Fergus 2015."""
    require_valid(valid)
    d = log_difference(pred_m, depth_m, valid)
    return scale_invariant_loss(d, valid) + gradient_matching_loss(d, valid)
