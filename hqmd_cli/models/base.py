"""What train, evaluate, predict and export ask of every network, ours and those of Table 1.

A system is one file: a class of this kind, whose docstring cites its paper, and one line in models.SYSTEMS. It says

    paper       where it comes from, and its authors' settings for training (`hqmd train --model NAME`)
    estimate    RGB (B, 3, H, W) in 0..1 -> Estimate, for any H and W from 32 up
    backbone    its pretrained part, a backbone.Backbone, where there is one: it learns at its own rate, or not at all
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

from torch import Tensor, nn

from hqmd_cli.config.network import NetworkConfig
from hqmd_cli.models.backbone import Backbone
from hqmd_cli.models.layers import shorter_side


@dataclass(frozen=True)
class Paper:
    """Where a system comes from, and those settings of its authors, by their flat names, that are not our defaults."""

    authors: str  # "Laina et al. 2016", as a table shows it
    url: str
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "none published that hqmd reads"  # of trained ones: where, and their licence


@dataclass(frozen=True)
class Estimate:
    """What a network says of a batch: depth, and what only its own loss asks for."""

    depth_m: Tensor  # (B, 1, H, W) metres, at the size of the picture, or, out of training, by depth_stride less
    aux_m: tuple[Tensor, ...] = ()  # further depth maps (B, 1, h, w), supervised by the same loss while training
    parts: Mapping[str, Any] = field(default_factory=dict)  # by name, such as "ordinal": a loss says what it needs


class DepthModel(nn.Module):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres."""

    paper: ClassVar[Paper]
    not_in_onnx: ClassVar[str] = ""  # why it cannot be exported; empty: it can
    has_one_size: ClassVar[bool] = False  # it brings every picture to config.size: in a larger one nothing is nearer
    backbone: Backbone | None  # set by those that have one

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config, self.backbone = config, None
        self.depth_stride = 1  # as Compute.depth_stride; build_system sets it

    def estimate(self, rgb: Tensor) -> Estimate:
        """All that training needs."""
        raise NotImplementedError

    def forward(self, rgb: Tensor) -> Tensor:
        """Depth alone, at the scale of this size: who shows a larger picture multiplies (predictor.py says why)."""
        depth_m = self.estimate(rgb).depth_m
        return depth_m * (min(self.config.size) / shorter_side(*rgb.shape[-2:])) if self.has_one_size else depth_m

    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Make factor d^power of all depths d, as far as there is a closed form; the rest is left to training."""
