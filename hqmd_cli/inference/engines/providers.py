"""ONNX Runtime's execution providers: the accelerators that can compute a graph instead of the CPU.

A new one is an entry of PROVIDERS. This module imports nothing heavy, since --help lists the names.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from hqmd_cli.errors import HqmdError
from hqmd_cli.installed import ONNX_RUNTIMES, distribution, rivals, to_keep


class Provider(NamedTuple):
    """One execution provider."""

    name: str  # ONNX Runtime's
    words: str  # for messages
    runtime: str  # the distribution of ONNX Runtime that has it
    part: str = ""  # its option for what follows the colon in --device NAME:PART
    auto: bool = True  # False: only where --device names it
    tried: bool = False  # with hqmd's models; the others are as ONNX Runtime documents them
    patterns: bool = True  # False: it does not work with ONNX Runtime's memory patterns


CPU = "CPUExecutionProvider"
# Value of --device -> provider; --device auto takes the first that is there.
PROVIDERS = {
    "cuda": Provider("CUDAExecutionProvider", "CUDA", "onnxruntime-gpu", "device_id"),
    "tensorrt": Provider("TensorrtExecutionProvider", "TensorRT", "onnxruntime-gpu", "device_id", auto=False),
    "coreml": Provider("CoreMLExecutionProvider", "CoreML", "onnxruntime"),
    "directml": Provider("DmlExecutionProvider", "DirectML", "onnxruntime-directml", "device_id", patterns=False),
    "openvino": Provider("OpenVINOExecutionProvider", "OpenVINO", "onnxruntime-openvino", "device_type", tried=True),
}


def named(device: str) -> Provider | None:
    """Return the provider that a --device such as cuda:1 names; None if it names none."""
    return PROVIDERS.get(device.partition(":")[0])


def candidates(device: str, available: Sequence[str]) -> list[Provider]:
    """Return the providers to try for a --device, best first; `available` are those of the ONNX Runtime here.

    Raises HqmdError if `device` names one that this ONNX Runtime does not have, or a part that it cannot have.
    """
    if device == "auto":
        return [provider for provider in PROVIDERS.values() if provider.auto and provider.name in available]
    provider = named(device)
    if provider is None:
        return []
    if ":" in device and not provider.part:
        raise HqmdError(f"--device {device}: {provider.words} is one device; use --device {device.partition(':')[0]}")
    if provider.name not in available:
        there = [name for name in ONNX_RUNTIMES if distribution(name)]
        raise HqmdError(
            f"--device {device}: this ONNX Runtime has no {provider.words}; {to_keep(provider.runtime, there)}"
        )
    return [provider]


def clash(available: Sequence[str], packages: Path) -> str:
    """Say that one ONNX Runtime has overwritten another, if that took the accelerator away; `packages` holds them.

    Only then does this import importlib.metadata.
    """
    if any(provider.name in available for provider in PROVIDERS.values()):
        return ""
    names = {folder.partition("-")[0] for folder in os.listdir(packages) if folder.endswith(".dist-info")}
    several = len(names & {name.replace("-", "_") for name in ONNX_RUNTIMES}) > 1
    return rivals(ONNX_RUNTIMES) if several else ""


def options_of(provider: Provider, device: str) -> dict[str, str]:
    """Return a provider's options for a --device: which GPU it computes on, if that is said."""
    _, _, part = device.partition(":")
    return {provider.part: part} if part else {}
