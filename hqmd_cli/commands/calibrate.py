"""`hqmd calibrate`: how a model is to look at photos, and by what its depth is wrong as a whole."""

import sys
from typing import Annotated

import typer

from hqmd_cli.commands.options import (
    MODEL_HELP,
    DataOption,
    DepthScaleOption,
    DeviceOption,
    ProtocolName,
    ProtocolOption,
    SideOption,
)


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP + " Its folder is changed.")],
    data: DataOption = None,
    split: Annotated[str, typer.Option(help="Held out from training, and not what you will report.")] = "val",
    protocol: ProtocolOption = ProtocolName["hqmd"],
    depth_scale: DepthScaleOption = None,
    device: DeviceOption = "auto",
    side: SideOption = None,
    edges: Annotated[
        float | None,
        typer.Option(help="Fit depth to the photo's edges, within this share of its shorter side, such as 0.02."),
    ] = None,
) -> None:
    """Multiply a model's depth so that its bias on held-out photos is 1; keep that, --side and --edges in config.json.

    One number from all photos together; no photo is aligned to its own truth. The figures measured with it become the
    model's.

    \b
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224,288 --edges 0.02
    """
    from dataclasses import replace

    from hqmd_cli.checkpoints import read_info, record_figures
    from hqmd_cli.commands.judging import judge, open_judged, print_table
    from hqmd_cli.hub import find_checkpoint
    from hqmd_cli.predictor import load_predictor

    folder = find_checkpoint(model)
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    settings = read_info(folder).model
    share = settings.edge_share if edges is None else edges
    settings = replace(settings, predict_sides=side or settings.predict_sides, edge_share=share, calibration=1.0)
    predictor = load_predictor(folder, "auto", device)
    as_trained = judge({model: replace(predictor, config=settings)}, dataset, chosen)[model]
    settings = replace(settings, calibration=round(1 / as_trained.metrics["bias"], 4))
    results = judge({model: replace(predictor, config=settings)}, dataset, chosen)
    record_figures(folder, results[model].to_dict(), settings)
    print_table(results)
    print(f"{folder}: depth is multiplied by {settings.calibration:g}", file=sys.stderr)
