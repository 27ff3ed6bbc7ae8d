"""`hqmd export`: a model as ONNX, alone or as a folder ready to publish."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP
from hqmd_cli.errors import HqmdError


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="model.onnx: one file; a new folder: half-precision weights, ONNX and model card; "
            "MODEL's own folder: add model.onnx to it.",
        ),
    ],
    note: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="For a folder: what its card says of licences.")
    ] = None,
) -> None:
    """Write a model for ONNX Runtime: uint8 RGB of any size in, metres out. Always compared to torch.

    \b
    hqmd export hqmd-indoor -o model.onnx
    hqmd export runs/mine/best -o weights/mine
    """
    import torch

    from hqmd_cli.checkpoints import load_checkpoint, publish_checkpoint
    from hqmd_cli.export import export_beside, export_file
    from hqmd_cli.hub import ONNX_FILE, find_checkpoint
    from hqmd_cli.images import new_folder

    source = find_checkpoint(model)
    cpu = torch.device("cpu")
    if output.suffix.lower() == ".onnx":
        if note:
            raise HqmdError("--note is for a checkpoint's card: give -o a folder")
        network, _ = load_checkpoint(source, cpu)
        path = output
        mean, largest = export_file(network, path)
    else:
        path = output / ONNX_FILE
        if output.resolve() == source.resolve():
            if note:
                raise HqmdError("--note is for a new folder: give -o another")
            mean, largest = export_beside(load_checkpoint(output, cpu)[0], path)
        else:
            with new_folder(output) as aside:
                publish_checkpoint(source, aside, note.read_text("utf-8", "replace") if note else None, output.name)
                mean, largest = export_beside(load_checkpoint(aside, cpu)[0], aside / ONNX_FILE)
    print(f"{path}: differs from torch by {mean:.4f} mm on average, {largest:.4f} mm at most", file=sys.stderr)
