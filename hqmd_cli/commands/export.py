"""`hqmd export`: a model as ONNX, alone or as a folder ready to publish."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP, parse_size
from hqmd_cli.errors import HqmdError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from hqmd_cli.config import ModelConfig


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="model.onnx: one file; a new folder: half-precision weights, ONNX and model card; "
            "MODEL's own folder: add the graph to it.",
        ),
    ],
    precision: Annotated[
        str, typer.Option(help="fp32, or int8: a transformer's matrices in 8-bit integers, which CPUs multiply faster.")
    ] = "fp32",
    photos: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="For int8 in one file: quantize convolutions, too, by these photos."),
    ] = None,
    size: Annotated[
        tuple | None,
        typer.Option(
            parser=parse_size,
            metavar="HxW",
            help="For one file: the only size of picture it shall take.  [default: any]",
        ),
    ] = None,
    note: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="For a new folder: what its card says of licences.")
    ] = None,
) -> None:
    """Write a model for ONNX Runtime: uint8 RGB of any size in, metres out. Always compared to torch.

    \b
    hqmd export hqmd-indoor -o model.onnx
    hqmd export hqmd-indoor -o model.onnx --precision int8 --size 336x448
    hqmd export runs/mine/best -o weights/mine
    """
    import torch

    from hqmd_cli.checkpoints import load_checkpoint, publish_checkpoint
    from hqmd_cli.export import LIMITS, export_beside, export_file
    from hqmd_cli.hub import ONNX_FILES, find_checkpoint
    from hqmd_cli.images import new_folder
    from hqmd_cli.registry import pick

    pick(LIMITS, precision, "precision")
    if photos and precision != "int8":
        raise HqmdError("--photos are for --precision int8")
    source = find_checkpoint(model)
    cpu = torch.device("cpu")
    if output.suffix.lower() == ".onnx":
        refuse({"--note": note}, "is for a checkpoint's card: give -o a folder")
        path = output
        network, info = load_checkpoint(source, cpu)
        shown = pictures_of(photos, info.model, size) if photos else ()
        mean, largest = export_file(network, path, precision, shown, size)
    else:
        refuse({"--photos": photos, "--size": size}, "is for one file: give -o a name that ends in .onnx")
        path = output / ONNX_FILES[precision]
        if output.resolve() == source.resolve():
            refuse({"--note": note}, "is for a new folder: give -o another")
            mean, largest = export_beside(load_checkpoint(output, cpu)[0], output, precision)
        else:
            with new_folder(output) as aside:
                publish_checkpoint(source, aside, note.read_text("utf-8", "replace") if note else None, output.name)
                mean, largest = export_beside(load_checkpoint(aside, cpu)[0], aside, precision)
    print(f"{path}: differs from torch by {mean:.4f} mm on average, {largest:.4f} mm at most", file=sys.stderr)


def refuse(options: dict[str, object], why: str) -> None:
    """Raise HqmdError for the first of these options that was given."""
    for flag, value in options.items():
        if value is not None:
            raise HqmdError(f"{flag} {why}")


def pictures_of(photos: Path, model: "ModelConfig", size: tuple[int, int] | None) -> "Iterator[NDArray[np.uint8]]":
    """Photos of a folder as the network sees them."""
    import cv2

    from hqmd_cli.images import read_photo
    from hqmd_cli.sources import find_sources
    from hqmd_cli.transforms import Preprocess

    for path in filter(None, (source.path for source in find_sources([photos]))):
        image = read_photo(path, str(path)).rgb
        if size:
            yield cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA).astype("uint8")
        else:
            yield from (Preprocess((side, side), model.size_multiple)(image) for side in model.shown_sides)
