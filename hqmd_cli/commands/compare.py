"""`hqmd compare`: several models in one table and one picture."""

from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import (
    DEFAULT_PROTOCOL,
    MODEL_HELP,
    BackendOption,
    DataOption,
    DepthScaleOption,
    DetailOption,
    DeviceOption,
    FlipOption,
    ProtocolOption,
    SideOption,
    SizeOption,
    SplitOption,
)
from hqmd_cli.config import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError


def compare(
    models: Annotated[list[str], typer.Argument(metavar="MODEL...", help=MODEL_HELP)],
    data: DataOption = None,
    split: SplitOption = "test",
    protocol: ProtocolOption = DEFAULT_PROTOCOL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the tables: .md, .csv, .json or .tex.")
    ] = None,
    per_picture: Annotated[
        Path | None, typer.Option(metavar="FILE.csv", help="Write every metric of every picture and model.")
    ] = None,
    picture: Annotated[Path | None, typer.Option(help="Write a picture: photo, truth and each model.")] = None,
    picture_rows: Annotated[int, typer.Option(min=1, help="Photos in the picture, evenly spaced over the split.")] = 4,
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    detail: DetailOption = False,
) -> None:
    """Measure several models on the same data: their figures, every pair's difference, and one picture.

    \b
    hqmd compare hqmd-indoor runs/mine/best --data nyu_depth_v2_labeled.mat -o table.md --picture grid.png
    """
    from hqmd_cli.commands.judging import draw_grid, judge, load_predictors, open_judged, print_figures, print_table
    from hqmd_cli.comparison import FORMATS, duels_table
    from hqmd_cli.images import FIGURE_SUFFIXES, require_suffix, write_figure, write_text
    from hqmd_cli.paired import duels_of
    from hqmd_cli.tables import per_picture_csv

    if len(set(models)) < len(models):
        raise HqmdError("a model is named twice")
    if output:
        require_suffix(output, FORMATS)
    if per_picture:
        require_suffix(per_picture, [".csv"])
    if picture:
        require_suffix(picture, FIGURE_SUFFIXES)
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    predictors = load_predictors(models, backend, device, side or (), size, flip)
    results = judge(predictors, dataset, chosen, detail)
    duels = duels_of(results)
    print_figures(results, detail)
    if duels:
        print_table(duels_table(duels, results))
    if output:
        for path, text in FORMATS[output.suffix.lower()](output, results, duels).items():
            write_text(path, text)
    if per_picture:
        write_text(per_picture, per_picture_csv(results))
    if picture:
        write_figure(picture, draw_grid(predictors, results, dataset, picture_rows))
