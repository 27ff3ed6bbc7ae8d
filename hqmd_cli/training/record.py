"""RUN_DIR/run.json: how a run was started, so that `--resume` without further flags continues it.

settings     of model and training, flat
about        what it learns from, in words
sources      data, val_data, extra_data, unlabelled, start, teacher: absolute paths or names, or a list of them;
             depth_scale; backbone_weights
content      SHA-256 of teacher, start and backbone weights
total_steps  after which the run is finished

Runs of hqmd before run.json lack it: their settings are in their states, their data has to be named again.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hqmd_cli import __version__
from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import LAST
from hqmd_cli.checkpoints.run_folder import can_resume, read_history
from hqmd_cli.checkpoints.settings import shown
from hqmd_cli.config.network import TRANSFORMERS, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.checked_json import read_json

RECORD_FILE = "run.json"


@dataclass(frozen=True)
class RunRecord:
    """How a run was started."""

    settings: dict[str, Any]
    about: dict[str, str]
    sources: dict[str, Any] = field(default_factory=dict)
    content: dict[str, str] = field(default_factory=dict)
    total_steps: int = 0  # 0: unknown
    hqmd_version: str = __version__

    @property
    def configs(self) -> tuple[ModelConfig, TrainConfig]:
        """The settings of model and training."""
        model, train = ModelConfig().to_flat(), TrainConfig().to_flat()
        return (
            ModelConfig.from_flat(
                {name: value for name, value in self.settings.items() if name in {*model, TRANSFORMERS}}
            ),
            TrainConfig.from_flat({name: value for name, value in self.settings.items() if name in train}),
        )

    def write(self, run_dir: Path) -> None:
        """Write the record."""
        write_text(run_dir / RECORD_FILE, json.dumps(asdict(self), indent=1, default=str) + "\n")


def teachers_in(sources: Mapping[str, Any]) -> list[str]:
    """Return the names of a run's teachers."""
    named = sources.get("teacher") or []
    return [named] if isinstance(named, str) else list(named)


def read_record(run_dir: Path) -> RunRecord | None:
    """Read a run's record; None for a run of an earlier hqmd. Raises HqmdError if it is damaged."""
    path = run_dir / RECORD_FILE
    if not path.exists():
        return None
    try:
        values = read_json(path, dict)
        record = RunRecord(**{name: value for name, value in values.items() if name in RunRecord.__dataclass_fields__})
        parts = (record.settings, record.about, record.sources, record.content)
        if not all(isinstance(part, dict) for part in parts) or not isinstance(record.total_steps, int):
            raise ValueError("a part of it is of another kind")
        record.configs  # noqa: B018  # checked now
    except (OSError, ValueError, TypeError, AttributeError, HqmdError) as error:
        raise HqmdError(
            f"{path}: not the record of a run: {first_line(error)}; remove it, and name the run's data and settings"
        ) from error
    return record


def is_unfinished(run_dir: Path, record: RunRecord | None) -> bool:
    """True if a run has steps left, and a state to take them from."""
    if not can_resume(run_dir):
        return False
    steps = [row["step"] for row in read_history(run_dir)]
    if record is not None and record.total_steps:
        return not steps or steps[-1] < record.total_steps
    try:  # of an earlier hqmd, which noted its settings in its checkpoints only
        batching = read_info(run_dir / LAST).training.batching
    except HqmdError:
        return True  # before its first epoch
    return not steps or (len(steps) < batching.epochs and steps[-1] < (batching.max_steps or math.inf))


def changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Describe the settings that differ, with their old and new values.

    A setting that an earlier hqmd did not have is at its default in what it wrote.
    """
    before = ModelConfig().to_flat() | TrainConfig().to_flat() | dict(before)

    def plain(value: Any) -> Any:
        return list(value) if isinstance(value, tuple) else value

    return [
        f"{name} was {shown(before.get(name)) if name in before else 'not known'} and is {shown(value)} now"
        for name, value in now.items()
        if name not in before or plain(before[name]) != plain(value)
    ]


def refuse_changes(place: Path, differences: list[str], run_dir: Path) -> None:
    """Raise HqmdError with the differences between a run and what it should continue with, if there are any."""
    if differences:
        raise HqmdError(
            f"{place}: cannot resume with other settings: {'; '.join(differences)}; leave these flags out, or begin "
            f"another run from its weights: --start {run_dir / 'best'} -o ANOTHER"
        )
