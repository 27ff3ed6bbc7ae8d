"""`hqmd models`: the systems to train, and the bundled models."""

from typing import Annotated

import typer


def models(
    time: Annotated[
        bool,
        typer.Option("--time", help="Measure how long each network takes for a picture on this CPU; takes minutes."),
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """List the bundled models, and the networks that can be trained.

    \b
    hqmd models
    hqmd models --time --json
    """
    import json
    import sys
    from importlib.util import find_spec

    from hqmd_cli.installed import how_to_install
    from hqmd_cli.reporting.model_list import bundled_rows, bundled_table, system_rows, systems_table
    from hqmd_cli.terminal.evaluation_output import print_table
    from hqmd_cli.terminal.progress import with_progress

    systems = []
    if find_spec("torch"):
        systems = system_rows(time, lambda names: with_progress(names, "systems", len(names)))
    else:
        print(f"without the networks to train, which need torch; {how_to_install('torch')}", file=sys.stderr)
    bundled = bundled_rows()
    if in_json:
        print(
            json.dumps({"systems": [s.to_dict() for s in systems], "bundled": [b.to_dict() for b in bundled]}, indent=1)
        )
        return
    if systems:
        print_table(systems_table(systems))
    if bundled:
        print_table(bundled_table(bundled))
