"""`hqmd evaluate`: one model's figures on one dataset."""

from typing import Annotated

import typer

from hqmd_cli.commands.options import (
    DEFAULT_PROTOCOL,
    BackendOption,
    DataOption,
    DepthScaleOption,
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
    protocol: ProtocolsOption = DEFAULT_PROTOCOL,
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's config.json and card.")
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    explain: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Only print what a protocol or a metric is, and where it is from."),
    ] = None,
) -> None:
    """Measure a model: AbsRel, log10, RMSE, RMSElog, delta1-3, bias (median of prediction / truth), edge F1.

    \b
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol eigen-filled
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
        print_table,
    )
    from hqmd_cli.hub import find_checkpoint
    from hqmd_cli.tables import as_json, figures_table, one_as_dict, protocols_table

    if record and (side or flip or size != DEFAULT_SIZE or protocol == ALL):
        raise HqmdError(
            "--record is for what the model does by itself, under one protocol: without --side, --size and --flip"
        )
    folder = find_checkpoint(model)
    if protocol == ALL:
        datasets, protocols = open_under_each(data, split, depth_scale)
        (predictor,) = load_predictors([model], backend, device, side or (), size, flip).values()
        by_protocol = judge_under_each(model, predictor, datasets, protocols)
        if in_json:
            print(as_json([one_as_dict(model, result) for result in by_protocol.values()]), end="")
        else:
            print_table(protocols_table(model, by_protocol))
        return
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    results = judge(load_predictors([model], backend, device, side or (), size, flip), dataset, chosen)
    if record:
        record_figures(folder, results[model].to_dict())
    if in_json:
        print(as_json(one_as_dict(model, results[model])), end="")
    else:
        print_table(figures_table(results))
