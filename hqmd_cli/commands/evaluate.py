"""`hqmd evaluate`: one model's figures on one dataset."""

from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import (
    DEFAULT_PROTOCOL,
    BackendOption,
    DataOption,
    DepthScaleOption,
    DetailOption,
    DeviceOption,
    FlipOption,
    ModelOption,
    ProtocolsOption,
    SideOption,
    SizeOption,
    SplitOption,
)
from hqmd_cli.config import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import DEFAULT_MODEL
from hqmd_cli.protocol import ALL


def evaluate(
    data: DataOption = None,
    split: SplitOption = "test",
    model: ModelOption = DEFAULT_MODEL,
    pred: Annotated[
        Path | None,
        typer.Option(metavar="DIR", help="Judge files instead: a map a picture, by its name, made by any tool."),
    ] = None,
    pred_scale: Annotated[
        float | None, typer.Option(help="Their units in one metre, where they leave it open (1000: millimetres).")
    ] = None,
    pred_kind: Annotated[str, typer.Option(help="What they hold: depth, disparity or relative.")] = "depth",
    pred_resize: Annotated[
        str | None,
        typer.Option(help="bilinear: bring maps of another size to that of the truth.", show_default="refuse"),
    ] = None,
    pred_anyway: Annotated[
        bool, typer.Option("--pred-anyway", help="Score what looks wrong, too; the caption says what that was.")
    ] = False,
    protocol: ProtocolsOption = DEFAULT_PROTOCOL,
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    detail: DetailOption = False,
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
        from hqmd_cli.explain import explain as explanation_of

        print(explanation_of(explain))
        return

    from hqmd_cli.checkpoints import record_figures
    from hqmd_cli.commands.judging import (
        judge,
        judge_under_each,
        load_predictors,
        open_judged,
        open_under_each,
        print_figures,
        print_table,
    )
    from hqmd_cli.hub import find_checkpoint
    from hqmd_cli.tables import as_json, one_as_dict, protocols_table

    if record and (side or flip or size != DEFAULT_SIZE or protocol == ALL):
        raise HqmdError(
            "--record is for what the model does by itself, under one protocol: without --side, --size and --flip"
        )
    if pred:
        from hqmd_cli.commands.judging import judge_files
        from hqmd_cli.predictions import PredictionFolder

        if record or side or flip or size != DEFAULT_SIZE or model != DEFAULT_MODEL:
            raise HqmdError("--pred judges files as they are: without --model, --side, --size, --flip and --record")
        dataset, chosen = open_judged(data, split, protocol, depth_scale)
        files = PredictionFolder(pred, dataset.names, pred_scale, pred_kind, pred_resize)  # type: ignore[arg-type]
        judged = {pred.name: judge_files(files, dataset, chosen, detail, pred_anyway)}
        if in_json:
            print(as_json(one_as_dict(pred.name, judged[pred.name])), end="")
        else:
            print_figures(judged, detail)
        return
    if pred_scale is not None or pred_kind != "depth" or pred_resize or pred_anyway:
        raise HqmdError("--pred-scale, --pred-kind, --pred-resize and --pred-anyway are for --pred")
    folder = find_checkpoint(model)
    if protocol == ALL:
        if detail:
            raise HqmdError(f"--detail is for one protocol, not for {ALL}")
        datasets, protocols = open_under_each(data, split, depth_scale)
        (predictor,) = load_predictors([model], backend, device, side or (), size, flip).values()
        by_protocol = judge_under_each(model, predictor, datasets, protocols)
        if in_json:
            print(as_json([one_as_dict(model, result) for result in by_protocol.values()]), end="")
        else:
            print_table(protocols_table(model, by_protocol))
        return
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    results = judge(load_predictors([model], backend, device, side or (), size, flip), dataset, chosen, detail)
    if record:
        record_figures(folder, results[model].to_dict())
    if in_json:
        print(as_json(one_as_dict(model, results[model])), end="")
    else:
        print_figures(results, detail)
