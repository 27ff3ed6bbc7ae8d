"""`hqmd evaluate`: one model's figures on one dataset."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.commands.options import (
    DEFAULT_PROTOCOL,
    DEFAULT_REPORT_PICTURES,
    BackendOption,
    DataOption,
    DepthScaleOption,
    DetailOption,
    DeviceOption,
    FlipOption,
    ModelKindOption,
    ModelOption,
    PerPictureOption,
    PredAnywayOption,
    PredKindOption,
    PredResizeOption,
    PredScaleOption,
    ProtocolsOption,
    PublishedOption,
    ReportOption,
    ReportPicturesOption,
    SideOption,
    SizeOption,
    SplitOption,
    Table1Option,
)
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import ALL

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset
    from hqmd_cli.evaluation.prediction_source import Judged


def evaluate(
    data: DataOption = None,
    split: SplitOption = "test",
    model: ModelOption = DEFAULT_MODEL,
    model_kind: ModelKindOption = None,
    pred: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Judge files instead: a map a picture, by its name, made by any tool."),
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
        typer.Option(metavar="FILE", help="Keep every picture's figures there, and go on from them after a stop."),
    ] = None,
    report: ReportOption = None,
    report_pictures: ReportPicturesOption = DEFAULT_REPORT_PICTURES,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's config.json and card.")
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only print what a protocol or a metric is, and where it is from."),
    ] = None,
) -> None:
    """Measure a model, or a folder of predictions: AbsRel, log10, RMSE, RMSElog, delta1-3, bias, edge F1.

    Bias is the median of prediction / truth.

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
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.evaluation.session import (
        FilesWish,
        judge,
        judge_under_each,
        open_files,
        open_judged,
        open_models,
        open_under_each,
    )
    from hqmd_cli.inference.open import OpenOptions
    from hqmd_cli.reporting.literature import literature_dicts, literature_table
    from hqmd_cli.reporting.tables import as_json, one_as_dict, protocols_table
    from hqmd_cli.terminal.evaluation_output import (
        print_figures,
        print_table,
        require_outputs,
        rows_beside,
        write_per_picture,
        write_report,
    )

    as_it_is = not (side or flip or size != DEFAULT_SIZE)
    if record and not (as_it_is and protocol != ALL):
        raise HqmdError(
            "--record is for what the model does by itself, under one protocol: without --side, --size and --flip"
        )
    if pred and (record or not as_it_is or model != DEFAULT_MODEL or model_kind):
        raise HqmdError(
            "--pred judges files as they are: without --model, --model-kind, --side, --size, --flip and --record"
        )
    folder = find_checkpoint(model) if record else None  # a foreign model has no card of ours
    wish = FilesWish(pred_scale, pred_kind, pred_resize, pred_anyway).of(pred)
    for flag, given in {"report": report, "per-picture": per_picture, "resume": resume}.items():
        if given and protocol == ALL:
            raise HqmdError(f"--{flag} is for one protocol, not for {ALL}")
    require_outputs(per_picture, report)
    name = pred.name if pred else model

    def opened(dataset: "Dataset") -> "Judged":
        if pred:
            return open_files(pred, dataset, wish)
        return open_models([model], OpenOptions(backend, device, side or (), size, flip, kind=model_kind), dataset)[
            model
        ]

    if protocol == ALL:
        datasets, protocols = open_under_each(data, split, depth_scale)
        by_protocol = judge_under_each(name, opened(next(iter(datasets.values()))), datasets, protocols)
        if in_json:
            print(as_json([one_as_dict(name, result) for result in by_protocol.values()]), end="")
        else:
            print_table(protocols_table(name, by_protocol))
        return
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    beside = rows_beside(dataset, published, table1)
    all_judged = {name: opened(dataset)}
    results = judge(all_judged, dataset, chosen, detail, bool(report), resume)
    if folder:
        record_figures(folder, results[model].to_dict())
    if in_json:
        plain = one_as_dict(name, results[name])
        print(as_json(plain | {"published": literature_dicts(beside)} if beside else plain), end="")
    else:
        print_figures(results)
        if beside:
            print_table(literature_table(beside, results[name]))
    if per_picture:
        write_per_picture(per_picture, results)
    if report:
        write_report(report, all_judged, results, [], dataset, report_pictures)
