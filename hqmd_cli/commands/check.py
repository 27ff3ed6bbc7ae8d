"""`hqmd check`: what is in a dataset, and what is wrong with it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import DepthScaleOption

OVERLAYS = 5


def check(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="As --data elsewhere: nyu_depth_v2_labeled.mat, a folder or a list.  [default: $HQMD_DATA]"
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Only this one.  [default: train, val and test, or else everything]")
    ] = None,
    val_data: Annotated[
        Path | None, typer.Option(help="Other data that is judged on: are photos of the first in its val and test?")
    ] = None,
    depth_scale: DepthScaleOption = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw the edges of depth over five photos, and their depth beside."),
    ] = None,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Read every frame, and tell counts, sizes, unit and range of depth, holes, damage, duplicates and leaks.

    Exit code 1 says that the data cannot be used as it is: splits that do not open, more than 1 % of broken frames, no
    depth, or photos to be judged on among those to learn from. The rest are warnings.

    \b
    hqmd check pairs/ --picture overlays.png
    hqmd check nyu_pairs/ --val-data nyu_depth_v2_labeled.mat
    """
    import json

    from hqmd_cli.data import default_data
    from hqmd_cli.data.check.findings_text import as_dict, as_text
    from hqmd_cli.data.check.scan import findings, look_at_all, open_splits, strays_of
    from hqmd_cli.data.sample import evenly
    from hqmd_cli.files.atomic import require_suffix
    from hqmd_cli.files.images import write_image
    from hqmd_cli.terminal.progress import with_progress

    if picture:
        require_suffix(picture, frozenset({".png", ".jpg"}))
    path = data or default_data()
    splits = open_splits(path, split, val_data, depth_scale)
    total = sum(map(len, splits))
    wanted = evenly(total, OVERLAYS) if picture and total else []
    shown = []
    looks = with_progress(look_at_all(splits, os.cpu_count() or 1), "frames", total)
    for number, (_, _, sample) in enumerate(looks):
        if number in wanted and sample is not None:
            shown.append(sample)
    found = findings(splits, strays_of(path))
    if in_json:
        print(json.dumps({"data": str(path), **as_dict(splits, found)}, indent=1))
    else:
        print(as_text(splits, found), end="")
    if picture and shown:
        from hqmd_cli.data.check.overlays import overlays

        write_image(picture, overlays(shown))
    if any(finding.is_error for finding in found):
        raise typer.Exit(1)
