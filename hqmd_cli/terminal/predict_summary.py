"""`hqmd predict`: photos, and video, to depth."""

import math
import sys
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import typer

from hqmd_cli.errors import INTERRUPTED, HqmdError, complain, printable
from hqmd_cli.terminal.progress import with_progress
from hqmd_cli.units import IN_WORDS, Kind, range_keys

if TYPE_CHECKING:
    from hqmd_cli.parallel.processes import Ranks
    from hqmd_cli.prediction.outputs import Job
    from hqmd_cli.prediction.photo_job import Done, PhotoWork

SHOWN_CAMERAS = 3  # in the summary of many photos


def refuse_existing(jobs: "list[Job]", sidecars: bool) -> None:
    """Nothing is replaced unless the user says so."""
    from hqmd_cli.prediction.photo_job import sidecar_of

    places = (
        place for job in jobs for place in (*(t for t, _ in job.targets), *([sidecar_of(job)] if sidecars else []))
    )
    existing = [place for place in places if place.exists()]
    if existing:
        more = f", as do {len(existing) - 1} more results" if existing[1:] else ""
        raise HqmdError(
            f"{existing[0]}: exists already{more}; pass --overwrite, or --skip-existing to keep what the same "
            "model and settings made of the same photo"
        )


def answer_all(jobs: "list[Job]", work: "PhotoWork", workers: int, ranks: "Ranks", faults: "list[HqmdError]") -> None:
    """Run the jobs, name what was written, and sum up. Exit code 1 where one failed, 130 after Ctrl-C.

    `faults` are sources that gave nothing: they count as failed.
    """
    from hqmd_cli.parallel.thread_pool import run_jobs

    tally, interrupted = Tally(work.model.kind), False
    for fault in faults:
        tally.count(fault)
    try:
        outcomes = run_jobs(jobs, work, workers)
        for _, outcome in with_progress(outcomes, "photos", len(jobs)) if len(jobs) > 1 else outcomes:
            tally.count(outcome)
            if len(jobs) == 1 and not isinstance(outcome, HqmdError):
                describe(outcome)
    except KeyboardInterrupt:
        interrupted = True
    if work.manifest:
        if not interrupted:
            ranks.wait_for_all()
        try:
            if ranks.is_first:
                work.manifest.join()
        except HqmdError as error:
            tally.count(error)
    if len(jobs) + len(faults) > 1:
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
    """What became of the jobs so far."""

    kind: Kind
    written: int = 0
    skipped: int = 0
    failed: int = 0
    least: float = math.inf  # of all maps
    greatest: float = -math.inf
    cameras: Counter[str] = field(default_factory=Counter)  # where focal lengths are from, of results that need one

    def count(self, outcome: "Done | HqmdError") -> None:
        """Add a job; name what it wrote on stdout, or why it failed on stderr."""
        if isinstance(outcome, HqmdError):
            complain(outcome)
            self.failed += 1
            return
        if outcome.skipped:
            self.skipped += 1
            return
        self.written += 1
        record = outcome.record
        ends = [record[key] for key in range_keys(self.kind)]
        self.least, self.greatest = min(self.least, *ends), max(self.greatest, *ends)
        for target, _ in outcome.job.targets:
            print(printable(str(target)))
        if any(kind.needs_camera for _, kind in outcome.job.targets):
            self.cameras[record["intrinsics"]["origin"]] += 1

    @property
    def span(self) -> str:
        """What lies between the ends of all maps."""
        if self.kind == "depth":
            return f"depth in metres, {self.least:.2f}..{self.greatest:.2f}"
        return f"{IN_WORDS[self.kind]}: {self.least:.6g}..{self.greatest:.6g}"

    def describe(self) -> None:
        """The sums, on stderr."""
        left = f", {self.skipped} left as they are" if self.skipped else ""
        print(f"{self.written} written, {self.failed} failed{left}", file=sys.stderr)
        for origin, photos in self.cameras.most_common(SHOWN_CAMERAS):
            print(f"camera of {photos}: {origin}", file=sys.stderr)
        if others := self.cameras.total() - sum(count for _, count in self.cameras.most_common(SHOWN_CAMERAS)):
            print(f"cameras of {others} more: see the records", file=sys.stderr)


def describe(done: "Done") -> None:
    """What the files of one photo hold, on stderr."""
    for name, note in done.record["outputs"].items():
        remark = done.record["remarks"].get(name)
        print(f"{printable(name)}: {note}{f'; {remark}' if remark else ''}", file=sys.stderr)
