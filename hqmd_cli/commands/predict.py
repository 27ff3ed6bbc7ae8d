"""`hqmd predict`: photos to depth maps."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import BackendOption, DeviceOption, FlipOption, ModelOption, SideOption
from hqmd_cli.errors import HqmdError, complain
from hqmd_cli.hub import DEFAULT_MODEL


def predict(
    sources: Annotated[list[Path], typer.Argument(metavar="SOURCE...", help="Photos or folders of photos.")],
    output: Annotated[
        list[Path],
        typer.Option(
            "--output",
            "-o",
            help="depth.png: colours; depth.mm.png: 16-bit millimetres; depth.npy: metres; or a folder. May repeat.",
        ),
    ],
    formats: Annotated[
        str | None,
        typer.Option("--format", help="For a folder: color, mm, npy, separated by commas.", show_default="color"),
    ] = None,
    model: ModelOption = DEFAULT_MODEL,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    flip: FlipOption = False,
) -> None:
    """Write the metric depth of photos: as a colour picture, a 16-bit PNG in millimetres or float32 metres.

    A folder keeps its tree: DIR/a/b.jpg goes to OUT/a/b.png. Depth always has the photo's size.

    \b
    hqmd predict photo.jpg -o depth.png -o depth.mm.png
    hqmd predict holiday/ -o depths/ --format color,npy
    """
    from hqmd_cli.data.sample import require_depth
    from hqmd_cli.hub import find_checkpoint
    from hqmd_cli.images import find_photos, read_image
    from hqmd_cli.outputs import plan

    photos = [found for source in sources for found in find_photos(source, leave_out=output)]
    jobs = plan(photos, output, formats)

    from hqmd_cli.predictor import load_predictor

    predictor = load_predictor(find_checkpoint(model), backend, device, side, flip)
    written, failed, near_m, far_m = 0, 0, float("inf"), 0.0
    for job in jobs:
        try:
            depth_m = predictor(read_image(job.photo))
            require_depth(depth_m, str(job.photo))
            for target, kind in job.targets:
                kind.write(target, depth_m)
                print(f"{target}: {kind.note}", file=sys.stderr)
        except HqmdError as error:
            complain(error)
            failed += 1
            continue
        written += 1
        near_m, far_m = min(near_m, float(depth_m.min())), max(far_m, float(depth_m.max()))
    if len(jobs) > 1:
        print(f"{written} photos done, {failed} failed", file=sys.stderr)
    if written:
        print(f"depth in metres, {near_m:.2f}..{far_m:.2f}", file=sys.stderr)
    if failed:
        raise typer.Exit(1)
