"""A checkpoint is a folder in the Hugging Face hub's convention; it reopens itself without a flag.

config.json         hqmd version, ModelConfig, TrainConfig, what it was trained on and how, figures with their protocol
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, reading the same weights; not every checkpoint has one (export.py)
model.int8.onnx     the same in 8-bit integers, which it makes of the same weights when it is opened
README.md           model card
"""

from dataclasses import dataclass, field
from typing import Any

from hqmd_cli import __version__
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig


@dataclass(frozen=True)
class CheckpointInfo:
    """Everything about a checkpoint but its weights."""

    model: ModelConfig
    training: TrainConfig
    data: str = ""  # what it was trained on
    step: int = 0
    figures: dict[str, Any] = field(default_factory=dict)  # see figures.Result.to_dict
    backbone_weights: str = "none"  # what it started from: default (timm's), none, a file, or another model
    teacher: str = ""  # the model that it learned from besides the ground truth, if there was one
    note: str = ""  # the publisher's, Markdown for the card: licences, limits
    command: str = ""  # that made it, as command_line.py tells it; not known of those of version 0.1

    def to_dict(self) -> dict[str, Any]:
        """Plain data for config.json."""
        return {
            "hqmd_version": __version__,
            "model": self.model.to_flat(),
            "training": self.training.to_flat(),
            "data": self.data,
            "backbone_weights": self.backbone_weights,
            "teacher": self.teacher,
            "note": self.note,
            "command": self.command,
            "step": self.step,
            "figures": self.figures,
        }
