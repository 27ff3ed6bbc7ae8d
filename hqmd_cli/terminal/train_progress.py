"""What `hqmd train` shows: a bar with loss and speed, a line an epoch. Everything on stderr."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.hub import BEST
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.terminal.progress import progress_bar
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
)
from hqmd_cli.units import DIGITS

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset

QUIET_SECONDS = 10  # between lines where stderr is no terminal
SHOWN = ("RMSE", "AbsRel", "delta1")


def show(
    reports: Iterable[Report],
    train_data: "Dataset",
    val_data: "Dataset",
    run_dir: Path,
) -> None:
    """Follow a run to its end."""
    is_first = Ranks.from_environment().is_first

    def say(line: str, each_process: bool = False) -> None:
        if is_first or each_process:
            print(line, file=sys.stderr)  # looked up now: the bar puts its own stream in place of stderr

    say(f"train on {train_data.description} ({len(train_data)}), validate on {val_data.description} ({len(val_data)})")
    last_line, broken = time.monotonic(), 0
    with progress_bar("starting", shown=is_first) as update:
        for report in reports:
            broken += isinstance(report, BrokenPicture)
            if not isinstance(report, StepReport):
                # Only the process that left a picture out knows of it.
                say(line_of(report, broken), each_process=isinstance(report, BrokenPicture))
                continue
            text = f"loss {report.loss:.3f}, {report.pictures_per_second:.1f} pictures/s"
            update(report.step, report.total_steps, text)
            if not sys.stderr.isatty() and time.monotonic() - last_line > QUIET_SECONDS:
                say(f"step {report.step}/{report.total_steps}, {text}")
                last_line = time.monotonic()
    if (run_dir / BEST).exists():
        say(f"best checkpoint: {run_dir / BEST}")


def line_of(report: Event, broken: int) -> str:
    """What is said of everything but a step; `broken` pictures were met so far."""
    match report:
        case EpochReport():
            return epoch_line(report)
        case BrokenPicture():
            return f"left out ({broken} so far): {report.fault}"
        case NewLayers():
            return f"of another size than in --start, and so begun anew: {', '.join(report.names)}"
        case BrokenState():
            return f"{report.path}: cannot be read, and is passed over for an older state"
        case BadBatch():
            return f"left out ({report.so_far} of {report.tolerated} tolerated): {report.complaint}"
        case Stopped():
            return f"stopped after step {report.step}: {report.reason}; the same command with --resume goes on"


def epoch_line(report: EpochReport) -> str:
    """One epoch in a line."""
    figures = ", ".join(f"{name} {report.val.metrics[name]:.{DIGITS}f}" for name in SHOWN)
    mark = ", best so far" if report.is_best else ""
    return f"epoch {report.epoch + 1}: loss {report.loss:.{DIGITS}f}, val {figures} ({report.val.protocol.name}){mark}"
