"""CheckpointInfo: all that config.json says."""

from dataclasses import dataclass, field
from typing import Any

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig


@dataclass(frozen=True)
class CheckpointInfo:
    """Everything about a checkpoint except its weights."""

    model: ModelConfig
    training: TrainConfig
    data: str = ""  # what it was trained on
    step: int = 0
    figures: dict[str, Any] = field(default_factory=dict)  # as evaluation.results.Result.to_dict
    backbone_weights: str = "none"  # at the start of training: default (timm's), none, a file, or another model
    teacher: str = ""  # the model that it also learned from; an empty string without one
    note: str = ""  # Markdown by the publisher for the card: licences, limits
    command: str = ""  # that made it (terminal/command_line.py); an empty string for checkpoints of version 0.1
