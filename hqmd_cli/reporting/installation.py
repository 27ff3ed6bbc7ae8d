"""What `hqmd info` tells about this installation: versions, devices, and what ONNX Runtime can compute on."""

import os
from importlib.util import find_spec
from typing import Any

from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.inference.engines.providers import PROVIDERS
from hqmd_cli.inference.engines.select import may_have_gpu
from hqmd_cli.installed import RIVALS, commit, in_words, rivals, versions
from hqmd_cli.parallel.processes import usable_cores


def describe_installation() -> dict[str, Any]:
    """Describe this installation as plain data for JSON. Imports torch only if a GPU may be there."""
    from hqmd_cli.inference.engines.onnx import available

    names, _ = available()
    return {
        "versions": versions(),
        "commit": commit(),
        "clashes": [clash for group in RIVALS if (clash := rivals(group))],
        "cores": {"usable": usable_cores(), "machine": os.cpu_count()},
        "torch_devices": torch_devices(),
        "onnxruntime_devices": [device for device, provider in PROVIDERS.items() if provider.name in names] + ["cpu"],
        "models": list(bundled_models()),
        "cache": cache(),
    }


def cache() -> str | None:
    """Return the folder in which hqmd keeps what it downloads; None for a user without a home."""
    try:
        return str(hqmd_home())
    except HqmdError:
        return None


def torch_devices() -> list[str]:
    """Name the devices that torch has here, best first; empty without torch."""
    if find_spec("torch") is None:
        return []
    if not may_have_gpu():
        return ["cpu"]
    import torch

    gpus = [f"cuda:{n} {torch.cuda.get_device_name(n)}" for n in range(torch.cuda.device_count())]
    return [*gpus, *(["mps"] if torch.backends.mps.is_available() else []), "cpu"]


def installation_text(about: dict[str, Any]) -> str:
    """Write the description for the terminal."""
    untried = [name for name in about["onnxruntime_devices"] if name in PROVIDERS and not PROVIDERS[name].tried]
    lines = [
        *in_words(),
        f"  cores         {about['cores']['usable']} of {about['cores']['machine']}",
        f"  torch         {', '.join(about['torch_devices']) or 'not installed'}",
        f"  ONNX Runtime  {', '.join(about['onnxruntime_devices'])}"
        + (f" ({', '.join(untried)} untested with hqmd)" if untried else ""),
        f"  models        {', '.join(about['models'])}",
        f"  cache         {about['cache'] or 'none, since there is no home folder; set HQMD_HOME'}",
    ]
    return "\n".join(lines) + "\n"
