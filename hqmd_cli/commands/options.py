"""Options that two or more commands share."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.config.base import SMALLEST_SIDE
from hqmd_cli.evaluation.protocols import ALL, FILE_SUFFIX, PROTOCOLS
from hqmd_cli.inference.engines.select import BACKENDS
from hqmd_cli.units import KINDS

# For train, which must find its protocol again on --resume: built-in protocols only.
ProtocolName = StrEnum("ProtocolName", {name: name for name in PROTOCOLS})  # type: ignore[misc]
DEFAULT_PROTOCOL = "hqmd"
DEFAULT_REPORT_PICTURES = 100  # 7 to 10 MB with two models and pictures of 640 x 480
PROTOCOL_HELP = f"How predictions are scored: {', '.join(PROTOCOLS)}, or your own FILE{FILE_SUFFIX}."
KINDS_HELP = f"{', '.join(KINDS)} (depth is in metres)."

MODEL_HELP = "A bundled name, a checkpoint folder, or org/name[@revision] on the Hugging Face hub."

ANY_MODEL_HELP = (
    f"{MODEL_HELP} Or hf:org/name[@revision], a depth model of transformers; or py:module:function, a Python function."
)

ModelOption = Annotated[str, typer.Option("--model", "-m", help=ANY_MODEL_HELP, show_default=DEFAULT_MODEL)]
ModelKindOption = Annotated[
    str | None,
    typer.Option(help=f"What an hf: or py: model returns, if it does not say: {KINDS_HELP}"),
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
        help="Shorter side, in pixels, at which the network sees a photo. Several sides are averaged, every second one "
        "on the mirrored photo.  [default: the model's]",
    ),
]
SizeOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="A preset of the model, such as fast or detail."),
]
FlipOption = Annotated[
    bool, typer.Option("--flip", help="Average with the depth of the mirrored photo, which takes twice the time.")
]
DataOption = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        help="nyu_depth_v2_labeled.mat, a folder, or a list (.csv, .tsv, .txt).  "
        "[default: $HQMD_DATA, else the file of `hqmd data nyu`]",
    ),
]
PRED_HELP = "Also score a folder of predictions: one depth map per picture, found by the picture's name."
PredScaleOption = Annotated[
    float | None,
    typer.Option(help="Units per metre in the predictions, such as 1000 for millimetres, if the files do not say."),
]
PredKindOption = Annotated[str, typer.Option(help=f"What the predictions hold: {KINDS_HELP}")]
PredResizeOption = Annotated[
    str | None,
    typer.Option(help="bilinear: resize predictions to the size of the ground truth.", show_default="refuse"),
]
PredAnywayOption = Annotated[
    bool, typer.Option("--pred-anyway", help="Also score predictions that look wrong; the caption says why they do.")
]
DetailOption = Annotated[
    bool,
    typer.Option(
        "--detail/--no-detail", help="Also measure edges, boundaries and normals, which takes 30 ms per picture."
    ),
]
PerPictureOption = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Write every metric of every picture and model to a .csv or .parquet file."),
]
PublishedOption = Annotated[
    bool, typer.Option("--published", help="Add published figures on NYU, each with its protocol and source.")
]
Table1Option = Annotated[bool, typer.Option("--table1", help="Add the rows of the paper's Table 1.")]
ReportOption = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Write DIR/report.html, one page with figures, error over depth and pictures."),
]
ReportPicturesOption = Annotated[
    int,
    typer.Option(
        min=3, help="How many pictures the report shows at most: the worst, the ones around the median, and the best."
    ),
]
DepthScaleOption = Annotated[
    float | None,
    typer.Option(help="Units per metre in the depth files, such as 1000 for millimetres, if they do not say."),
]
SplitOption = Annotated[
    str, typer.Option(help="train, val or test; for a folder of pairs, any NAME with a NAME.txt, or all.")
]


def parse_protocol(text: str) -> str:
    """Check a protocol's name; a file is read later, when its errors can be reported in full."""
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
        help=f"{PROTOCOL_HELP} {ALL}: one row for each protocol that fits the data.",
    ),
]
