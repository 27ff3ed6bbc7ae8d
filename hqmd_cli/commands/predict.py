"""`hqmd predict`: photos, and video, to depth."""

import math
import os
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from hqmd_cli.commands.options import (
    BackendOption,
    DeviceOption,
    FlipOption,
    ModelKindOption,
    ModelOption,
    SideOption,
    SizeOption,
)
from hqmd_cli.config import DEFAULT_SIZE
from hqmd_cli.engines.opening import engine_opener
from hqmd_cli.errors import INTERRUPTED, HqmdError, complain, printable
from hqmd_cli.hub import DEFAULT_MODEL, find_here
from hqmd_cli.kinds import IN_WORDS, Kind, range_keys

if TYPE_CHECKING:
    from hqmd_cli.opening import OpenModel
    from hqmd_cli.outputs import Job
    from hqmd_cli.prediction import Done, PhotoWork
    from hqmd_cli.ranks import Ranks

T = TypeVar("T")
SHOWN_CAMERAS = 3  # in the summary of many photos


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="SOURCE...", help="Photos, folders, globs, - for stdin, one video, or camera:N."),
    ],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            help="depth.png: colours; depth.mm.png: 16-bit millimetres; .npy, .tiff: metres; .ply: points; .glb: mesh; "
            ".normals.png; .mp4 for video; or a folder. May repeat.",
        ),
    ],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="For a folder, separated by commas: color, mm, npy, tiff, ply, glb, normals.",
            show_default="color",
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    model_kind: ModelKindOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    compiled: Annotated[bool, typer.Option("--compile", help="With torch: compile the network first.")] = False,
    colormap: Annotated[str, typer.Option(help="magma, inferno, plasma, viridis, cividis, turbo or gray.")] = "magma",
    vmin: Annotated[float | None, typer.Option(help="Nearest depth of the colours, metres.")] = None,
    vmax: Annotated[float | None, typer.Option(help="Farthest depth of the colours, metres.")] = None,
    legend: Annotated[bool, typer.Option("--legend", help="Near and far in metres beside the colours.")] = False,
    side_by_side: Annotated[bool, typer.Option("--side-by-side", help="The photo left of the colours.")] = False,
    edge_rtol: Annotated[
        float | None, typer.Option(help="Points and faces at relative depth jumps above this are dropped.")
    ] = None,
    fov: Annotated[float | None, typer.Option(help="Horizontal field of view, degrees.")] = None,
    fx: Annotated[float | None, typer.Option(help="Focal length, pixels.  [default: EXIF, else NYU's camera]")] = None,
    scale_from: Annotated[
        str | None,
        typer.Option(metavar="X,Y,METRES", help="A measured distance from the camera to pixel (X, Y) sets the scale."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Also write NAME.json: unit, range, camera, model.")] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Leave results of the same photo, model and settings (by NAME.json, or a folder's manifest).",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist.")] = False,
) -> None:
    """Write the metric depth of photos and video.

    A folder keeps its tree: DIR/a/b.jpg goes to OUT/a/b.png, and OUT/manifest.jsonl gets a line a photo. Depth has the
    photo's size. What was written is named on stdout, everything else on stderr.

    \b
    hqmd predict photo.jpg -o depth.png -o depth.mm.png
    hqmd predict holiday/ -o depths/ --format color,npy --skip-existing
    hqmd predict clip.mp4 -o depth.mp4
    """

    # Of one file the model is opened while all else is imported, a fifth of a cold start; not one to be downloaded.
    here = find_here(model) if len(sources) == 1 and os.path.isfile(sources[0]) else None
    opening = ThreadPoolExecutor(1).submit(engine_opener(here, backend, device, 0, compiled)) if here else None

    def open_model(threads: int) -> "OpenModel":
        from hqmd_cli.opening import Wish
        from hqmd_cli.opening import open_model as open_any

        wish = Wish(backend, device, side or (), size, flip, threads, compiled, model_kind)
        return open_any(model, wish, opening.result() if opening else None)

    from hqmd_cli.outputs import DEFAULT_EDGE_RTOL, Look, plan, refuse_metres
    from hqmd_cli.ranks import Ranks
    from hqmd_cli.sources import find_sources, is_video

    look = Look(colormap, vmin, vmax, legend, side_by_side, DEFAULT_EDGE_RTOL if edge_rtol is None else edge_rtol)
    if any(is_video(source) or source.startswith("camera:") for source in sources):
        for_photos = {
            "--scale-from": scale_from,
            "--fov": fov,
            "--fx": fx,
            "--edge-rtol": edge_rtol,
            "--format": formats,
        }
        for_photos |= {"--json": as_json or None, "--skip-existing": skip_existing or None}
        if given := [flag for flag, value in for_photos.items() if value is not None]:
            raise HqmdError(f"{' and '.join(given)}: for photos only, not for video")
        from hqmd_cli.commands.predict_video import answer_video

        opened = open_model(0)
        refuse_metres(opened.kind, model, [], look, None)
        if opened.origin:
            print(opened.in_words, file=sys.stderr)
        answer_video(sources, output, look, opened, overwrite)
        return

    faults: list[HqmdError] = []
    all_jobs = plan(find_sources(sources, output, faults.append), output, formats)
    if scale_from and len(all_jobs) > 1:
        raise HqmdError("--scale-from: one distance cannot be true of several photos; give one photo")
    if not (skip_existing or overwrite):
        refuse_existing(all_jobs, as_json)

    from hqmd_cli.prediction import PhotoWork, Reading, known_results, open_manifest
    from hqmd_cli.records import Settings

    ranks = Ranks.from_environment()
    manifest = open_manifest(all_jobs, output, ranks)
    if manifest and ranks.is_first:
        manifest.join()  # what a run that was stopped left must not outlive what this one writes
    ranks.meet()
    jobs = ranks.share(all_jobs)
    sidecars = as_json or (skip_existing and manifest is None)

    workers = max(1, min(len(jobs), os.cpu_count() or 1))
    opened = open_model(1 if workers > 1 else 0)
    refuse_metres(opened.kind, model, all_jobs, look, scale_from)
    print(opened.in_words, file=sys.stderr)
    reading = Reading.parse(scale_from) if scale_from else None
    recorded = sidecars or manifest is not None
    # Hashing costs a cold start as much as a small network does.
    digest = opened.digest() if recorded else ""
    seen = (opened.precision, opened.sides, opened.flips)
    settings = Settings(opened.name, digest, *seen, asdict(look), fov, fx, scale_from, opened.kind)
    work = PhotoWork(
        opened,
        settings,
        look,
        reading,
        sidecars,
        manifest,
        known_results(jobs, manifest) if skip_existing else {},
        overwrite,
    )
    answer_all(jobs, work, workers, ranks, faults if ranks.is_first else [])


def refuse_existing(jobs: "list[Job]", sidecars: bool) -> None:
    """Nothing is replaced unless the user says so."""
    from hqmd_cli.prediction import sidecar_of

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
    from hqmd_cli.pipeline import run_jobs

    tally, interrupted = Tally(work.model.kind), False
    for fault in faults:
        tally.count(fault)
    try:
        for _, outcome in counted(run_jobs(jobs, work, workers), len(jobs)):
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


def counted(outcomes: "Iterator[T]", total: int) -> "Iterator[T]":
    """The same, with a bar and the time left on a terminal where there are many."""
    if total == 1 or not sys.stderr.isatty():
        yield from outcomes
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(outcomes, "photos", total, console=Console(stderr=True), transient=True)
