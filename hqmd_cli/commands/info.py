"""`hqmd info`: describe a model or a training run."""

from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.commands.options import MODEL_HELP


def info(
    model: Annotated[
        str | None,
        typer.Argument(
            metavar="MODEL|RUN_DIR",
            help=f"{MODEL_HELP} Or the folder of a training run. Without it: this installation.",
            show_default=False,
        ),
    ] = None,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of text.")] = False,
) -> None:
    """Describe a model, a training run, or this installation.

    Shows a model's size, data, command, settings (* where they differ from the paper) and recorded figures.

    \b
    hqmd info
    hqmd info hqmd-indoor-small
    hqmd info runs/mine --json
    """
    import json

    from hqmd_cli.checkpoints.hub import find_checkpoint, find_here, known_elsewhere
    from hqmd_cli.checkpoints.run_folder import is_run
    from hqmd_cli.errors import printable
    from hqmd_cli.reporting.model_info import checkpoint_text, describe_checkpoint, describe_run, run_text

    here = find_here(model) if model else None
    if model is None:
        from hqmd_cli.reporting.installation import describe_installation, installation_text

        about = describe_installation()
        text = installation_text(about)
    elif here is None and is_run(Path(model)):
        about = describe_run(Path(model))
        text = run_text(about)
    elif here is None and (entry := known_elsewhere(model)):
        from hqmd_cli.checkpoints.catalogue import as_dict
        from hqmd_cli.reporting.model_list import entry_text

        about, text = as_dict(entry), entry_text(entry)
    else:
        folder = here or find_checkpoint(model)
        # The folder of a model from the hub is named by its commit.
        about = describe_checkpoint(folder, "" if here else f"{model.partition('@')[0]}@{folder.name}")
        text = checkpoint_text(about)
    if in_json:
        print(json.dumps(about, indent=2))
    else:
        print(*map(printable, text.splitlines()), sep="\n")
