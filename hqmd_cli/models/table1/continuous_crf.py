"""The continuous CRF of Xu et al. (CVPR 2017, https://arxiv.org/abs/1704.02157), on one grid for all scales.

The update is that of the authors' Caffe code, with symmetric kernels; the energy is the one whose minimum it leads to.
The paper's own equations were not to be had: compare them before citing (models/mscrf.py).

Of S maps at N pixels, y (S, N), observed as s, and of the kernels K_m (N, N), symmetric, with weights b_m (S, S):

    E(y) = sum_li (y_li - s_li)^2  +  1/2 sum_m sum_lk b_m,lk sum_ij K_m,ij (y_li - y_kj)^2     (P ~ exp -E)

A factorised Gaussian that is nearest to P has, for each pixel of each map, the mean to which mean-field updates lead:

    y_li  <-  (s_li + sum_m,k,j b_m,lk K_m,ij y_kj) / (1 + sum_m,k,j b_m,lk K_m,ij)

which is a Jacobi iteration of the linear system of the minimum: its fixed point is the CRF's exact mean, and each step
is a mean of depths with positive weights, so that depth stays positive. (A pixel's pair with itself adds nothing to E.)
"""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from hqmd_cli.models.layers import resize

REFERENCE_SIDE = 480  # pixels of the shorter side of a photo that COLOUR_REACH is said for: NYU's
COLOUR_REACH = 30.0  # theta_alpha, pixels: how far the colour kernel reaches; this and the next, their README
COLOUR_DEVIATION = 15.0  # theta_beta, of 255
NEAR_REACH = 1.0  # theta_gamma, in steps of the grid. Theirs are 3 pixels, less than one step


def mean_field(start: Tensor, observed: Tensor, kernels: Sequence[Tensor], weights: Tensor, steps: int) -> Tensor:
    """So many updates, all pixels at once. `start` and `observed` (B, S, N), kernels (B, N, N), weights (M, S, S)."""
    ones = torch.ones_like(observed)
    total = 1 + messages(ones, kernels, weights)
    y = start
    for _ in range(steps):
        y = (observed + messages(y, kernels, weights)) / total
    return y


def messages(y: Tensor, kernels: Sequence[Tensor], weights: Tensor) -> Tensor:
    """sum_m,k,j b_m,lk K_m,ij y_kj, (B, S, N)."""
    return sum((weight @ (y @ kernel) for kernel, weight in zip(kernels, weights, strict=True)), torch.zeros_like(y))


@torch.no_grad()
def image_kernels(rgb: Tensor, size: tuple[int, int]) -> list[Tensor]:
    """The kernels of near pixels and of pixels of like colour, each (B, N, N), N = h * w of the grid `size`.

    rgb (B, 3, H, W) in 0..1. Each is divided by the roots of both pixels' sums, so that it stays symmetric and its
    weight means the same in a corner and in a wide wall.
    """
    height, width = size
    rows = torch.arange(height, device=rgb.device, dtype=rgb.dtype)
    columns = torch.arange(width, device=rgb.device, dtype=rgb.dtype)
    places = torch.stack(torch.meshgrid(rows, columns, indexing="ij")).reshape(1, 2, -1)  # (1, 2, N), grid steps
    step = REFERENCE_SIDE / min(size)  # of the grid, in pixels of the reference
    cells = F.avg_pool2d(resize(rgb, (4 * height, 4 * width)), 4)  # a cell's mean colour
    colours = cells.flatten(2) * (255 / COLOUR_DEVIATION)
    near = gaussian(places / NEAR_REACH).expand(rgb.shape[0], -1, -1)
    like = gaussian(torch.cat([places.expand(rgb.shape[0], -1, -1) * (step / COLOUR_REACH), colours], dim=1))
    return [balanced(near), balanced(like)]


def gaussian(features: Tensor) -> Tensor:
    """exp(-|f_i - f_j|^2 / 2) of features (B, C, N), (B, N, N)."""
    squares = features.square().sum(dim=1)
    distances = squares[:, :, None] + squares[:, None, :] - 2 * features.transpose(1, 2) @ features
    return (distances.clamp(min=0) / -2).exp()


def balanced(kernel: Tensor) -> Tensor:
    """D^-1/2 K D^-1/2 with D the sums of K's rows."""
    root = kernel.sum(dim=-1).rsqrt()
    return kernel * root[:, :, None] * root[:, None, :]
