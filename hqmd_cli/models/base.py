"""DepthModel: the interface of every network for train, evaluate, predict and export.

A system is one file with a subclass, whose docstring cites its paper, and one line in models.SYSTEMS. It defines

    paper       its source, and its authors' settings for training (`hqmd train --model NAME`)
    estimate    RGB (B, 3, H, W) in 0..1 -> Estimate, for any H and W from 32 up
    backbone    its pretrained part, a backbone.Backbone, if it has one: it learns at its own rate, or not at all
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
    """A system's source, and its authors' settings where they differ from our defaults, by their names in files."""

    authors: str  # "Laina et al. 2016", as a table shows it
    url: str
    model: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Any] = field(default_factory=dict)
    weights: str = "none published that hqmd reads"  # where trained weights are, and their licence


@dataclass(frozen=True)
class Estimate:
    """A network's output for a batch: depth, and parts for the losses that need them."""

    depth_m: Tensor  # (B, 1, H, W) metres, at the size of the picture; out of training, at 1 / depth_stride of it
    aux_m: tuple[Tensor, ...] = ()  # further depth maps (B, 1, h, w), supervised by the same loss while training
    parts: Mapping[str, Any] = field(default_factory=dict)  # by name, such as "ordinal"; a loss names what it needs


class DepthModel(nn.Module):
    """RGB (B, 3, H, W) in 0..1 to depth (B, 1, H, W) in metres."""

    paper: ClassVar[Paper]
    not_in_onnx: ClassVar[str] = ""  # why it cannot be exported; an empty string if it can
    has_one_size: ClassVar[bool] = False  # True: it resizes every picture to config.size, so none brings things nearer
    backbone: Backbone | None  # set by subclasses that have one

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.config, self.backbone = config, None
        self.depth_stride = 1  # as Compute.depth_stride; build_system sets it

    def estimate(self, rgb: Tensor) -> Estimate:
        """(B, 3, H, W) RGB in 0..1 -> depth, and what training needs besides."""
        raise NotImplementedError

    def forward(self, rgb: Tensor) -> Tensor:
        """Return depth at the scale of this picture's size; inference/predictor.py brings it to metres."""
        depth_m = self.estimate(rgb).depth_m
        return depth_m * (min(self.config.size) / shorter_side(*rgb.shape[-2:])) if self.has_one_size else depth_m

    def rescale(self, factor: float, power: float = 1.0) -> None:
        """Make factor d^power of all depths d, where there is a closed form; otherwise training does it."""
