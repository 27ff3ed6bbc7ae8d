"""`hqmd evaluate`: measure one model on one dataset."""

from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.commands.options import (
    BackendOption,
    DeviceOption,
    FlipOption,
    ModelKindOption,
    ModelOption,
    OverwriteOption,
    SideOption,
    SizeOption,
)
from hqmd_cli.commands.scoring_options import (
    DEFAULT_PROTOCOL,
    DEFAULT_REPORT_PICTURES,
    DataOption,
    DepthScaleOption,
    DetailOption,
    PerPictureOption,
    PredAnywayOption,
    PredKindOption,
    PredResizeOption,
    PredScaleOption,
    ProtocolsOption,
    PublishedOption,
    ReportOption,
    ReportPicturesOption,
    SplitOption,
    Table1Option,
)
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import ALL


def evaluate(
    data: DataOption = None,
    split: SplitOption = None,
    model: ModelOption = DEFAULT_MODEL,
    model_kind: ModelKindOption = None,
    pred: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Score files made by any tool instead of a model: one map per picture, found by the picture's name.",
        ),
    ] = None,
    pred_scale: PredScaleOption = None,
    pred_kind: PredKindOption = "depth",
    pred_resize: PredResizeOption = None,
    pred_anyway: PredAnywayOption = False,
    protocol: ProtocolsOption = DEFAULT_PROTOCOL,
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    detail: DetailOption = True,
    per_picture: PerPictureOption = None,
    published: PublishedOption = False,
    table1: Table1Option = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Save the figures of each picture there, and continue from them after a stop."
        ),
    ] = None,
    report: ReportOption = None,
    report_pictures: ReportPicturesOption = DEFAULT_REPORT_PICTURES,
    overwrite: OverwriteOption = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's config.json and card.")
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only print the rules of a protocol, or the formula of a metric, and its source."
        ),
    ] = None,
) -> None:
    """Measure a model, or a folder of predictions.

    The table shows AbsRel, log10, RMSE, RMSElog, delta1-3, the bias (the median of prediction / truth) and the F1 of
    depth edges.

    \b
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol eigen-filled
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol eigen-filled --pred maps/
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol all
    hqmd evaluate --explain eigen-filled
    """
    if explain:
        from hqmd_cli.evaluation.explain import explain as explanation_of

        print(explanation_of(explain))
        return

    from hqmd_cli.checkpoints.checkpoint import record_figures
    from hqmd_cli.checkpoints.hub import find_own
    from hqmd_cli.checkpoints.run_folder import held
    from hqmd_cli.evaluation.prediction_folder import FolderOptions
    from hqmd_cli.inference.open import OpenOptions
    from hqmd_cli.terminal.evaluation_output import Extras, add_sources, print_one, print_under_each, start_session

    changes_view = bool(side or flip or size != DEFAULT_SIZE)
    if record and (changes_view or protocol == ALL):
        raise HqmdError("--record is for the model's own settings and one protocol: without --side, --size and --flip")
    if pred and (record or changes_view or model != DEFAULT_MODEL or model_kind):
        raise HqmdError(
            "--pred scores files as they are: without --model, --model-kind, --side, --size, --flip and --record"
        )
    if protocol == ALL:
        require_one_protocol({"--report": report, "--per-picture": per_picture, "--resume": resume})
    folder = find_own(model) if record else None  # a foreign model has no card of ours
    one = protocol != ALL
    extras = Extras(per_picture, published and one, table1 and one, report, report_pictures, overwrite)
    options = OpenOptions(backend, device, side or (), size, flip, kind=model_kind)
    folder_options = FolderOptions(pred_scale, pred_kind, pred_resize, pred_anyway)

    session = start_session(data, split, protocol, depth_scale, True, [*extras.files, resume])
    beside = extras.published_rows(session.dataset)
    add_sources(session, [] if pred else [model], options, [pred] if pred else [], folder_options)
    if protocol == ALL:
        print_under_each(session, in_json)
        return
    with held(folder) if folder else nullcontext():  # held while it is measured, so that its figures are its own
        results = session.score(detail, bool(report), resume)
        if folder:
            record_figures(folder, results[model].to_dict())
    print_one(results, beside, in_json)
    extras.write(session, results, [])


def require_one_protocol(files: dict[str, Path | None]) -> None:
    """Raise HqmdError if a file is asked for that holds the figures of one protocol."""
    for flag, given in files.items():
        if given:
            raise HqmdError(f"{flag} is for one protocol, not for {ALL}")
