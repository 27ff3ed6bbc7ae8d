"""CheckpointInfo: all that config.json says."""

import math
from dataclasses import dataclass, field
from typing import Any

from hqmd_cli.config.base import brief
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError

TEXTS = ("data", "backbone_weights", "teacher", "note", "command", "weights_sha256")
# Parts of recorded figures that cards and tables show; version 0.1 wrote all of them, too.
FIGURES = {"data": str, "n": int, "protocol": str, "recipe": str, "metrics": dict, "intervals": dict}


@dataclass(frozen=True)
class CheckpointInfo:
    """Everything about a checkpoint except its weights. Raises HqmdError for a part of the wrong kind."""

    model: ModelConfig
    training: TrainConfig
    data: str = ""  # what it was trained on
    step: int = 0
    figures: dict[str, Any] = field(default_factory=dict)  # as evaluation.results.Result.to_dict
    backbone_weights: str = "none"  # at the start of training: default (timm's), none, a file, or another model
    teacher: str = ""  # the model that it also learned from; an empty string without one
    note: str = ""  # Markdown by the publisher for the card: licences, limits
    command: str = ""  # that made it (terminal/command_line.py); an empty string for checkpoints of version 0.1
    # Of model.safetensors, noted when it was written; an empty string for checkpoints of version 0.1
    weights_sha256: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        for name in TEXTS:
            if not isinstance(value := getattr(self, name), str):
                raise HqmdError(f"{name} must be text, not {brief(value)}")
        if type(self.step) is not int or self.step < 0:
            raise HqmdError(f"step must be a whole number from 0 up, not {brief(self.step)}")
        if not isinstance(self.figures, dict):
            raise HqmdError(f"figures must hold figures by name, not {brief(self.figures)}")


def require_figures(figures: dict[str, Any]) -> None:
    """Raise HqmdError if recorded figures lack a part, for example because they were written by hand."""
    if not figures:
        return
    if not all(isinstance(figures.get(name), kind) for name, kind in FIGURES.items()):
        raise HqmdError(f"its figures are incomplete; they need {', '.join(FIGURES)}")
    metrics, intervals = figures["metrics"], figures["intervals"]
    for name, value in metrics.items():
        ends = intervals.get(name)
        is_interval = ends is None or (isinstance(ends, list) and len(ends) == 2 and all(map(is_figure, ends)))
        if not (is_figure(value) and is_interval):
            raise HqmdError(f"its figure {brief(name)} is not a number with an interval")
    for name in ("remark", "intervals_by"):
        if not isinstance(figures.get(name, ""), str):
            raise HqmdError(f"its figures' {name} must be text")


def is_figure(value: Any) -> bool:
    """Return True for a finite number, and for None, an unknown figure."""
    return value is None or (type(value) in (int, float) and math.isfinite(value))
