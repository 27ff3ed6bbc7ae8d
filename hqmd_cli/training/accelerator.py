"""Accelerate: one object for device, precision and several processes. https://huggingface.co/docs/accelerate

Start several processes with `torchrun --nproc-per-node N --module -- hqmd_cli train ...` or `accelerate launch`.
Without the --, torchrun takes --start for its own --start-method.
"""

import os
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.models.base import DepthModel, Estimate
from hqmd_cli.parallel.processes import LONGEST_WAIT, Ranks


class Learner(nn.Module):
    """A network whose forward returns its Estimate, so that it can be compiled and wrapped for several processes."""

    def __init__(self, network: DepthModel) -> None:
        super().__init__()
        self.network = network

    def forward(self, rgb: Tensor) -> Estimate:
        """Estimate depth from RGB (B, 3, H, W) in 0..1."""
        return self.network.estimate(rgb)


def open_accelerator(
    train: TrainConfig, device: torch.device, run_dir: Path | None = None, trackers: tuple[str, ...] = ()
) -> Any:
    """Open the accelerate.Accelerator of a run. Raises HqmdError if the batch or the precision does not suit it."""
    from accelerate import Accelerator, InitProcessGroupKwargs
    from accelerate.state import AcceleratorState

    world, accumulate = Ranks.from_environment().world, train.batching.accumulate
    if train.batching.batch_size % (world * accumulate):
        raise HqmdError(
            f"a batch of {train.batching.batch_size} cannot be shared by {world} processes in "
            f"{accumulate} parts each; choose a multiple of {world * accumulate}"
        )
    if world == 1 and device.type != "cpu":
        os.environ["ACCELERATE_TORCH_DEVICE"] = str(device)  # Accelerate has no parameter for it
    if train.numerics.deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # CUDA requires it
    torch.use_deterministic_algorithms(train.numerics.deterministic)
    # Accelerate keeps its settings for the whole process, but one process may train several times.
    AcceleratorState._reset_state(reset_partial_state=not torch.distributed.is_initialized())
    try:
        return Accelerator(
            cpu=device.type == "cpu",
            mixed_precision={"fp32": "no"}.get(train.numerics.precision, train.numerics.precision),
            log_with=list(trackers) or None,
            project_dir=run_dir,
            kwargs_handlers=[InitProcessGroupKwargs(timeout=LONGEST_WAIT)],
        )
    except (ValueError, RuntimeError) as error:
        raise HqmdError(f"{train.numerics.precision} on {device}: {first_line(error)}") from error


def slow_precision(precision: str, device: torch.device) -> str:
    """Say that this processor computes a precision slowly; an empty string if not, or where torch does not tell.

    Without instructions for bf16, torch takes 7 times as long for a linear layer and 20 times for a convolution.
    """
    if device.type != "cpu" or precision != "bf16":
        return ""
    has: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()  # torch 2.6 does not have it
    if has.get("architecture") != "x86_64" or has.get("avx512_bf16") or has.get("amx_bf16"):
        return ""
    return "this processor has no instructions for bf16; a new run with --precision fp32 trains many times faster"
