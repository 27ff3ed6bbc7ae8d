"""Read a training run's folder without torch.

best, last      checkpoints of the epoch with the lowest val error and of the newest epoch
history.jsonl   one row per epoch: epoch (from 0), step, loss, learning rate, and val's metrics
"""

import json
import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from hqmd_cli.checkpoints.hub import BEST, CONFIG_FILE, LAST
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import explain_read_errors, write_text
from hqmd_cli.files.checked_json import LENIENT, parse_json
from hqmd_cli.files.locks import claim
from hqmd_cli.files.regular import read_regular

HISTORY_FILE = "history.jsonl"
STATE_FOLDER = "state"  # what --resume needs
STATE_NAME = re.compile(r"\d{8,}\.\d{5,}\.pt")
STATE_NAMES = (STATE_FOLDER, "state.pt")  # version 0.1 wrote the file
CHOSEN_BY = "RMSE"  # the metric, lower is better, that decides which epoch is `best`

Row = dict[str, Any]


def is_run(folder: Path) -> bool:
    """Return True if the folder holds a training run."""
    kept = [f"{name}/{CONFIG_FILE}" for name in (BEST, LAST)]
    return any((folder / name).exists() for name in (HISTORY_FILE, *STATE_NAMES, *kept))


def holds_run(folder: Path) -> bool:
    """True if another run would overwrite something. A run that died before its first saved state holds nothing."""
    kept = [folder / name / CONFIG_FILE for name in (BEST, LAST)]
    files = (folder / HISTORY_FILE, folder / STATE_NAMES[1], *kept)
    return any(file.exists() for file in files) or can_resume(folder)


def can_resume(folder: Path) -> bool:
    """True if a run has a state to continue from."""
    return bool(saved_states(folder))


def saved_states(folder: Path) -> list[Path]:
    """List a run's state files, newest first; no other files, such as a copy that the user keeps there."""
    files = (folder / STATE_FOLDER).glob("*.pt")
    return sorted((file for file in files if STATE_NAME.fullmatch(file.name)), reverse=True)


def refuse_run(folder: Path) -> None:
    """Raise HqmdError if a new run in this folder would overwrite one, or lie among the files of a model."""
    if folder.exists() and not folder.is_dir():
        raise HqmdError(f"{folder}: exists and is not a folder; choose another -o")
    if (folder / CONFIG_FILE).exists():
        raise HqmdError(f"{folder}: holds a model; choose another -o")
    if can_resume(folder):
        raise HqmdError(f"{folder}: holds a run already; pass --resume to continue it, or choose another -o")
    if holds_run(folder):
        start = next((f"; --start {folder / name} begins from its weights" for name in (BEST, LAST)
                      if (folder / name / CONFIG_FILE).exists()), "")  # fmt: skip
        raise HqmdError(
            f"{folder}: holds a run already, which cannot continue without its {STATE_FOLDER}/; choose another -o"
            f"{start}"
        )


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """Hold a checkpoint's folder while a command changes it, and the run that it lies in, whose training replaces it.

    Raises HqmdError, which tells who holds it, if another process does.
    """
    run = folder.resolve().parent
    with claim(run) if folder.name in (BEST, LAST) and is_run(run) else nullcontext(), claim(folder):
        yield


def read_history(run_dir: Path) -> list[Row]:
    """Read the rows of all finished epochs. A row that a killed process cut off is left out."""
    path = run_dir / HISTORY_FILE
    if not path.exists():
        return []
    with explain_read_errors(str(path)):
        lines = read_regular(path).decode("utf-8", "replace").splitlines()
    return [row for row in map(row_of, lines) if row is not None]


def write_history(run_dir: Path, rows: list[Row]) -> None:
    """Write all rows, by rename."""
    write_text(run_dir / HISTORY_FILE, "".join(json.dumps(row) + "\n" for row in rows))


def row_of(line: str) -> Row | None:
    """Parse a line of a history; None if it is not a complete row."""
    try:
        row = parse_json(line, dict, LENIENT)  # the loss of an epoch without a step is NaN
    except ValueError:
        return None
    whole = all(type(row.get(name)) is int for name in ("step", "epoch"))
    return row if whole else None


def is_figure(value: Any) -> bool:
    """Return True if a value of a row is a finite number."""
    return isinstance(value, (int, float)) and math.isfinite(value)


def points_of(rows: Sequence[Row], key: str) -> list[tuple[int, float]]:
    """Return (step, value) of every row whose `key` is a finite number."""
    return [(row["step"], row[key]) for row in rows if is_figure(row.get(key))]


def best_row(rows: Sequence[Row]) -> Row | None:
    """Return the row of the best epoch; None if no epoch has a figure."""
    scored = [row for row in rows if is_figure(row.get(CHOSEN_BY))]
    return min(scored, key=lambda row: row[CHOSEN_BY], default=None)
