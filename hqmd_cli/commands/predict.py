"""`hqmd predict`: photos, and video, to depth."""

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL, find_here
from hqmd_cli.commands.options import (
    BackendOption,
    DeviceOption,
    FlipOption,
    ModelKindOption,
    ModelOption,
    SideOption,
    SizeOption,
)
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.select import engine_opener
from hqmd_cli.prediction.formats import DEFAULT_FORMAT, OUTPUTS
from hqmd_cli.terminal.predict_summary import answer_all, refuse_existing
from hqmd_cli.visualization import COLORMAPS, DEFAULT_COLORMAP

if TYPE_CHECKING:
    from hqmd_cli.inference.open import OpenModel

OUTPUTS_IN_WORDS = ", ".join(f"{output.suffix} ({output.note_of('depth')})" for output in OUTPUTS.values())


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
            help=f"A file: {OUTPUTS_IN_WORDS}, .mp4 (the depth of a video); or a folder. May repeat.",
        ),
    ],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"What to write into a folder, separated by commas: {', '.join(OUTPUTS)}.",
            show_default=DEFAULT_FORMAT,
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
    colormap: Annotated[str, typer.Option(help=f"{', '.join(COLORMAPS)}.")] = DEFAULT_COLORMAP,
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
        from hqmd_cli.inference.open import Wish
        from hqmd_cli.inference.open import open_model as open_any

        wish = Wish(backend, device, side or (), size, flip, threads, compiled, model_kind)
        return open_any(model, wish, opening.result() if opening else None)

    from hqmd_cli.geometry.surfaces import DEFAULT_EDGE_RTOL
    from hqmd_cli.parallel.processes import Ranks
    from hqmd_cli.prediction.outputs import Look, plan, refuse_metres
    from hqmd_cli.prediction.sources import find_sources, is_video

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
        from hqmd_cli.terminal.predict_video import answer_video

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

    from hqmd_cli.prediction.manifest import Settings
    from hqmd_cli.prediction.photo_job import PhotoWork, Reading, known_results, open_manifest

    ranks = Ranks.from_environment()
    manifest = open_manifest(all_jobs, output, ranks)
    if manifest and ranks.is_first:
        manifest.join()  # what a run that was stopped left must not outlive what this one writes
    ranks.connect()
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
