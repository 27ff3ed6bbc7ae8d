"""`hqmd merge`: join several models into one that averages them."""

import math
import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP
from hqmd_cli.errors import HqmdError


def parse_numbers(text: str) -> tuple[float, ...]:
    """ "2,1" -> (2.0, 1.0)."""
    try:
        numbers = tuple(map(float, text.split(",")))
    except ValueError as error:
        raise typer.BadParameter(f"{text!r}: give one number for each model, such as 2,1") from error
    if not all(0 < number < math.inf for number in numbers):
        raise typer.BadParameter(f"{text!r}: weights are positive numbers, such as 2,1")
    return numbers


def parse_percents(text: str) -> tuple[int, ...]:
    """ "100,86" -> (100, 86)."""
    if not all(percent.isdecimal() for percent in text.split(",")):
        raise typer.BadParameter(f"{text!r}: give one whole percentage for each model, such as 100,86")
    return tuple(map(int, text.split(",")))


def merge(
    models: Annotated[list[str], typer.Argument(metavar="MODEL MODEL...", help=MODEL_HELP)],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the new model.")],
    views: Annotated[
        tuple | None,
        typer.Option(
            parser=parse_percents,
            metavar="100,N",
            help="Size at which each model sees the photo, in percent of the first one's.  [default: the same]",
        ),
    ] = None,
    weights: Annotated[
        tuple | None,
        typer.Option(
            parser=parse_numbers, metavar="N,N", help="Weight of each model in the average.  [default: equal]"
        ),
    ] = None,
    average_weights: Annotated[
        bool,
        typer.Option(
            "--average-weights",
            help="Average the networks' weights instead of their depth. They must be copies of one network, such as "
            "before and after fine-tuning; the result takes the time of one.",
        ),
    ] = False,
) -> None:
    """Join several models into one that averages their depth.

    The average is the geometric mean. The new model has no figures until you measure them with `hqmd evaluate
    --record`.

    \b
    hqmd merge runs/lite2/best runs/lite0/best -o runs/both
    hqmd merge runs/vit/best runs/lite2/best -o runs/both --views 100,86 --weights 2,1
    hqmd merge hqmd-indoor-small runs/near/last -o runs/half --average-weights
    """
    from hqmd_cli.checkpoints.average_weights import average_checkpoints
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.checkpoints.merge import merge_checkpoints

    if len(models) < 2:
        raise HqmdError("merge needs two models or more")
    if average_weights and views:
        raise HqmdError("--views has no effect with --average-weights, which makes one network; leave it out")
    folders = [find_checkpoint(model) for model in models]
    if average_weights:
        average_checkpoints(folders, output, weights or ())
        print(f"{output}: the mean of {len(models)} networks' weights; `hqmd calibrate` comes next", file=sys.stderr)
    else:
        merge_checkpoints(folders, output, views or (), weights or ())
        print(f"{output}: {len(models)} models in one", file=sys.stderr)
