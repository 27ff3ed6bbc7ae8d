"""What `hqmd predict` prints about photos: files on stdout, everything else on stderr."""

import math
import sys
from collections import Counter
from dataclasses import dataclass, field

import typer

from hqmd_cli.errors import HqmdError, complain, printable
from hqmd_cli.prediction.photo_job import Done
from hqmd_cli.prediction.photo_run import PhotoRun
from hqmd_cli.terminal.progress import progress_bar, with_progress
from hqmd_cli.terminal.stops import stops_as_interrupts
from hqmd_cli.units import IN_WORDS, RANGE_KEYS, Kind

LISTED_CAMERAS = 3  # in the summary of many photos


def run_photos(run: PhotoRun, names: bool = True) -> None:
    """Run the jobs, name what was written, and sum up. Exit code 1 if a job or source failed, 130 after Ctrl-C.

    Without `names`, stdout is for something else than the names of the files.
    """
    print(run.work.model.in_words, file=sys.stderr)
    model = run.work.model
    tally, interrupted = Tally(model.kind, model.follows_camera or bool(model.sees), run.given, names), False
    for fault in run.faults:
        tally.count(fault)
    try:
        with stops_as_interrupts() as stop:
            count_photos(run, tally)
            count_clips(run, tally)
    except KeyboardInterrupt:
        interrupted = True
    try:
        index = run.close(interrupted)
        if index and names:
            print(printable(str(index)))
    except HqmdError as error:
        tally.count(error)
    if run.given > 1:
        tally.describe()
    for changed, count in tally.changed.items():
        print(f"redone, since they differ from the records ({printable(changed)}): {count}", file=sys.stderr)
    if run.left_out.counts:
        print(f"left out: {run.left_out.in_words}", file=sys.stderr)
    if interrupted:
        print("hqmd: interrupted; --skip-existing goes on from here", file=sys.stderr)
        raise typer.Exit(stop.exit_code)
    if tally.written:
        print(tally.span, file=sys.stderr)
    if tally.failed:
        raise typer.Exit(1)


def count_photos(run: PhotoRun, tally: "Tally") -> None:
    """Run the jobs of photos, and count what they gave."""
    outcomes, total = run.outcomes(), len(run.jobs)
    for outcome in with_progress(outcomes, "photos", total) if total > 1 else outcomes:
        tally.count(outcome)
        if run.given == 1 and isinstance(outcome, Done):
            describe(outcome)


def count_clips(run: PhotoRun, tally: "Tally") -> None:
    """Run the jobs of videos, one after the other, and count what they gave."""
    if not run.clips:
        return
    from hqmd_cli.prediction.clip_job import do_clip

    model = run.open_for_clips()
    for job in run.clips:
        with progress_bar(f"frames of {printable(job.source.place.name)}") as progress:
            outcome = do_clip(run.work, model, job, progress)
        tally.count(outcome)
        if isinstance(outcome, Done) and not outcome.skipped:
            describe(outcome)


@dataclass
class Tally:
    """What the jobs gave so far."""

    kind: Kind
    follows_camera: bool  # whether the metres depend on the focal length
    given: int
    names: bool = True  # of the files go to stdout
    written: int = 0
    skipped: int = 0
    failed: int = 0
    least: float = math.inf  # of all maps
    greatest: float = -math.inf
    errors: list[float] = field(default_factory=list)  # of the scale of each photo, if the model knows them
    remarks: dict[str, list[str]] = field(default_factory=dict)  # about photos -> the photos
    cameras: Counter[str] = field(default_factory=Counter)  # origin of the focal length -> results that depend on it

    changed: Counter[str] = field(default_factory=Counter)  # what differs from the records of results -> results

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
        self.changed.update([outcome.changed] if outcome.changed else [])
        record = outcome.record
        ends = [record[key] for key in RANGE_KEYS[self.kind]]
        self.least, self.greatest = min(self.least, *ends), max(self.greatest, *ends)
        if record.get("scale_uncertainty") is not None:
            self.errors.append(record["scale_uncertainty"])
        for target, _ in outcome.job.targets if self.names else []:
            print(printable(str(target)))
        for remark in record.get("photo_remarks", ()):
            self.remarks.setdefault(remark, []).append(outcome.job.source.name)
        needed = self.follows_camera or any(output.needs_camera for _, output in outcome.job.targets)
        if needed and "intrinsics" in record:  # which a video's has not
            self.cameras[record["intrinsics"]["origin"]] += 1

    @property
    def span(self) -> str:
        """The range of all maps, in words, and the camera if it is one."""
        if self.kind == "depth":
            camera = f"; camera: {next(iter(self.cameras))}" if len(self.cameras) == 1 else ""
            return f"depth in metres{self.sure}, {self.least:.2f}..{self.greatest:.2f}{camera}"
        return f"{IN_WORDS[self.kind]}: {self.least:.6g}..{self.greatest:.6g}"

    @property
    def sure(self) -> str:
        """How sure the metres are: one relative standard deviation, or the least and the largest of several photos."""
        if len(self.errors) < self.written:  # unknown for videos and some models
            return ""
        ends = dict.fromkeys(f"{100 * error:.0f}" for error in (min(self.errors), max(self.errors)))
        return f" +-{' to '.join(ends)} %"

    def describe(self) -> None:
        """Print the sums on stderr."""
        counts = [f"{self.written} written", f"{self.failed} failed"]
        counts += [f"{self.skipped} left as they are"] if self.skipped else []
        undone = self.given - self.written - self.failed - self.skipped
        counts += [f"{undone} not begun"] if undone > 0 else []
        print(f"{self.given} given: {', '.join(counts)}", file=sys.stderr)
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
