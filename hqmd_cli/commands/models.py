"""`hqmd models`: the bundled models, third-party models by name, and the systems to train."""

from typing import Annotated

import typer


def models(
    time: Annotated[
        bool,
        typer.Option("--time", help="Measure how long each network takes for a picture on this CPU; takes minutes."),
    ] = False,
    verify: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Download a third-party model, unless it is here, and try it on a picture."),
    ] = None,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")] = False,
) -> None:
    """List the bundled models, the third-party models that hqmd knows by name, and the networks it can train.

    \b
    hqmd models
    hqmd models --verify da2-small
    hqmd models --time --json
    """
    import json

    from hqmd_cli.checkpoints.catalogue import as_dict, entries
    from hqmd_cli.reporting.model_list import bundled_rows, bundled_table, catalogue_table, system_rows, systems_table
    from hqmd_cli.terminal.progress import with_progress
    from hqmd_cli.terminal.table_output import NARROW, print_table

    if verify:
        return try_entry(verify)
    if time:
        from hqmd_cli.installed import require

        require("torch", "--time")
    plain = iter if not time else lambda names: with_progress(names, "systems", len(names))
    systems, bundled, known = system_rows(time, plain), bundled_rows(), list(entries().values())
    if in_json:
        listed = {"systems": [s.to_dict() for s in systems], "bundled": [b.to_dict() for b in bundled]}
        print(json.dumps({**listed, "catalogue": [as_dict(entry) for entry in known]}, indent=1))
        return
    for table in (bundled_table(bundled) if bundled else None, catalogue_table(known), systems_table(systems)):
        if table:
            print_table(table, NARROW)


def try_entry(name: str) -> None:
    """Open a model of the catalogue, and compute one picture with it; print what it is and gives."""
    from time import perf_counter

    import numpy as np

    from hqmd_cli.checkpoints.catalogue import entry_named, keep, tried_now
    from hqmd_cli.inference.engines.check_pictures import check_pictures
    from hqmd_cli.inference.open import OpenOptions, open_model

    entry = entry_named(name)
    model = open_model(entry.name, OpenOptions())
    began = perf_counter()
    seen = model(next(check_pictures()))
    seconds = perf_counter() - began
    if not np.isfinite(seen).all():
        typer.echo(f"hqmd: {name}: its map has NaN or infinite values", err=True)
        raise typer.Exit(1)
    keep(entry.name, {"tried": tried_now(seconds)})
    print(f"{entry.name}: {model.in_words}")
    print(f"one picture in {seconds:.1f} s, {seen.min():.4g} to {seen.max():.4g}; licence: {entry.licence}")
