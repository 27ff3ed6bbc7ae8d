"""`hqmd calibrate`: how a model is to look at photos, and by what its depth is wrong as a whole."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from hqmd_cli.commands.options import (
    DEFAULT_PROTOCOL,
    MODEL_HELP,
    DataOption,
    DepthScaleOption,
    DeviceOption,
    ProtocolOption,
    SideOption,
    SizeOption,
)
from hqmd_cli.config import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError

if TYPE_CHECKING:
    from hqmd_cli.config import ModelConfig
    from hqmd_cli.figures import Result


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP + " Its folder is changed.")],
    data: DataOption = None,
    split: Annotated[str, typer.Option(help="Held out from training, and not what you will report.")] = "val",
    protocol: ProtocolOption = DEFAULT_PROTOCOL,
    depth_scale: DepthScaleOption = None,
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: Annotated[
        bool | None, typer.Option("--flip/--no-flip", help="Average with the mirrored photo: twice the time.")
    ] = None,
    edges: Annotated[
        float | None,
        typer.Option(help="Fit depth to the photo's edges, within this share of its shorter side, such as 0.02."),
    ] = None,
    multiple: Annotated[
        int | None,
        typer.Option(help="Round both sides of what the network sees to multiples of it: its stride, or patch size."),
    ] = None,
) -> None:
    """Multiply a model's depth so that its bias on held-out photos is 1; keep that and the other settings given here.

    One number from all photos together; no photo is aligned to its own truth. The figures measured with it become the
    model's. With --size NAME, side, flip and factor become a preset of that name instead.

    \b
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224,288 --edges 0.02
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224 --size fast
    """
    from dataclasses import replace

    from hqmd_cli.checkpoints import read_info, record_figures, record_model
    from hqmd_cli.commands.judging import judge, open_judged, print_table
    from hqmd_cli.hub import find_checkpoint
    from hqmd_cli.judged import judged_model
    from hqmd_cli.predictor import load_predictor
    from hqmd_cli.tables import figures_table

    folder = find_checkpoint(model)
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    if chosen.alignment != "none":
        raise HqmdError(f"protocol {chosen.name} aligns depth to the truth, which leaves no bias to measure")
    settings = read_info(folder).model
    if size != DEFAULT_SIZE and (edges is not None or multiple is not None):
        raise HqmdError("--edges and --multiple hold for all sizes: give them without --size")
    settings = replace(
        settings,
        edge_share=settings.edge_share if edges is None else edges,
        size_multiple=settings.size_multiple if multiple is None else multiple,
    )
    is_new = size != DEFAULT_SIZE and size not in {preset.name for preset in settings.presets}
    if is_new and not side:
        raise HqmdError(f"--size {size}: the model has no such preset yet; say with --side what it is to be")
    before = settings if is_new else settings.at_size(size)
    sides = side or before.predict_sides
    flips = before.predict_flip and not is_new if flip is None else flip
    predictor = load_predictor(folder, "auto", device)

    def judged(settings: "ModelConfig") -> "dict[str, Result]":
        return judge({model: judged_model(replace(predictor, config=settings.at_size(size)))}, dataset, chosen)

    as_trained = judged(settings.with_view(size, sides, flips, 1.0))[model]
    factor = round(1 / as_trained.metrics["bias"], 4)
    settings = settings.with_view(size, sides, flips, factor)
    results = judged(settings)
    if size == DEFAULT_SIZE:
        record_figures(folder, results[model].to_dict(), settings)
    else:
        record_model(folder, settings)
    print_table(figures_table(results))
    print(f"{folder}: depth is multiplied by {factor:g} at size {size}", file=sys.stderr)
