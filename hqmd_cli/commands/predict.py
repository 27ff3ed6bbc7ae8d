"""`hqmd predict`: photos, and video, to depth."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.commands.options import (
    ActorsOption,
    AddressOption,
    BackendOption,
    CpusPerActorOption,
    DeviceOption,
    EngineOption,
    FlipOption,
    GpusPerActorOption,
    ModelKindOption,
    ModelOption,
    OnnxProfileOption,
    SideOption,
    SizeOption,
    actors_of,
)
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.prediction.formats import DEFAULT_FORMAT, OUTPUTS, extend_outputs
from hqmd_cli.visualization import COLORMAPS, DEFAULT_COLORMAP

if TYPE_CHECKING:
    from hqmd_cli.prediction.photo_run import PhotoRun

if "--help" in sys.argv[2:]:  # of this command, which lists what other packages add
    extend_outputs()
OUTPUTS_IN_WORDS = ", ".join(f"{output.suffix} ({output.note_of('depth')})" for output in OUTPUTS.values())


def predict(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE...",
            help="Photos, videos, folders, globs, http(s)://..., - for stdin, or camera:N. Or many photos: .tar, "
            ".parquet, s3://, gs:// and az:// with {000..099} and *.",
        ),
    ],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            help=f"A file: {OUTPUTS_IN_WORDS}, .mp4 (the depth of a video); a folder or bucket; or - for stdout. "
            "May repeat.",
        ),
    ],
    formats: Annotated[
        str | None,
        typer.Option(
            "--format",
            help=f"What to write into a folder, separated by commas, or to stdout: {', '.join(OUTPUTS)}.",
            show_default=DEFAULT_FORMAT,
        ),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    model_kind: ModelKindOption = None,
    onnx_profile: OnnxProfileOption = "",
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    compiled: Annotated[
        bool, typer.Option("--compile", help="Compile the network first (torch.compile); needs torch.")
    ] = False,
    colormap: Annotated[str, typer.Option(help=f"{', '.join(COLORMAPS)}.")] = DEFAULT_COLORMAP,
    vmin: Annotated[float | None, typer.Option(help="Depth of the nearest colour, in metres.")] = None,
    vmax: Annotated[float | None, typer.Option(help="Depth of the farthest colour, in metres.")] = None,
    legend: Annotated[bool, typer.Option("--legend", help="Draw a scale in metres beside the colours.")] = False,
    side_by_side: Annotated[
        bool, typer.Option("--side-by-side", help="Put the photo to the left of the colours.")
    ] = False,
    edge_rtol: Annotated[
        float | None, typer.Option(help="Drop points and faces at relative depth jumps larger than this.")
    ] = None,
    max_uncertainty: Annotated[
        float | None,
        typer.Option(help="Drop points and faces with a relative shape error above this, such as 0.2."),
    ] = None,
    fov: Annotated[float | None, typer.Option(help="Horizontal field of view, in degrees.")] = None,
    fx: Annotated[
        float | None,
        typer.Option(help="Focal length, in pixels; metres grow with it.  [default: EXIF, else NYU's camera]"),
    ] = None,
    camera: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="JSON with the camera's fx, fy, cx, cy, in pixels. Distortion is ignored."),
    ] = None,
    scale_from: Annotated[
        str | None,
        typer.Option(
            metavar="X,Y,METRES",
            help="Correct the scale by a distance that you measured, from the camera to what pixel (X, Y) shows.",
        ),
    ] = None,
    picture: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Picture to read of a file with several.  [default: the first; an icon's largest]"
        ),
    ] = None,
    smooth: Annotated[
        bool, typer.Option("--smooth", help="Smooth a video's depth over time; report the flicker before and after.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Also write NAME.json: unit, range, camera, model.")] = False,
    skip_existing: Annotated[
        bool,
        typer.Option(
            "--skip-existing",
            help="Skip photos with results of the same model and settings (by NAME.json, or a folder's manifest).",
        ),
    ] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace existing results.")] = False,
    allow_private: Annotated[
        bool, typer.Option("--allow-private", help="Also read http(s):// photos from addresses that are not public.")
    ] = False,
    shard: Annotated[
        str | None,
        typer.Option(metavar="I/N", help="Do part I of N, counted from 0; `hqmd merge-manifests` joins the records."),
    ] = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Stop after N photos.")] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Count photos and bytes, estimate the time from 20 of them, and write nothing."),
    ] = False,
    engine: EngineOption = "local",
    address: AddressOption = "",
    actors: ActorsOption = None,
    cpus_per_actor: CpusPerActorOption = None,
    gpus_per_actor: GpusPerActorOption = None,
) -> None:
    """Write the metric depth of photos and video.

    A folder keeps its tree: DIR/a/b.jpg goes to OUT/a/b.png, and OUT/manifest.jsonl gets a line per photo. Depth maps
    have the photo's size. The names of written files go to stdout, everything else to stderr.

    \b
    hqmd predict photo.jpg -o depth.png -o depth.mm.png
    hqmd predict holiday/ -o depths/ --format color,npy --skip-existing
    hqmd predict clip.mp4 -o depth.mp4
    hqmd predict "s3://in/{000..099}.tar" -o s3://out/depths --format mm --shard 3/10 --skip-existing
    cat photo.jpg | hqmd predict - -o - --format npy > depth.npy
    """
    from hqmd_cli.inference.open import OpenOptions, opener

    options = OpenOptions(backend, device, side or (), size, flip, 0, compiled, model_kind, onnx_profile)
    open_with = opener(model, options, at_once=len(sources) == 1 and os.path.isfile(sources[0]) and not picture)
    from hqmd_cli.geometry import DEFAULT_EDGE_RTOL
    from hqmd_cli.prediction.result import Style
    from hqmd_cli.prediction.sources import goes_alone, goes_in_shards, refuse_for_video

    rtol = DEFAULT_EDGE_RTOL if edge_rtol is None else edge_rtol
    style = Style(colormap, vmin, vmax, legend, side_by_side, rtol, max_uncertainty)
    same = {"fov": fov, "fx": fx, "camera": camera, "as_json": as_json, "skip_existing": skip_existing,
            "overwrite": overwrite, "allow_private": allow_private, "picture": picture}  # fmt: skip
    on_ray = actors_of(engine, address, actors, cpus_per_actor, gpus_per_actor)
    if shard or limit or dry_run or on_ray or goes_in_shards(sources, output):
        from hqmd_cli.terminal.predict_shards import run_shards

        refused = {"--scale-from": scale_from, "--smooth": smooth or None}
        return run_shards(sources, output, model, options, formats, style, refused, dry_run, shard, limit, on_ray, same)
    if goes_alone(sources, output):
        from hqmd_cli.terminal.predict_video import run_video

        for_photos = {"--scale-from": scale_from, "--fov": fov, "--fx": fx, "--camera": camera,
                      "--edge-rtol": edge_rtol, "--max-uncertainty": max_uncertainty, "--picture": picture,
                      "--format": formats, "--json": as_json or None,
                      "--skip-existing": skip_existing or None}  # fmt: skip
        refuse_for_video(for_photos)
        return run_video(sources, output, open_with, style, overwrite, smooth)
    from hqmd_cli.prediction.photo_run import prepare
    from hqmd_cli.terminal.predict_summary import run_photos

    def prepare_for(destinations: Sequence[Path], outputs: str | None) -> "PhotoRun":
        return prepare(sources, destinations, outputs, open_with, style, scale_from=scale_from, smooth=smooth, **same)  # type: ignore[arg-type]

    if Path("-") in output:
        from hqmd_cli.terminal.predict_stdout import run_to_stdout

        for_files = {"--json": as_json, "--skip-existing": skip_existing, "--overwrite": overwrite}
        return run_to_stdout(output, formats, for_files, prepare_for)
    run_photos(prepare_for(output, formats))
