"""Gaussian fields: the most likely depths, and the likelihood of measured ones, both in closed form.

A field over n nodes has the density of N(mean, precision^-1). Its precision is never inverted: everything comes from
Cholesky factors, which take n^3 / 3 multiplications per picture.
"""

import math
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

NOT_IN_ONNX = "the most likely depths solve a dense system of equations, for which ONNX has no operator"


@dataclass(frozen=True)
class GaussianField:
    """A density exp(h' y - y' P y / 2) / Z of the log depths y of n nodes, for each picture of a batch."""

    nodes: Tensor  # (B, H, W) integers below n: the node of each pixel
    precision: Tensor  # P, (B, n, n), symmetric and positive definite
    information: Tensor  # h, (B, n)
    factor: Tensor  # (B, n, n), lower triangular Cholesky factor of P
    mean: Tensor  # (B, n) ln metres, P^-1 h; also the mode

    @classmethod
    def from_energy(cls, nodes: Tensor, precision: Tensor, information: Tensor) -> "GaussianField":
        """Build a field from P and h."""
        factor = torch.linalg.cholesky(precision)
        return cls(nodes, precision, information, factor, solve_factored(factor, information))

    @classmethod
    def around(cls, nodes: Tensor, precision: Tensor, mean: Tensor) -> "GaussianField":
        """Build a field from P and its mean."""
        return cls(nodes, precision, times(precision, mean), torch.linalg.cholesky(precision), mean)


def double(values: Tensor) -> Tensor:
    """Convert to float64 where the device has it: a field's weights differ by factors of 10^5."""
    return values.float() if values.device.type == "mps" else values.double()


def solve(precision: Tensor, information: Tensor) -> Tensor:
    """Return P^-1 h (B, n), the y that minimises y' P y / 2 - h' y."""
    return solve_factored(torch.linalg.cholesky(precision), information)


def solve_factored(factor: Tensor, information: Tensor) -> Tensor:
    """Return P^-1 h (B, n), given the Cholesky factor of P."""
    return torch.cholesky_solve(information[..., None], factor)[..., 0]


def times(matrix: Tensor, vector: Tensor) -> Tensor:
    """Multiply: (B, n, n), (B, n) -> (B, n)."""
    return (matrix @ vector[..., None])[..., 0]


class LogPartition(torch.autograd.Function):
    """ln Z - n/2 ln 2 pi of exp(h' y - y' P y / 2), which is h' P^-1 h / 2 - ln |P| / 2, for each picture, (B,).

    Takes P and h, and their factor and mean to save time. Its derivatives are the moments, mean and
    -(P^-1 + mean mean') / 2, so no gradient passes through a Cholesky factor.
    """

    @staticmethod
    def forward(ctx: Any, precision: Tensor, information: Tensor, factor: Tensor, mean: Tensor) -> Tensor:
        ctx.save_for_backward(factor, mean)
        return (information * mean).sum(dim=-1) / 2 - factor.diagonal(dim1=-2, dim2=-1).log().sum(dim=-1)

    @staticmethod
    def backward(ctx: Any, *slopes: Tensor) -> tuple[Tensor, Tensor, None, None]:
        factor, mean = ctx.saved_tensors
        second = torch.cholesky_inverse(factor) + mean[:, :, None] * mean[:, None, :]
        return -slopes[0][:, None, None] * second / 2, slopes[0][:, None] * mean, None, None


def negative_log_likelihood(field: GaussianField, values: Tensor, known: Tensor) -> Tensor:
    """Return -ln of the density of the known values: (B, n) ln metres, (B, n) bool -> (B,).

    Nodes without a value are integrated out, exactly. Given the known values, they form a Gaussian field whose
    precision is P without the rows and columns of known nodes; its Z is their integral.
    """
    precision, information, unknown = field.precision, field.information, ~known
    held = torch.where(known, values, 0)
    pull = times(precision, held)
    energy = (held * (pull / 2 - information)).sum(dim=-1)
    total = energy + LogPartition.apply(precision, information, field.factor.detach(), field.mean.detach())
    if unknown.any():
        identity = torch.eye(known.shape[1], dtype=precision.dtype, device=precision.device)
        left = torch.where(unknown[:, :, None] & unknown[:, None, :], precision, identity)
        push = torch.where(unknown, information - pull, 0)
        with torch.no_grad():
            factor = torch.linalg.cholesky(left)
            mean = solve_factored(factor, push)
        total = total - LogPartition.apply(left, push, factor, mean)
    return total + known.sum(dim=-1).to(total.dtype) * (math.log(2 * math.pi) / 2)


def node_means(pixels: Tensor, nodes: Tensor, count: int, valid: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Average over each node's valid pixels: (B, C, H, W), nodes (B, H, W), `valid` (B, H, W) bool -> (B, C, n).

    Also return the number of valid pixels of each node, (B, n). The mean of a node without any is 0. Values of invalid
    pixels, even NaN, have no effect.
    """
    batch, channels = pixels.shape[:2]
    flat = nodes.reshape(batch, 1, -1)
    weight = (
        torch.ones_like(flat, dtype=pixels.dtype) if valid is None else valid.reshape(batch, 1, -1).to(pixels.dtype)
    )
    held = pixels.flatten(2) if valid is None else pixels.flatten(2).where(weight > 0, 0)
    sums = pixels.new_zeros(batch, channels, count).scatter_add(2, flat.expand(-1, channels, -1), held)
    pixels_each = pixels.new_zeros(batch, 1, count).scatter_add(2, flat, weight)
    return sums / pixels_each.clamp(min=1), pixels_each[:, 0]


def at_pixels(values: Tensor, nodes: Tensor) -> Tensor:
    """Give each pixel the value of its node: (B, n), nodes (B, H, W) -> (B, 1, H, W)."""
    return values.gather(1, nodes.flatten(1)).reshape(nodes.shape)[:, None]
