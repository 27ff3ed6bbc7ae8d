"""Show a training on stderr: a bar with loss and speed, and a line per epoch."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.hub import BEST
from hqmd_cli.errors import printable
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.terminal.progress import progress_bar
from hqmd_cli.training.interruption import Terminated, exit_code
from hqmd_cli.training.reports import GO_ON, BrokenPicture, EpochReport, Report, StepReport
from hqmd_cli.units import DIGITS

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset

QUIET_SECONDS = 10  # between lines if stderr is not a terminal
SHOWN = ("RMSE", "AbsRel", "delta1")


def is_first() -> bool:
    """True unless another process of torchrun is the first one."""
    return Ranks.from_environment().is_first


def say(line: str) -> None:
    """Print a line on stderr, from the first process only."""
    if is_first():
        print(printable(line), file=sys.stderr)  # looked up now, because the bar replaces stderr


def show(reports: Iterable[Report], train_data: "Dataset", val_data: "Dataset", run_dir: Path) -> int:
    """Follow a run to its end. Return 0, or the exit code of the signal that stopped it."""
    try:
        follow(reports, train_data, val_data)
    except (KeyboardInterrupt, Terminated) as stop:
        print(f"stopped; the state is saved: {GO_ON}", file=sys.stderr)
        say(f"run folder: {run_dir}")
        return exit_code(stop)
    if (run_dir / BEST).exists():
        say(f"best checkpoint: {run_dir / BEST}")
    say(f"run folder: {run_dir}")
    return 0


def follow(reports: Iterable[Report], train_data: "Dataset", val_data: "Dataset") -> None:
    """Show each report as it comes."""
    say(f"train on {train_data.description} ({len(train_data)}), validate on {val_data.description} ({len(val_data)})")
    last_line, broken = time.monotonic(), 0
    with progress_bar("starting", shown=is_first()) as update:
        for report in reports:
            if isinstance(report, BrokenPicture):
                broken += 1
                fault = printable(str(report.fault))
                print(f"left out ({broken} so far): {fault}", file=sys.stderr)  # only this process has it
            elif isinstance(report, StepReport):
                text = f"loss {report.loss:.3f}, {report.pictures_per_second:.1f} pictures/s"
                update(report.step, report.total_steps, text)
                if not sys.stderr.isatty() and time.monotonic() - last_line > QUIET_SECONDS:
                    say(f"step {report.step}/{report.total_steps}, {text}")
                    last_line = time.monotonic()
            else:
                say(epoch_line(report) if isinstance(report, EpochReport) else report.text)


def epoch_line(report: EpochReport) -> str:
    """Describe an epoch in one line."""
    figures = ", ".join(f"{name} {report.val.metrics[name]:.{DIGITS}f}" for name in SHOWN)
    mark = ", best so far" if report.is_best else ""
    return f"epoch {report.epoch + 1}: loss {report.loss:.{DIGITS}f}, val {figures} ({report.val.protocol.name}){mark}"
