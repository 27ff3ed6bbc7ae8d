"""`--track`: log a run to TensorBoard or Weights & Biases through Accelerate's trackers.

https://huggingface.co/docs/accelerate/usage_guides/tracking
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hqmd_cli.checkpoints.run_folder import is_figure
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.installed import require
from hqmd_cli.registry import pick

PROJECT = "hqmd"  # also the folder in RUN_DIR for TensorBoard's files
TRACKERS = {"tensorboard": "tensorboard", "wandb": "wandb"}  # Accelerate's name -> package


def parse_trackers(text: str) -> tuple[str, ...]:
    """Split "tensorboard,wandb" into ("tensorboard", "wandb") for Accelerator(log_with=...), without duplicates.

    Raises HqmdError for an unknown name, and for a missing package, which Accelerate would ignore.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        require(pick(TRACKERS, name, "tracker"), f"--track {name}")
    return names


def start_tracking(
    accelerator: Any, run_dir: Path, model: ModelConfig, train: TrainConfig, about: Mapping[str, str]
) -> None:
    """Start the run in every tracker of the accelerator, and log its settings.

    Raises HqmdError if a tracker cannot start, for example without an account or a network.
    """
    here = {"wandb": {"name": run_dir.resolve().name, "dir": str(run_dir)}}
    try:
        accelerator.init_trackers(PROJECT, settings_to_log(model, train, about), init_kwargs=here)
    except Exception as error:  # each tracker raises its own types
        raise HqmdError(f"--track: {first_line(error)}") from error


def settings_to_log(model: ModelConfig, train: TrainConfig, about: Mapping[str, str]) -> dict[str, Any]:
    """Flatten all settings to names such as "model.backbone", with numbers or text, which TensorBoard requires."""
    sections = {"model": model.to_flat(), "training": train.to_flat(), "about": dict(about)}
    flat = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
    return {name: value if isinstance(value, (bool, int, float, str)) else str(value) for name, value in flat.items()}


def track_epoch(accelerator: Any, row: Mapping[str, Any]) -> None:
    """Log a row of history.jsonl at its step: loss and learning rate as `train/...`, val metrics as `val/...`."""
    if not accelerator.trackers:
        return
    own = ("loss", "lr")
    figures = {
        f"{'train' if name in own else 'val'}/{name}": value
        for name, value in row.items()
        if name not in ("step", "epoch") and is_figure(value)
    }
    accelerator.log({**figures, "epoch": row["epoch"]}, step=row["step"])
