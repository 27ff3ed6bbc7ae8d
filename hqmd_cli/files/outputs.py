"""What a command may write: never over what it reads, and over what exists only when asked to."""

import os
from collections.abc import Iterable
from pathlib import Path

from hqmd_cli.errors import HqmdError, printable


def refuse_over_input(outputs: Iterable[Path | None], inputs: Iterable[Path | None]) -> None:
    """Raise HqmdError if an output is one of the inputs or lies in a folder that is one, links resolved.

    None stands for an output or input that was not given.
    """
    read = {os.path.realpath(path): path for path in inputs if path is not None}
    if not read:
        return
    for output in outputs:
        if output is None:
            continue
        # Both ways that a link can lead: writing replaces the link itself, and what it leads to must be kept as well.
        places = {os.path.realpath(output), os.path.join(os.path.realpath(output.parent), output.name)}
        same = next((path for real, path in read.items() if real in places or is_same_file(path, output)), None)
        if same is not None:
            raise HqmdError(f"{printable(str(output))}: would overwrite what this command reads; choose another name")


def refuse_existing_outputs(outputs: Iterable[Path | None], overwrite: bool, remedy: str = "pass --overwrite") -> None:
    """Raise HqmdError if an output exists, be it as a link that leads nowhere, unless `overwrite`.

    Also raises it for two outputs in one file.
    """
    given = [output for output in outputs if output is not None]
    for output in given:
        if os.path.lexists(output) and not overwrite:
            raise HqmdError(f"{printable(str(output))}: exists already; {remedy}, or choose another name")
    places = [os.path.join(os.path.realpath(output.parent), output.name) for output in given]
    if twice := next((output for i, output in enumerate(given) if places[i] in places[:i]), None):
        raise HqmdError(f"{printable(str(twice))}: would be written twice; give each file a name of its own")


def is_same_file(one: Path, other: Path) -> bool:
    """True if two names stand for one file, such as two hard links."""
    try:
        return one.samefile(other) and not one.is_dir()
    except OSError:
        return False
