"""Check all of a dataset: read every frame once, as training would, and report what is wrong.

Memory does not grow with the pictures. quick_check.py reads only a few frames.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hqmd_cli.data import find_reader, open_dataset
from hqmd_cli.data.check.findings import SEEN, Finding, find_problems
from hqmd_cli.data.check.split_stats import Split, measure
from hqmd_cli.data.sample import WHOLE, Sample, evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel.processes import usable_cores
from hqmd_cli.parallel.thread_pool import run_jobs

HELD_OUT = ("val", "test")  # splits to be scored


@dataclass(frozen=True)
class Report:
    """Result of a check."""

    splits: list[Split]
    findings: list[Finding]  # errors first
    examples: list[Sample]  # evenly spaced, to be drawn

    @property
    def is_usable(self) -> bool:
        """True if there are no errors."""
        return not any(finding.is_error for finding in self.findings)

    @property
    def files(self) -> list[Path]:
        """The files that were read."""
        return [file for split in self.splits for file in getattr(split.dataset, "files", [])]


def check_data(
    path: Path,
    split: str | None,
    val_data: Path | None,
    depth_scale: float | None,
    examples: int,
    progress: Callable[[Iterable[Any], str, int], Iterable[Any]],
) -> Report:
    """Read every frame of the splits that open_splits selects, and return up to `examples` of them in the report.

    `progress(items, label, total)` yields the items and shows how far they are. Raises HqmdError if there is no such
    data or split.
    """
    splits = open_splits(path, split, val_data, depth_scale)
    frames = [(its, its.dataset, index) for its in splits if its.dataset is not None for index in range(len(its))]
    outcomes = run_jobs(frames, lambda frame: measure(frame[1], frame[2]), usable_cores())
    shown = set(evenly(len(frames), examples))
    samples = []
    for number, ((its_split, _, index), outcome) in enumerate(progress(outcomes, "frames", len(frames))):
        if isinstance(outcome, HqmdError):
            its_split.unreadable.append(str(outcome))
            continue
        sample, stats, counts = outcome
        its_split.add(index, stats, counts)
        if number in shown:
            samples.append(sample)
    return Report(splits, find_problems(splits, find_reader(path).unpaired(path)), samples)


def open_splits(path: Path, split: str | None, val_data: Path | None, depth_scale: float | None) -> list[Split]:
    """Open the split that is named; or else train, val and test; or else all of the data.

    Of `val_data` open val and test, or else all. A split that exists but does not open keeps its error. Raises
    HqmdError if there is no such data or split.
    """
    known = find_reader(path).splits(path)
    if split is not None and split not in known:
        open_dataset(path, split)  # raises
    names = [split] if split else [name for name in (*SEEN, *HELD_OUT) if name in known] or [known[-1]]
    splits = [open_one(path, name, name, name in HELD_OUT, depth_scale) for name in names]
    if val_data is not None:
        known = find_reader(val_data).splits(val_data)
        names = [name for name in HELD_OUT if name in known] or [WHOLE if WHOLE in known else known[-1]]
        splits += [open_one(val_data, name, f"{val_data.name}, {name}", True, depth_scale) for name in names]
    return splits


def open_one(path: Path, name: str, label: str, is_held_out: bool, depth_scale: float | None) -> Split:
    """Open one split, or keep the error."""
    try:
        return Split(label, is_held_out, open_dataset(path, name, depth_scale=depth_scale))
    except HqmdError as error:
        return Split(label, is_held_out, error=str(error))
