"""Options of the commands that open data and score depth."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import KINDS_HELP
from hqmd_cli.evaluation.protocols import ALL, FILE_SUFFIX, PROTOCOLS

# For train, which must find its protocol again on --resume: built-in protocols only.
ProtocolName = StrEnum("ProtocolName", {name: name for name in PROTOCOLS})  # type: ignore[misc]
DEFAULT_PROTOCOL = "hqmd"
DEFAULT_REPORT_PICTURES = 100  # 7 to 10 MB with two models and pictures of 640 x 480
PROTOCOL_HELP = f"How predictions are scored: {', '.join(PROTOCOLS)}, or your own FILE{FILE_SUFFIX}."

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
    bool, typer.Option("--pred-anyway", help="Score predictions even if they look wrong; the caption says why they do.")
]
DetailOption = Annotated[
    bool | None,
    typer.Option(
        "--detail/--no-detail",
        help="Show every figure with its interval, three spaces, edges, normals, points, and each pair of models. "
        "Measuring these takes 0.1 s per picture.  [default: only in files and JSON]",
        show_default=False,
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
    typer.Option(min=3, help="Most pictures the report shows: the worst, those around the median, and the best."),
]
DepthScaleOption = Annotated[
    float | None,
    typer.Option(help="Units per metre in the depth files, such as 1000 for millimetres, if they do not say."),
]
SplitOption = Annotated[
    str | None,
    typer.Option(
        help="train, val or test; for a folder of pairs, any NAME with a NAME.txt, or all.  "
        "[default: test, or all of data without splits]"
    ),
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
