"""Choose a torch device."""

import torch

from hqmd_cli.errors import HqmdError

KINDS = ("cpu", "cuda", "mps")  # torch has more, for which hqmd is not written


def pick_device(name: str) -> torch.device:
    """Return a device; "auto" is CUDA, else Apple's MPS, else the CPU. Raises HqmdError if it is not available."""
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type not in KINDS:
            raise RuntimeError(f"{device.type} is not one of {KINDS}")
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise HqmdError(f"device {name!r} is not available here; use auto, cpu, cuda, cuda:N or mps") from error
    return device
