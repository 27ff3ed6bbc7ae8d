"""`hqmd check`: what a dataset contains, and what is wrong with it."""

from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import OverwriteOption
from hqmd_cli.commands.scoring_options import DepthScaleOption

OVERLAYS = 5


def check(
    data: Annotated[
        Path | None,
        typer.Argument(
            help="Same as --data elsewhere: nyu_depth_v2_labeled.mat, a folder or a list.  "
            "[default: $HQMD_DATA, else the file of `hqmd data nyu`]"
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Check only this split.  [default: train, val and test, or else everything]")
    ] = None,
    val_data: Annotated[
        Path | None,
        typer.Option(help="Other data to validate on: report photos of DATA that are in its val or test split."),
    ] = None,
    depth_scale: DepthScaleOption = None,
    picture: Annotated[
        Path | None,
        typer.Option(metavar="FILE.png", help="Draw five photos with their depth edges, and the depth beside them."),
    ] = None,
    overwrite: OverwriteOption = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Report what a dataset contains, and what is wrong with it.

    Every frame is read. The report covers counts, sizes, unit and range of depth, holes, damage, duplicates, and photos
    that are in two splits. Exit code 1 means that the data cannot be used as it is: splits that do not open, more than
    1 % of broken frames, no depth, or photos of val or test among the training photos. Everything else is a warning.

    \b
    hqmd check pairs/ --picture overlays.png
    hqmd check nyu_pairs/ --val-data nyu_depth_v2_labeled.mat
    """
    import json

    from hqmd_cli.data import default_data
    from hqmd_cli.data.check.report_text import as_dict, as_text
    from hqmd_cli.data.check.scan import check_data
    from hqmd_cli.files.atomic import require_suffix
    from hqmd_cli.files.images import write_image
    from hqmd_cli.files.outputs import refuse_existing_outputs, refuse_over_input
    from hqmd_cli.terminal.progress import with_progress

    if picture:
        require_suffix(picture, frozenset({".png", ".jpg"}))
    path = data or default_data()
    refuse_over_input([picture], [path, val_data])
    refuse_existing_outputs([picture], overwrite)
    report = check_data(path, split, val_data, depth_scale, OVERLAYS if picture else 0, with_progress)
    if in_json:
        print(json.dumps({"data": str(path), **as_dict(report)}, indent=1))
    else:
        print(as_text(report), end="")
    if picture and report.examples:
        from hqmd_cli.data.check.overlays import overlays

        refuse_over_input([picture], report.files)
        write_image(picture, overlays(report.examples))
    if not report.is_usable:
        raise typer.Exit(1)
