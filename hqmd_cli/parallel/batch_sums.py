"""Sums over the pictures of a batch, wherever they are: with several processes each holds a part of it.

The paper's c is a share of the largest error "in a mini-batch" (below eq. 1), and a mean over valid pixels is one over
those of all its pictures. Taken by each process of its own part, they would be those of a smaller batch. So losses, and
batch norm while training, ask here. With one process nothing is sent.

Gradients flow through: every process computes the same loss of the whole batch, and averages its gradients with the
others' (DistributedDataParallel), which then are those of one process that had all pictures.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.overrides import TorchFunctionMode


def several() -> bool:
    """Whether there are several processes at one batch."""
    return torch.distributed.is_available() and torch.distributed.is_initialized() and world() > 1


def world() -> int:
    """How many."""
    return torch.distributed.get_world_size()


class Total(torch.autograd.Function):
    """The sum over all processes. A value counts in the total of each, so its gradient is the sum of theirs.

    torch has had this in torch.distributed.nn and deprecates it there for a module that is not public.
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


def total(values: Tensor) -> Tensor:
    """The sum over all processes, elementwise."""
    return Total.apply(values.contiguous()) if several() else values


def count(number: int, like: Tensor) -> Tensor:
    """The same of a number, as a tensor beside `like`."""
    return total(torch.tensor(float(number), dtype=torch.float64, device=like.device))


def mean(values: Tensor) -> Tensor:
    """The mean of (N,) over the batch; NaN where it has none at all."""
    if not several():
        return values.mean()
    return (total(values.sum()) / count(values.numel(), values)).to(values.dtype)


def mean_or_zero(values: Tensor) -> Tensor:
    """The mean; 0, still differentiable, where there is none."""
    if not several():
        return values.sum() / max(values.numel(), 1)
    return (total(values.sum()) / count(values.numel(), values).clamp(min=1)).to(values.dtype)


def largest(values: Tensor) -> Tensor:
    """The largest of (N,) over the batch, 0 where there is none; a constant to the gradient."""
    most = values.detach().max() if values.numel() else values.new_zeros(())
    if several():
        torch.distributed.all_reduce(most, torch.distributed.ReduceOp.MAX)
    return most


def anywhere(mask: Tensor) -> bool:
    """Whether one is true in any process."""
    return bool(largest(mask.any().float()) > 0)


class GlobalBatchNorm(TorchFunctionMode):
    """While inside, batch norm in training takes mean and variance over the pictures of all processes.

    torch's SyncBatchNorm does so on GPUs only, and timm has normalisation layers of its own that call the same
    function; here that is replaced. Running statistics are those of one process with the whole batch, too.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is F.batch_norm and several():
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
    """torch.nn.functional.batch_norm over all processes, in float32. x (B, C, ...) of this one's pictures."""
    if not training:
        return F.batch_norm(x, running_mean, running_var, weight, bias, False, momentum, eps)
    axes, shape = [0, *range(2, x.ndim)], (1, -1, *([1] * (x.ndim - 2)))
    wide = x.float()
    number = count(x.numel() // x.shape[1], x).float()
    average = total(wide.sum(axes)) / number
    centred = wide - average.view(shape)
    variance = total(centred.square().sum(axes)) / number  # in two passes: the difference of large sums is inexact
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(average.detach(), momentum)
            running_var.lerp_(variance.detach() * number / (number - 1).clamp(min=1), momentum)
    out = centred * (variance + eps).rsqrt().view(shape)
    if weight is not None and bias is not None:
        out = out * weight.view(shape) + bias.view(shape)
    return out.to(x.dtype)
