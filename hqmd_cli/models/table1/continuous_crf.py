"""The continuous CRF of Xu et al. (CVPR 2017, https://arxiv.org/abs/1704.02157), on one grid for all scales.

The update is from the authors' Caffe code, with symmetric kernels; the energy is the one that the update minimises. We
could not get the paper's own equations: check them before you cite these (mscrf.py).

For S maps of N pixels, y (S, N), observed as s, and symmetric kernels K_m (N, N) with weights b_m (S, S):

    E(y) = sum_li (y_li - s_li)^2  +  1/2 sum_m sum_lk b_m,lk sum_ij K_m,ij (y_li - y_kj)^2     (P ~ exp -E)

Mean-field updates lead to the factorised Gaussian nearest to P. Its mean, for each pixel of each map, is updated by

    y_li  <-  (s_li + sum_m,k,j b_m,lk K_m,ij y_kj) / (1 + sum_m,k,j b_m,lk K_m,ij)

This is a Jacobi iteration for the linear system of the minimum. Its fixed point is the exact mean of the CRF. Each step
is a weighted mean of depths with positive weights, so depth stays positive. The pair of a pixel with itself adds
nothing to E.
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.models.layers import resize

REFERENCE_SIDE = 480  # pixels, shorter side of NYU's photos, to which COLOUR_REACH refers
COLOUR_REACH = 30.0  # pixels, theta_alpha in their README: how far the colour kernel reaches
COLOUR_DEVIATION = 15.0  # of 255, theta_beta in their README
NEAR_REACH = 1.0  # steps of the grid, theta_gamma; theirs is 3 pixels, less than one step


def mean_field(start: Tensor, observed: Tensor, kernels: Sequence[Tensor], weights: Tensor, steps: int) -> Tensor:
    """Update all pixels `steps` times. `start` and `observed` (B, S, N), M kernels (B, N, N), weights (M, S, S)."""
    ones = torch.ones_like(observed)
    total = 1 + messages(ones, kernels, weights)
    y = start
    for _ in range(steps):
        y = (observed + messages(y, kernels, weights)) / total
    return y


def messages(y: Tensor, kernels: Sequence[Tensor], weights: Tensor) -> Tensor:
    """Return sum_m,k,j b_m,lk K_m,ij y_kj, (B, S, N)."""
    return sum((weight @ (y @ kernel) for kernel, weight in zip(kernels, weights, strict=True)), torch.zeros_like(y))


@torch.no_grad()
def image_kernels(rgb: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """Build the kernels of near pixels and of similar colours, each (B, N, N), where N = h * w and `size` is (h, w).

    rgb is (B, 3, H, W) in 0..1. A kernel is divided by the roots of both pixels' sums, so it stays symmetric, and its
    weight means the same in a corner and on a wide wall.
    """
    height, width = size
    rows = torch.arange(height, device=rgb.device, dtype=rgb.dtype)
    columns = torch.arange(width, device=rgb.device, dtype=rgb.dtype)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).reshape(1, 2, -1)  # (1, 2, N), grid steps
    step = REFERENCE_SIDE / min(size)  # reference pixels per step of the grid
    cells = F.avg_pool2d(resize(rgb, (4 * height, 4 * width)), 4)  # a cell's mean colour
    colours = cells.flatten(2) * (255 / COLOUR_DEVIATION)
    near = gaussian(places / NEAR_REACH).expand(rgb.shape[0], -1, -1)
    like = gaussian(torch.cat([places.expand(rgb.shape[0], -1, -1) * (step / COLOUR_REACH), colours], dim=1))
    return [balanced(near), balanced(like)]


def gaussian(features: Tensor) -> Tensor:
    """Return exp(-|f_i - f_j|^2 / 2), (B, N, N), of features (B, C, N)."""
    squares = features.square().sum(dim=1)
    distances = squares[:, :, None] + squares[:, None, :] - 2 * features.transpose(1, 2) @ features
    return (distances.clamp(min=0) / -2).exp()


def balanced(kernel: Tensor) -> Tensor:
    """Return D^-1/2 K D^-1/2, where D holds the sums of the rows of K (B, N, N)."""
    root = kernel.sum(dim=-1).rsqrt()
    return kernel * root[:, :, None] * root[:, None, :]
