"""`--track`: a run's figures in TensorBoard or Weights & Biases, through Accelerate's trackers.

https://huggingface.co/docs/accelerate/usage_guides/tracking
"""

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hqmd_cli.checkpoints.run_folder import is_figure
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.registry import pick

PROJECT = "hqmd"  # also the folder in RUN_DIR that TensorBoard's files lie in
TRACKERS = {"tensorboard": "tensorboard", "wandb": "wandb"}  # name for Accelerate -> package, and our extra


def parse_trackers(text: str) -> tuple[str, ...]:
    """ "tensorboard,wandb" -> ("tensorboard", "wandb"), for Accelerator(log_with=...); each once.

    Raises HqmdError for a name that is none, and for a package that is missing, which Accelerate would pass over.
    """
    names = tuple(dict.fromkeys(name.strip() for name in text.split(",")))
    for name in names:
        package = pick(TRACKERS, name, "tracker")
        if find_spec(package) is None:
            raise HqmdError(f"--track {name} needs one more package: pip install 'hqmd[{package}]'")
    return names


def start_tracking(
    accelerator: Any, run_dir: Path, model: ModelConfig, train: TrainConfig, about: Mapping[str, str]
) -> None:
    """Begin the run in every tracker that the accelerator was opened with, and tell them its settings.

    Raises HqmdError when one cannot begin: no account, no network.
    """
    # Only those that are asked for; Accelerate takes no settings for others.
    here = {"wandb": {"name": run_dir.resolve().name, "dir": str(run_dir)}}
    try:
        accelerator.init_trackers(PROJECT, settings_to_log(model, train, about), init_kwargs=here)
    except Exception as error:  # each tracker has its own kinds
        raise HqmdError(f"--track: {first_line(error)}") from error


def settings_to_log(model: ModelConfig, train: TrainConfig, about: Mapping[str, str]) -> dict[str, Any]:
    """Every setting under one name, such as "model.backbone", as a number or a text: TensorBoard takes nothing else."""
    sections = {"model": model.to_dict(), "training": train.to_dict(), "about": dict(about)}
    flat = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
    return {name: value if isinstance(value, (bool, int, float, str)) else str(value) for name, value in flat.items()}


def track_epoch(accelerator: Any, row: Mapping[str, Any]) -> None:
    """A row of history.jsonl at its step: loss and learning rate under `train/`, val's metrics under `val/`."""
    own = ("loss", "lr")
    figures = {
        f"{'train' if name in own else 'val'}/{name}": value
        for name, value in row.items()
        if name not in ("step", "epoch") and is_figure(value)
    }
    accelerator.log({**figures, "epoch": row["epoch"]}, step=row["step"])
