"""The optimiser with its learning rates, and the moving average of the weights."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from hqmd_cli.config.training import Optimization, Schedule
from hqmd_cli.models.base import DepthModel

LAYER_GROUPS = 8  # parts of the backbone, each with one learning rate


def moving_average(decay: float) -> Callable[[Tensor, Tensor, Tensor | int], Tensor]:
    """Return the rule of an exponential moving average whose memory is shorter at first.

    After n steps, a decay of d still weights the untrained weights by d^n: 28 % after 630 steps at 0.998. So step n
    limits the decay to (1 + n) / (10 + n), as TensorFlow does (tf.train.ExponentialMovingAverage, `num_updates`).
    """

    def average(averaged: Tensor, latest: Tensor, steps: Tensor | int) -> Tensor:
        share = 1 - min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged.lerp(latest, share) if averaged.is_floating_point() else latest

    return average


def build_optimizer(network: DepthModel, config: Optimization) -> torch.optim.Optimizer:
    """Build Adam, AdamW or SGD. The backbone's parameters learn at their share of the learning rate."""
    pretrained = list(network.backbone.net.parameters()) if network.backbone else []
    head = [p for p in network.parameters() if p not in set(pretrained) and p.requires_grad]
    groups: list[dict[str, Any]] = [{"params": head, "lr": config.lr}]
    for part in range(LAYER_GROUPS):  # in the order of the layers, with equal numbers of tensors
        tensors = pretrained[part * len(pretrained) // LAYER_GROUPS : (part + 1) * len(pretrained) // LAYER_GROUPS]
        if learning := [p for p in tensors if p.requires_grad]:
            share = config.first_layer_lr_factor ** (1 - part / (LAYER_GROUPS - 1))
            groups.append({"params": learning, "lr": config.lr * config.backbone_lr_factor * share})
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay)
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    return kind(groups, lr=config.lr, weight_decay=config.weight_decay)


def lr_factor(step: int, total_steps: int, config: Schedule) -> float:
    """Learning rate at `step` as a share of config.lr: warm-up times decay."""
    warmup = min(1.0, (step + 1) / config.warmup_steps) if config.warmup_steps else 1.0
    if config.schedule == "step":
        return warmup * config.lr_decay ** (step // config.lr_decay_steps)  # 4.1
    if config.schedule == "poly":
        return warmup * max(0.0, 1 - step / total_steps) ** config.poly_power
    return warmup * 0.5 * (1 + math.cos(math.pi * min(1.0, step / total_steps)))
