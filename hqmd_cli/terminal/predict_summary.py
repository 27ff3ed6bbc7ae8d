"""What `hqmd predict` prints about photos: files on stdout, everything else on stderr."""

import math
import sys
from collections import Counter
from dataclasses import dataclass, field

import typer

from hqmd_cli.errors import INTERRUPTED, HqmdError, complain, printable
from hqmd_cli.prediction.photo_job import Done
from hqmd_cli.prediction.photo_run import PhotoRun
from hqmd_cli.terminal.progress import with_progress
from hqmd_cli.units import IN_WORDS, RANGE_KEYS, Kind

LISTED_CAMERAS = 3  # in the summary of many photos


def run_photos(run: PhotoRun) -> None:
    """Run the jobs, name what was written, and sum up. Exit code 1 if a job or source failed, 130 after Ctrl-C."""
    print(run.work.model.in_words, file=sys.stderr)
    model = run.work.model
    tally, total, interrupted = Tally(model.kind, model.follows_camera), len(run.jobs), False
    for fault in run.faults:
        tally.count(fault)
    try:
        outcomes = run.outcomes()
        for outcome in with_progress(outcomes, "photos", total) if total > 1 else outcomes:
            tally.count(outcome)
            if total == 1 and isinstance(outcome, Done):
                describe(outcome)
    except KeyboardInterrupt:
        interrupted = True
    try:
        run.close(interrupted)
    except HqmdError as error:
        tally.count(error)
    if total + len(run.faults) > 1:
        tally.describe()
    if interrupted:
        print("hqmd: interrupted; --skip-existing goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED)
    if tally.written:
        print(tally.span, file=sys.stderr)
    if tally.failed:
        raise typer.Exit(1)


@dataclass
class Tally:
    """What the jobs gave so far."""

    kind: Kind
    follows_camera: bool  # whether the metres depend on the focal length
    written: int = 0
    skipped: int = 0
    failed: int = 0
    least: float = math.inf  # of all maps
    greatest: float = -math.inf
    remarks: dict[str, list[str]] = field(default_factory=dict)  # about photos -> the photos
    cameras: Counter[str] = field(default_factory=Counter)  # origin of the focal length -> results that depend on it

    def count(self, outcome: Done | HqmdError) -> None:
        """Add a job: print the files that it wrote on stdout, or why it failed on stderr."""
        if isinstance(outcome, HqmdError):
            complain(outcome)
            self.failed += 1
            return
        if outcome.skipped:
            self.skipped += 1
            return
        self.written += 1
        record = outcome.record
        ends = [record[key] for key in RANGE_KEYS[self.kind]]
        self.least, self.greatest = min(self.least, *ends), max(self.greatest, *ends)
        for target, _ in outcome.job.targets:
            print(printable(str(target)))
        for remark in record.get("photo_remarks", ()):
            self.remarks.setdefault(remark, []).append(outcome.job.source.name)
        if self.follows_camera or any(output.needs_camera for _, output in outcome.job.targets):
            self.cameras[record["intrinsics"]["origin"]] += 1

    @property
    def span(self) -> str:
        """The range of all maps, in words, and the camera if it is one."""
        if self.kind == "depth":
            camera = f"; camera: {next(iter(self.cameras))}" if len(self.cameras) == 1 else ""
            return f"depth in metres, {self.least:.2f}..{self.greatest:.2f}{camera}"
        return f"{IN_WORDS[self.kind]}: {self.least:.6g}..{self.greatest:.6g}"

    def describe(self) -> None:
        """Print the sums on stderr."""
        left = f", {self.skipped} left as they are" if self.skipped else ""
        print(f"{self.written} written, {self.failed} failed{left}", file=sys.stderr)
        for remark, photos in self.remarks.items():
            more = f" and {len(photos) - 1} more" if photos[1:] else ""
            print(f"{photos[0]}{more}: {printable(remark)}", file=sys.stderr)
        listed = self.cameras.most_common(LISTED_CAMERAS)
        for origin, count in listed:
            print(f"camera of {count}: {origin}", file=sys.stderr)
        if others := self.cameras.total() - sum(count for _, count in listed):
            print(f"cameras of {others} more: see the records", file=sys.stderr)


def describe(done: Done) -> None:
    """Print on stderr what the files of one photo hold."""
    for name, note in done.record["outputs"].items():
        remark = done.record["remarks"].get(name)
        print(f"{printable(name)}: {note}{f'; {remark}' if remark else ''}", file=sys.stderr)
