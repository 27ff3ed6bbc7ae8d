"""`hqmd evaluate`: one model's figures on one dataset."""

from typing import Annotated

import typer

from hqmd_cli.commands.options import (
    BackendOption,
    DataOption,
    DepthScaleOption,
    DeviceOption,
    FlipOption,
    ModelOption,
    ProtocolName,
    ProtocolOption,
    SideOption,
    SizeOption,
    SplitOption,
)
from hqmd_cli.config import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import DEFAULT_MODEL


def evaluate(
    data: DataOption = None,
    split: SplitOption = "test",
    model: ModelOption = DEFAULT_MODEL,
    protocol: ProtocolOption = ProtocolName["hqmd"],
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's config.json and card.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Measure a model: AbsRel, log10, RMSE, RMSElog, delta1-3, bias (median of prediction / truth), edge F1.

    \b
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol eigen-filled
    """
    from hqmd_cli.checkpoints import record_figures
    from hqmd_cli.commands.judging import judge, load_predictors, open_judged, print_table
    from hqmd_cli.hub import find_checkpoint
    from hqmd_cli.tables import one_as_json

    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    folder = find_checkpoint(model)
    if record and (side or flip or size != DEFAULT_SIZE):
        raise HqmdError("--record is for what the model does by itself: without --side, --size and --flip")
    results = judge(load_predictors([model], backend, device, side or (), size, flip), dataset, chosen)
    if record:
        record_figures(folder, results[model].to_dict())
    if as_json:
        print(one_as_json(model, results[model]), end="")
    else:
        print_table(results)
