"""What `hqmd train` shows: a bar with loss and speed, a line an epoch. Everything on stderr."""

import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hqmd_cli.checkpoints.hub import BEST
from hqmd_cli.parallel.processes import Ranks
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
    style: dict[str, Any] = {"stderr": True, "highlight": False, "markup": False, "soft_wrap": True}
    # Of several processes the first one speaks; what one of them left out only that one knows.
    everyone, screen = Console(**style), Console(**style, quiet=not Ranks.from_environment().is_first)
    screen.print(
        f"train on {train_data.description} ({len(train_data)}), validate on {val_data.description} ({len(val_data)})"
    )
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    last_line, broken = time.monotonic(), 0
    with Progress(*columns, console=screen, disable=screen.quiet or not screen.is_terminal) as progress:
        task = progress.add_task("starting", total=None)
        for report in reports:
            broken += isinstance(report, BrokenPicture)
            if not isinstance(report, StepReport):
                (everyone if isinstance(report, BrokenPicture) else screen).print(line_of(report, broken))
                continue
            text = (
                f"step {report.step}/{report.total_steps}, loss {report.loss:.3f}, "
                f"{report.pictures_per_second:.1f} pictures/s"
            )
            progress.update(task, total=report.total_steps, completed=report.step, description=text)
            if not screen.is_terminal and time.monotonic() - last_line > QUIET_SECONDS:
                screen.print(text)
                last_line = time.monotonic()
    if (run_dir / BEST).exists():
        screen.print(f"best checkpoint: {run_dir / BEST}")


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
