"""`hqmd compare`: measure several models, in one table and one picture."""

from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import (
    ANY_MODEL_HELP,
    BackendOption,
    DeviceOption,
    FlipOption,
    ModelKindOption,
    OnnxProfileOption,
    OverwriteOption,
    SideOption,
    SizeOption,
)
from hqmd_cli.commands.scoring_options import (
    DEFAULT_PROTOCOL,
    DEFAULT_REPORT_PICTURES,
    PRED_HELP,
    DataOption,
    DepthScaleOption,
    DetailOption,
    PerPictureOption,
    PredAnywayOption,
    PredKindOption,
    PredResizeOption,
    PredScaleOption,
    ProtocolOption,
    PublishedOption,
    ReportOption,
    ReportPicturesOption,
    SplitOption,
    Table1Option,
)
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError


def compare(
    models: Annotated[
        list[str] | None, typer.Argument(metavar="MODEL...", help=ANY_MODEL_HELP, show_default=False)
    ] = None,
    model_kind: ModelKindOption = None,
    onnx_profile: OnnxProfileOption = "",
    data: DataOption = None,
    split: SplitOption = None,
    pred: Annotated[list[Path] | None, typer.Option(metavar="DIR", help=f"{PRED_HELP} May be repeated.")] = None,
    pred_scale: PredScaleOption = None,
    pred_kind: PredKindOption = "depth",
    pred_resize: PredResizeOption = None,
    pred_anyway: PredAnywayOption = False,
    protocol: ProtocolOption = DEFAULT_PROTOCOL,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Also write the tables: .md, .csv, .json or .tex.")
    ] = None,
    per_picture: PerPictureOption = None,
    published: PublishedOption = False,
    table1: Table1Option = False,
    picture: Annotated[
        Path | None, typer.Option(help="Draw photo, ground truth and the depth of each model, as .png or .pdf.")
    ] = None,
    picture_rows: Annotated[int, typer.Option(min=1, help="Photos in the picture, evenly spaced over the split.")] = 4,
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    detail: DetailOption = None,
    report: ReportOption = None,
    report_pictures: ReportPicturesOption = DEFAULT_REPORT_PICTURES,
    overwrite: OverwriteOption = False,
) -> None:
    """Measure several models on the same data, and test their differences.

    \b
    hqmd compare hqmd-indoor runs/mine/best --data nyu_depth_v2_labeled.mat -o table.md --picture grid.png
    hqmd compare hqmd-indoor --pred maps/ --data nyu_depth_v2_labeled.mat --protocol eigen-filled
    """
    from hqmd_cli.evaluation.prediction_folder import FolderOptions
    from hqmd_cli.evaluation.significance import comparisons_of
    from hqmd_cli.files.atomic import require_suffix, write_text
    from hqmd_cli.files.images import write_figure
    from hqmd_cli.inference.open import OpenOptions
    from hqmd_cli.reporting.comparison import FORMATS, draw_grid, possible_files, require_drawable
    from hqmd_cli.terminal.evaluation_output import Extras, add_sources, print_figures, start_session

    models, folders = models or [], pred or []
    names = [*models, *(folder.name for folder in folders)]
    if not names:
        raise HqmdError("nothing to compare: name models, or folders of predictions with --pred")
    if len(set(names)) < len(names):
        raise HqmdError(f"{max(names, key=names.count)} is named twice; folders need different names")
    if output:
        require_suffix(output, FORMATS)
    if picture:
        require_drawable(picture)
    own = (picture, *possible_files(output))
    extras = Extras(per_picture, published, table1, report, report_pictures, overwrite, own)
    options = OpenOptions(backend, device, side or (), size, flip, kind=model_kind, profile=onnx_profile)
    folder_options = FolderOptions(pred_scale, pred_kind, pred_resize, pred_anyway)

    session = start_session(data, split, protocol, depth_scale, outputs=extras.files)
    beside = extras.published_rows(session.dataset)
    add_sources(session, models, options, folders, folder_options)
    results = session.score(any(extras.files) if detail is None else detail, by_depth=bool(report))
    comparisons = comparisons_of(results)
    print_figures(results, comparisons, beside, bool(detail))
    if output:
        for path, text in FORMATS[output.suffix.lower()](output, results, comparisons, beside).items():
            write_text(path, text)
    if picture:
        write_figure(picture, draw_grid(session.sources, results, session.dataset, picture_rows))
    extras.write(session, results, comparisons)
