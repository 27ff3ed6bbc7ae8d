"""What a training run leaves in its folder, as far as torch is not needed to read it.

best, last      checkpoints: of the epoch with the lowest val error, and of the newest
history.jsonl   a row an epoch: epoch (from 0), step, loss, learning rate, and val's metrics
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hqmd_cli.hub import BEST, CONFIG_FILE, LAST
from hqmd_cli.images import explain_read_errors

HISTORY_FILE = "history.jsonl"
STATE_NAMES = ("state", "state.pt")  # what --resume needs: a folder of states, or the file of version 0.1
CHOSEN_BY = "RMSE"  # the metric, lower is better, that decides which epoch is `best`

Row = dict[str, Any]


def is_run(folder: Path) -> bool:
    """Whether a training has begun here."""
    kept = [f"{name}/{CONFIG_FILE}" for name in (BEST, LAST)]
    return any((folder / name).exists() for name in (HISTORY_FILE, *STATE_NAMES, *kept))


def read_history(run_dir: Path) -> list[Row]:
    """The rows of the epochs that are over; a last one that was cut off is left out."""
    path = run_dir / HISTORY_FILE
    if not path.exists():
        return []
    with explain_read_errors(str(path)):
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    rows = []
    for line in lines:
        try:
            row = json.loads(line)
        except ValueError:
            break
        if not (isinstance(row, dict) and isinstance(row.get("step"), int) and isinstance(row.get("epoch"), int)):
            break
        rows.append(row)
    return rows


def best_row(rows: Sequence[Row]) -> Row | None:
    """That of the epoch which `best` is of; None where no epoch has a figure."""
    judged = [row for row in rows if isinstance(row.get(CHOSEN_BY), (int, float))]
    return min(judged, key=lambda row: row[CHOSEN_BY], default=None)
