"""`hqmd push`: a model to the Hugging Face hub."""

import sys
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP


def push(
    model: Annotated[str, typer.Argument(metavar="MODEL", help=MODEL_HELP)],
    name: Annotated[str, typer.Argument(metavar="ORG/NAME", help="Where on the hub; made if it is not there.")],
    private: Annotated[bool, typer.Option("--private", help="Only for you, or your organisation.")] = False,
) -> None:
    """Publish a model on the Hugging Face hub, in one commit: settings, weights, card, and graphs for ONNX Runtime.

    A graph is made first where there is none, if the extra `export` is installed. `hqmd predict --model ORG/NAME` takes
    the model from there. The token is that of `hf auth login`, or in HF_TOKEN.

    \b
    hqmd push runs/mine/best me/rooms --private
    """
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.export.publish import push_checkpoint, require_pushable

    source = find_checkpoint(model)
    require_pushable(name)
    print(push_checkpoint(source, name, private, lambda note: print(note, file=sys.stderr)))
