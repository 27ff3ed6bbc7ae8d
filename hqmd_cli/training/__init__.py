"""Training: loop.py reads top to bottom, the rest is what it calls."""

from hqmd_cli.training.loop import (
    BadBatch,
    BrokenPicture,
    BrokenState,
    EpochReport,
    Event,
    NewLayers,
    Report,
    StepReport,
    Stopped,
    fit,
)

__all__ = [
    "BadBatch",
    "BrokenPicture",
    "BrokenState",
    "EpochReport",
    "Event",
    "NewLayers",
    "Report",
    "StepReport",
    "Stopped",
    "fit",
]
