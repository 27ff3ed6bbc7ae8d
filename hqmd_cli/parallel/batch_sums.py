"""Sums and means over a whole batch, whose pictures may be spread over several processes.

The paper's c is a share of the largest error "in a mini-batch" (below eq. 1), and a mean over valid pixels counts the
pixels of all pictures. A process that used only its own pictures would train on the objective of a smaller batch. So
losses, and batch norm in training, use these functions. With one process they send nothing.

Gradients flow through. Every process computes the same loss of the whole batch, and DistributedDataParallel averages
the gradients: the result equals the gradient of one process that holds all pictures.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def is_distributed() -> bool:
    """True if several processes share each batch."""
    distributed = torch.distributed
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


class SumOverProcesses(torch.autograd.Function):
    """Sum a tensor over all processes. A value counts in every process's sum, so its gradient is the sum of theirs.

    torch.distributed.nn has this function, but deprecates it in favour of a private module.
    """

    @staticmethod
    def forward(ctx: Any, values: Tensor) -> Tensor:
        result = values.clone()
        torch.distributed.all_reduce(result)
        return result

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        result = gradients[0].clone()
        torch.distributed.all_reduce(result)
        return result


def batch_sum(values: Tensor) -> Tensor:
    """Add up each element of `values` over all processes; the shape stays."""
    return SumOverProcesses.apply(values.contiguous()) if is_distributed() else values


def batch_count(number: int, like: Tensor) -> Tensor:
    """Add up `number` over all processes: a float64 scalar on the device of `like`."""
    return batch_sum(torch.tensor(float(number), dtype=torch.float64, device=like.device))


def batch_mean(values: Tensor) -> Tensor:
    """Mean of (N,) values over the batch; NaN if the batch has none."""
    if not is_distributed():
        return values.mean()
    return (batch_sum(values.sum()) / batch_count(values.numel(), values)).to(values.dtype)


def batch_mean_or_zero(values: Tensor) -> Tensor:
    """Mean of (N,) values over the batch; 0, which still has a gradient, if the batch has none."""
    if not is_distributed():
        return values.sum() / max(values.numel(), 1)
    return (batch_sum(values.sum()) / batch_count(values.numel(), values).clamp(min=1)).to(values.dtype)


def batch_max(values: Tensor) -> Tensor:
    """Largest of (N,) values over the batch, 0 if there are none; a constant to the gradient."""
    largest = values.detach().max() if values.numel() else values.new_zeros(())
    if is_distributed():
        torch.distributed.all_reduce(largest, torch.distributed.ReduceOp.MAX)
    return largest


class GlobalBatchNorm(TorchFunctionMode):
    """Context in which batch norm, while training, takes mean and variance over the pictures of all processes.

    torch's SyncBatchNorm works on GPUs only, and timm has its own normalisation layers. All of them call
    `F.batch_norm`, which this context replaces. Running statistics equal those of one process with the whole batch.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and is_distributed():
            return batch_norm(*args, **kwargs)
        return func(*args, **kwargs)


def batch_norm(
    x: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """torch.nn.functional.batch_norm over all processes, in float32; x (B, C, ...) holds this process's pictures."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *([1] * (x.ndim - 2)))
    wide = x.float()
    number = batch_count(x.numel() // x.shape[1], x).float()
    average = batch_sum(wide.sum(axes)) / number
    centred = wide - average.view(shape)
    variance = batch_sum(centred.square().sum(axes)) / number  # in two passes: large sums would cancel inexactly
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(average.detach(), momentum)
            running_var.lerp_(variance.detach() * number / (number - 1).clamp(min=1), momentum)
    out = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        out = out * weight.view(shape) + bias.view(shape)
    return out.to(x.dtype)
