"""`hqmd push`: publish a model on the Hugging Face hub."""

import sys
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP


def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    name: Annotated[
        str, typer.Argument(metavar="ORG/NAME", help="Repository on the hub; created if it does not exist.")
    ],
    private: Annotated[bool, typer.Option("--private", help="Make the repository private.")] = False,
) -> None:
    """Publish a model on the Hugging Face hub.

    One commit holds settings, weights, card, and graphs for ONNX Runtime. If the model has no graph and the extra
    `export` is installed, one is made first. Afterwards `hqmd predict --model ORG/NAME` finds the model. The token
    comes from `hf auth login` or from HF_TOKEN.

    \b
    hqmd push runs/mine/best me/rooms --private
    """
    from hqmd_cli.checkpoints.hub import find_checkpoint, find_here
    from hqmd_cli.errors import HqmdError
    from hqmd_cli.export.publish import push_checkpoint, require_pushable

    if find_here(model) is None and model.partition("@")[0].lower() == name.lower():
        raise HqmdError(f"{name}: is where the model comes from; push to another name, or push a copy that you changed")
    source = find_checkpoint(model)
    require_pushable(name)
    print(push_checkpoint(source, name, private, lambda note: print(note, file=sys.stderr)))
