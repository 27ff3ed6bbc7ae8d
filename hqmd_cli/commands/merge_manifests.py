"""`hqmd merge-manifests`: join the records of a run that was cut into parts."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.errors import HqmdError, complain


def merge_manifests(
    output: Annotated[
        Path, typer.Argument(metavar="OUTPUT", help="The -o of the run: a folder, or s3:// and the like.")
    ],
) -> None:
    """Join the records of all parts of a run into one manifest.parquet and one errors.parquet.

    Reports parts and shards that are missing or duplicated. Exit code 1 if there are any, or if photos failed.

    \b
    hqmd merge-manifests s3://out/depths
    """
    from hqmd_cli.prediction.sources import address_of
    from hqmd_cli.scale.merge import ERRORS, MANIFEST, merge
    from hqmd_cli.scale.places import join

    address = address_of(output)
    found = merge(address)
    print(join(address, MANIFEST), join(address, ERRORS), sep="\n")
    print(f"{found.parts} parts: {found.photos:,} photos done, {found.errors:,} failed", file=sys.stderr)
    for fault in found.faults:
        complain(HqmdError(fault))
    if found.faults or found.errors:
        raise typer.Exit(1)
