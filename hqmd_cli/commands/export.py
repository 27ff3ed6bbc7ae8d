"""`hqmd export`: write a model as one ONNX file, or as a folder to publish."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP, OverwriteOption, parse_size
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.outputs import refuse_existing_outputs


def export(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    output: Annotated[
        Path,
        typer.Option(
            "--output",
            "-o",
            help="NAME.onnx: one ONNX file. A new folder: weights in half precision, ONNX graph and model card. "
            "MODEL's own folder: add the graph there.",
        ),
    ],
    precision: Annotated[
        str, typer.Option(help="fp32, or int8: a transformer's matrices in 8-bit integers, faster on CPUs.")
    ] = "fp32",
    size: Annotated[
        tuple | None,
        typer.Option(
            parser=parse_size,
            metavar="HxW",
            help="With NAME.onnx: the one picture size that it takes.  [default: any]",
        ),
    ] = None,
    note: Annotated[
        Path | None, typer.Option(metavar="FILE.md", help="With a new folder: text for its card, such as licences.")
    ] = None,
    overwrite: OverwriteOption = False,
) -> None:
    """Write a model as ONNX: uint8 RGB of any size in, metres out. The result is compared with torch before it is kept.

    \b
    hqmd export hqmd-indoor -o model.onnx
    hqmd export hqmd-indoor -o model.onnx --precision int8 --size 336x448
    hqmd export runs/mine/best -o weights/mine
    """
    from hqmd_cli.checkpoints.hub import ONNX_FILES, find_checkpoint, find_own
    from hqmd_cli.checkpoints.run_folder import held
    from hqmd_cli.export.verify import LIMITS
    from hqmd_cli.files.text import read_lines
    from hqmd_cli.registry import pick

    pick(LIMITS, precision, "precision")
    source = find_checkpoint(model)
    alone, beside = output.suffix.lower() == ".onnx", output.resolve() == source.resolve()
    path = output if alone else output / ONNX_FILES[precision]
    if alone:
        refuse("--note", note, "is for a model card: give -o a folder")
        require_place(path, source, overwrite)
    else:
        refuse("--size", size, "is for a single file: give -o a name that ends in .onnx")
    if beside:
        refuse("--note", note, "is for a new folder: give -o another folder")
        refuse_existing_outputs([find_own(model) / path.name], overwrite)
    elif not alone:
        refuse_existing_outputs([output], overwrite=False, remedy="remove it")
    text = "\n".join(read_lines(note, "text")).strip() if note else None
    import torch  # only now, since it takes seconds

    from hqmd_cli.checkpoints.checkpoint import load_checkpoint, publish_checkpoint
    from hqmd_cli.checkpoints.config_file import model_hash
    from hqmd_cli.export.onnx_graph import export_beside, export_file
    from hqmd_cli.files.atomic import new_folder

    cpu = torch.device("cpu")
    if alone:
        network, info = load_checkpoint(source, cpu)
        difference = export_file(network, info.model, path, precision, size, model_hash(source))
    elif beside:
        with held(source):
            difference = export_beside(load_checkpoint(source, cpu)[0], source, precision)
    else:
        with new_folder(output) as aside:
            publish_checkpoint(source, aside, text, output.name)
            difference = export_beside(load_checkpoint(aside, cpu)[0], aside, precision)
    print(f"{path}: differs from torch by {difference.in_words}", file=sys.stderr)


def require_place(path: Path, source: Path, overwrite: bool) -> None:
    """Raise HqmdError if a single file may not be written there: it exists, or belongs to the model that is read."""
    from hqmd_cli.checkpoints.hub import shared_place

    if path.resolve() in {file.resolve() for file in source.iterdir()}:
        raise HqmdError(f"{path}: is a file of the model itself; give -o another name, or the model's folder")
    if where := shared_place(path.parent):
        raise HqmdError(f"{path}: would lie in {where}; give -o another folder")
    refuse_existing_outputs([path], overwrite)


def refuse(flag: str, value: object, why: str) -> None:
    """Raise HqmdError if an option was given."""
    if value is not None:
        raise HqmdError(f"{flag} {why}")
