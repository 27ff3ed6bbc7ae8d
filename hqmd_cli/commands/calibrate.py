"""`hqmd calibrate`: set how a model sees photos, and correct its depth by held-out photos."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP, DeviceOption, SizeOption, sides_option
from hqmd_cli.commands.scoring_options import DEFAULT_PROTOCOL, DataOption, DepthScaleOption, ProtocolOption
from hqmd_cli.config.view import DEFAULT_SIZE


def calibrate(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP + " Its folder is changed.")],
    data: DataOption = None,
    split: Annotated[
        str, typer.Option(help="Photos that were held out from training and that you will not report figures on.")
    ] = "val",
    also: Annotated[
        list[Path] | None,
        typer.Option(metavar="DATA", help="More held-out photos, used only to measure the errors. May be repeated."),
    ] = None,
    protocol: ProtocolOption = DEFAULT_PROTOCOL,
    depth_scale: DepthScaleOption = None,
    device: DeviceOption = "auto",
    side: Annotated[
        tuple | None,
        sides_option(
            "Shorter side, in pixels, at which the network sees a photo. Several sides are averaged, every second "
            "one on the mirrored photo.  [default: the model's]"
        ),
    ] = None,
    detail_side: Annotated[
        tuple | None,
        sides_option("Shorter side of a larger picture that only adds detail.  [default: the model's]"),
    ] = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: Annotated[
        bool | None,
        typer.Option("--flip/--no-flip", help="Average with the mirrored photo, which takes twice the time."),
    ] = None,
    edges: Annotated[
        float | None,
        typer.Option(help="Fit depth to the photo's edges, within this share of its shorter side, such as 0.02."),
    ] = None,
    multiple: Annotated[
        int | None,
        typer.Option(help="Round both sides of the network's input to multiples of this: its stride, or patch size."),
    ] = None,
    power: Annotated[
        float | None,
        typer.Option(help="Set p; 1 leaves only the factor.  [default: the best one, given 20 photos or more]"),
    ] = None,
) -> None:
    """Fit a factor and a power that correct a model's depth, and store them in the model.

    Depth d becomes c d^p, with the same c and p for all photos: no photo is aligned to its own ground truth. The power
    p widens the range of depths, which networks tend to compress; it is chosen to minimise RMSE times AbsRel. The
    factor c makes the bias 1. The other settings given here are stored, too, and the figures measured with all of them.
    With --size NAME, the correction, --side, --detail-side and --flip are stored as a preset of that name instead,
    without figures.

    With 20 photos or more, it also measures how wrong the corrected depth still is: the scale of a photo, and the shape
    at each pixel (docs/evaluate.md). --also adds photos of other rooms and cameras to that.

    \b
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224,288 --edges 0.02
    hqmd calibrate runs/mine/best --data nyu_depth_v2_labeled.mat --side 224 --size fast
    """
    from hqmd_cli.checkpoints.checkpoint import record_figures, record_model
    from hqmd_cli.checkpoints.hub import find_own
    from hqmd_cli.checkpoints.run_folder import held
    from hqmd_cli.evaluation.calibration import CalibrationOptions
    from hqmd_cli.evaluation.calibration import calibrate as calibrate_folder
    from hqmd_cli.reporting.tables import figures_table
    from hqmd_cli.terminal.evaluation_output import start_further, start_session
    from hqmd_cli.terminal.table_output import print_table

    folder = find_own(model)
    session = start_session(data, split, protocol, depth_scale)
    further = [start_further(path, split, depth_scale) for path in also or ()]
    options = CalibrationOptions(size, side or (), detail_side or (), flip, edges, multiple, power)
    with held(folder):
        settings, result, verdicts = calibrate_folder(folder, session, options, device, further)
        if size == DEFAULT_SIZE:
            record_figures(folder, result.to_dict(), settings)
        else:
            record_model(folder, settings)
    print_table(figures_table({model: result}))
    print(f"{folder}: depth {settings.at_size(size).view.calibration_in_words} at size {size}", file=sys.stderr)
    for each, verdict in zip((session, *further), verdicts, strict=False):
        print(f"how sure, on {each.dataset.description}, each fifth by the other four:", file=sys.stderr)
        print(*verdict.lines, sep="\n", file=sys.stderr)
