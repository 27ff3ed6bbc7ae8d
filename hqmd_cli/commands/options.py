"""Options that two or more commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.config.base import SMALLEST_SIDE
from hqmd_cli.evaluation.protocols import ALL, FILE_SUFFIX, PROTOCOLS
from hqmd_cli.inference.engines.select import BACKENDS

# For training, whose run must find its protocol again on --resume: only those that come with hqmd.
ProtocolName = StrEnum("ProtocolName", {name: name for name in PROTOCOLS})  # type: ignore[misc]
DEFAULT_PROTOCOL = "hqmd"
DEFAULT_REPORT_PICTURES = 100  # 7 to 10 MB with two models and pictures of 640 x 480
PROTOCOL_HELP = f"What exactly is measured, printed under the table: {', '.join(PROTOCOLS)}, or a file of one's own."

MODEL_HELP = "Bundled name, checkpoint folder, or org/name[@revision] on the Hugging Face hub."

ANY_MODEL_HELP = (
    f"{MODEL_HELP[:-1]}; hf:org/name[@revision]: a depth model of transformers; py:module:function: a Python function."
)

ModelOption = Annotated[str, typer.Option("--model", "-m", help=ANY_MODEL_HELP, show_default=DEFAULT_MODEL)]
ModelKindOption = Annotated[
    str | None,
    typer.Option(help="What an hf: or py: model gives, where it does not say: depth (metres), disparity or relative."),
]
DeviceOption = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:N or mps.")]
BackendOption = Annotated[
    str,
    typer.Option(help="; ".join(f"{name}: {backend.about}" for name, backend in BACKENDS.items()) + "."),
]


def parse_sides(text: str) -> tuple[int, ...]:
    """ "224,288" -> (224, 288)."""
    sides = tuple(int(side) if side.isdecimal() else 0 for side in text.split(","))
    if min(sides) < SMALLEST_SIDE or len(set(sides)) < len(sides):
        raise typer.BadParameter(f"{text!r}: sides are whole numbers from {SMALLEST_SIDE} up, such as 224 or 224,288")
    return sides


def parse_size(text: str) -> tuple[int, int]:
    """ "289x385" -> (289, 385)."""
    height, _, width = text.lower().partition("x")
    if not (height.isdigit() and width.isdigit()):
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH, such as 289x385")
    return int(height), int(width)


SideOption = Annotated[
    tuple | None,
    typer.Option(
        parser=parse_sides,
        metavar="N[,N]",
        help="Shorter side, in pixels, at which the network sees a photo; of several the depths are averaged, and at "
        "every other it sees the photo mirrored.  "
        "[default: the model's]",
    ),
]
SizeOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="Speed or detail, as far as the model has such presets: default, fast, ..."),
]
FlipOption = Annotated[bool, typer.Option("--flip", help="Average with the mirrored photo: twice the time.")]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        help="nyu_depth_v2_labeled.mat, a folder, or a list (.csv, .tsv, .txt).  [default: $HQMD_DATA]",
    ),
]
PRED_HELP = "Judge files of a folder, too: a map a picture, by its name, made by any tool."
PredScaleOption = Annotated[
    float | None, typer.Option(help="Their units in one metre, where they leave it open (1000: millimetres).")
]
PredKindOption = Annotated[str, typer.Option(help="What they hold: depth, disparity or relative.")]
PredResizeOption = Annotated[
    str | None,
    typer.Option(help="bilinear: bring maps of another size to that of the truth.", show_default="refuse"),
]
PredAnywayOption = Annotated[
    bool, typer.Option("--pred-anyway", help="Score what looks wrong, too; the caption says what that was.")
]
DetailOption = Annotated[
    bool,
    typer.Option("--detail/--no-detail", help="Measure edges, boundaries and normals, too: some 30 ms a picture."),
]
PerPictureOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write every metric of every picture and model: .csv or .parquet."),
]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="Set published figures of NYU beside, each with its protocol and source.")
]
Table1Option = Annotated[bool, typer.Option("--table1", help="The same, of the paper's Table 1 only.")]
ReportOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write DIR/report.html: figures, error over depth and pictures in one page."),
]
ReportPicturesOption = Annotated[
    int,
    typer.Option(min=3, help="Pictures in the report; of more the worst, those round the median, and the best."),
]
DepthScaleOption = Annotated[
    float | None,
    typer.Option(help="Units of the depth files in one metre (1000: millimetres), where they do not say."),
]
SplitOption = Annotated[str, typer.Option(help="train, val or test; a folder has a NAME.txt for each, and `all`.")]


def parse_protocol(text: str) -> str:
    """A name that find_protocol may know; files are read later, where their errors have room."""
    if text not in (*PROTOCOLS, ALL) and not text.endswith(FILE_SUFFIX):
        raise typer.BadParameter(f"{text!r} is neither {', '.join(PROTOCOLS)} nor a FILE{FILE_SUFFIX}")
    return text


ProtocolOption = Annotated[
    str, typer.Option(parser=parse_protocol, metavar=f"NAME|FILE{FILE_SUFFIX}", help=PROTOCOL_HELP)
]
ProtocolsOption = Annotated[
    str,
    typer.Option(
        parser=parse_protocol,
        metavar=f"NAME|FILE{FILE_SUFFIX}|{ALL}",
        help=f"{PROTOCOL_HELP} {ALL}: a row for every protocol that fits the data.",
    ),
]
