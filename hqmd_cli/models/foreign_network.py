"""Depth networks of `transformers` that hqmd trains, in metres, and that transformers opens again.

ModelConfig.transformers holds two parts as JSON: "config", the settings of the network, and "processor", those of the
image processor that published it. Weights have the names that transformers gives them, so a checkpoint is a model of
both libraries (checkpoints/checkpoint.py).
"""

import json
from collections.abc import Mapping
from functools import cache
from types import SimpleNamespace
from typing import Any

import torch
from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.depth import SMALLEST_DEPTH_M
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.installed import require
from hqmd_cli.models.base import DepthModel, Estimate
from hqmd_cli.models.layers import FullPrecisionConv, resize
from hqmd_cli.models.trusted_config import distrust, fix_attention

OWN = "net."  # before the names of weights in memory; files leave it out
TRAINED = ("depth_anything", "dpt", "glpn", "zoedepth")  # families whose network gives depth, or disparity, by itself
FALLBACK_SIZE = (480, 640)  # (H, W), for a processor that leaves photos as large as they are


@cache
def parts_of(text: str) -> Mapping[str, Any]:
    """Parse ModelConfig.transformers. Raises HqmdError for text that is damaged, or that brings in code."""
    try:
        parts: Mapping[str, Any] = json.loads(text)
        family = parts["config"]["model_type"]
        if family not in TRAINED or not isinstance(parts["processor"], dict):
            raise ValueError(f"{family} is not one of {', '.join(TRAINED)}")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise HqmdError(f"its settings for transformers cannot be used: {first_line(error)}") from error
    if why := distrust(parts):
        raise HqmdError(f"its settings for transformers: {why}; hqmd does not open such a model")
    return parts


class ForeignNetwork(DepthModel):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres, by a network of transformers."""

    not_in_onnx = "its layers are those of transformers"

    def __init__(self, config: NetworkConfig, transformers: str) -> None:
        """Build the network of ModelConfig.transformers with random weights. Raises HqmdError if it cannot be built."""
        super().__init__(config)
        parts = parts_of(transformers)
        self.net = build(parts["config"])
        self.square = fixed_side(self.net.config)
        self.has_one_size = bool(self.square)  # type: ignore[misc]  # of this network, not of the class
        self.mean: Tensor
        self.std: Tensor
        mean, std = normalisation(parts["processor"])
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)
        pretrained = getattr(self.net, "backbone", None) or self.net.base_model
        # Not a module: its weights are those of `net`, which learn at the backbone's rate.
        self.backbone = SimpleNamespace(net=pretrained, high_stride=1)  # type: ignore[assignment]
        for name, parameter in pretrained.named_parameters():
            parameter.requires_grad_(not name.endswith("mask_token"))  # for another way of training
        self.register_state_dict_post_hook(drop_own)
        self.register_load_state_dict_pre_hook(add_own)

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> metres."""
        seen = resize(rgb, (self.square, self.square)) if self.square else rgb
        depth_m = self.net(pixel_values=(seen - self.mean) / self.std).predicted_depth
        depth_m = depth_m.reshape(len(rgb), 1, *depth_m.shape[-2:]).float()
        if depth_m.shape[-2:] != rgb.shape[-2:]:
            depth_m = resize(depth_m, rgb.shape[-2:])
        return Estimate(depth_m.clamp(min=SMALLEST_DEPTH_M))  # a last ReLU gives zeros, which have no logarithm


def build(values: Mapping[str, Any]) -> Any:
    """Build a depth network of transformers from its settings, with random weights. Raises HqmdError if it cannot."""
    require("transformers", "a network of transformers")
    from transformers import CONFIG_MAPPING, AutoModelForDepthEstimation

    try:
        config = CONFIG_MAPPING[values["model_type"]].from_dict(dict(values))
        if getattr(config, "use_pretrained_backbone", None):
            config.use_pretrained_backbone = False  # it would be downloaded, to be overwritten
        fix_attention(config)
        net = AutoModelForDepthEstimation.from_config(config, dtype=torch.float32)
    except Exception as error:  # no common type
        raise HqmdError(f"transformers cannot build its network: {first_line(error)}") from error
    name, last = last_layer(net)
    sizes = last.in_channels, last.out_channels, last.kernel_size[0]
    precise = FullPrecisionConv(*sizes, padding=last.padding)  # type: ignore[arg-type]
    precise.weight, precise.bias = last.weight, last.bias
    net.set_submodule(name, precise)
    return net


def last_layer(net: Any) -> tuple[str, nn.Conv2d]:
    """Return the name of the last convolution, and itself: where the numbers come from, but for an activation."""
    return [(name, part) for name, part in net.named_modules() if isinstance(part, nn.Conv2d)][-1]


def fixed_side(config: Any) -> int:
    """Return the side of the squares that a network takes, as a plain ViT of DPT does; 0 if it takes any size."""
    takes_any = config.model_type != "dpt" or (config.backbone_config is not None and not config.is_hybrid)
    return 0 if takes_any else int(config.image_size)


def normalisation(processor: Mapping[str, Any]) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each channel that a processor brings to 0 and 1."""
    if not processor.get("do_normalize", "image_mean" in processor):
        return [0.0] * 3, [1.0] * 3
    return processor["image_mean"], processor["image_std"]


def step_of(parts: Mapping[str, Any]) -> int:
    """Return the pixels of which the sides of pictures are multiples."""
    config, processor = parts["config"], parts["processor"]
    if config["model_type"] == "dpt":
        return int((config.get("backbone_config") or {}).get("patch_size", 1))
    return int(max(processor.get("ensure_multiple_of") or 1, processor.get("size_divisor") or 1))


def size_of(parts: Mapping[str, Any]) -> tuple[int, int]:
    """Return the size (H, W) at which a network learns unless the user names one: its processor's, for 4:3 photos."""
    wanted, step = parts["processor"].get("size") or {}, step_of(parts)
    side = wanted.get("shortest_edge") or min(wanted.get("height", 0), wanted.get("width", 0))
    if not side or parts["config"]["model_type"] == "glpn":  # which takes photos as large as they are
        return FALLBACK_SIZE
    return round(side / step) * step, round(side * 4 / 3 / step) * step


def drop_own(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Name weights as transformers does."""
    for name in [name for name in state if name.startswith(prefix + OWN)]:
        state[prefix + name.removeprefix(prefix + OWN)] = state.pop(name)


def add_own(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    """Undo drop_own."""
    for name in [name for name in state if name.startswith(prefix)]:
        state[prefix + OWN + name.removeprefix(prefix)] = state.pop(name)
