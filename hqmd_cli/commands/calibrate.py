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
from hqmd_cli.config.view import DEFAULT_SIZE, View
from hqmd_cli.errors import HqmdError

FEWEST_PHOTOS = 20  # of which a power may be asked

if TYPE_CHECKING:
    from hqmd_cli.config.network import ModelConfig
    from hqmd_cli.evaluation.results import Result


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
    power: Annotated[
        float | None,
        typer.Option(help=f"1: only multiply. Left out: the best one, where there are {FEWEST_PHOTOS} photos or more."),
    ] = None,
) -> None:
    """Correct a model's depth d as a whole by held-out photos; keep that and the other settings given here.

    It becomes c d^p: p undoes that networks keep to the middle, for the least RMSE times AbsRel, c makes the bias 1.
    Two numbers from all photos together; no photo is aligned to its own truth. The figures measured with them become
    the model's. With --size NAME, they, side and flip become a preset of that name instead.

    \b
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224,288 --edges 0.02
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224 --size fast
    """
    from hqmd_cli.checkpoints.checkpoint import read_info, record_figures, record_model
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.evaluation.calibration import POWERS, best_power, depth_pairs
    from hqmd_cli.evaluation.prediction_source import judged_model
    from hqmd_cli.evaluation.session import judge, open_judged
    from hqmd_cli.inference.engines.select import engine_opener
    from hqmd_cli.inference.predictor import DepthPredictor
    from hqmd_cli.reporting.tables import figures_table
    from hqmd_cli.terminal.evaluation_output import print_table
    from hqmd_cli.terminal.progress import with_progress

    folder = find_checkpoint(model)
    dataset, chosen = open_judged(data, split, protocol, depth_scale)
    if chosen.alignment != "none":
        raise HqmdError(f"protocol {chosen.name} aligns depth to the truth, which leaves no bias to measure")
    settings = read_info(folder).model
    if size != DEFAULT_SIZE and (edges is not None or multiple is not None):
        raise HqmdError("--edges and --multiple hold for all sizes: give them without --size")
    if edges is not None:
        settings = settings.with_edge_share(edges)
    if multiple is not None:
        settings = settings.with_settings(size_multiple=multiple)
    is_new = size != DEFAULT_SIZE and size not in settings.presets
    if is_new and not side:
        raise HqmdError(f"--size {size}: the model has no such preset yet; say with --side what it is to be")
    before = (settings if is_new else settings.at_size(size)).view
    sides = side or before.sides
    flips = before.flip and not is_new if flip is None else flip
    engine = engine_opener(folder, "auto", device)()

    def judged(settings: "ModelConfig") -> "dict[str, Result]":
        return judge({model: judged_model(DepthPredictor(engine, settings.at_size(size)))}, dataset, chosen)

    def with_law(factor: float, power: float) -> "ModelConfig":
        return settings.with_view(size, View(sides, flips, factor, power, settings.view.edge_share))

    if power is None and len(dataset) < FEWEST_PHOTOS:
        print(f"power: {len(dataset)} photos are too few to tell it, depth is only multiplied", file=sys.stderr)
        power = 1.0
    if power is None:
        as_trained = judged_model(DepthPredictor(engine, with_law(1, 1).at_size(size)))
        pairs = with_progress(depth_pairs(as_trained, dataset, chosen), "power", len(dataset))
        power = best_power(list(pairs), chosen.clip_m)
        if power in (POWERS[0], POWERS[-1]):
            print(f"power: {power:g} is the last that is tried; look at the model before you keep it", file=sys.stderr)
    bias = judged(with_law(1, power))[model].metrics["bias"]
    settings = with_law(round(1 / bias, 4), power)
    results = judged(settings)
    if size == DEFAULT_SIZE:
        record_figures(folder, results[model].to_dict(), settings)
    else:
        record_model(folder, settings)
    print_table(figures_table(results))
    print(f"{folder}: depth {settings.at_size(size).view.calibration_in_words} at size {size}", file=sys.stderr)
