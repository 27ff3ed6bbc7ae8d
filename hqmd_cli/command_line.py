"""The command that is running, as a checkpoint may tell it to anybody."""

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hqmd_cli.run_folder import BEST, LAST

NOT_TOLD = ("--resume",)  # how often a run was stopped says nothing of what came out


def command_line(arguments: Sequence[str] | None = None) -> str:
    """The command's line for a shell; of absolute paths only the end. Without `arguments`: this process's.

    Folders of one's machine are nobody else's business; `best` and `last` keep the name of their run.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["hqmd", *(without_folders(argument) for argument in given if argument not in NOT_TOLD)])


def without_folders(argument: str) -> str:
    """An argument, or an option's value behind `=`, as it may be told."""
    option, equals, value = argument.partition("=") if argument.startswith("--") else ("", "", argument)
    path = Path(value)
    if not (path.is_absolute() or value.startswith("~")):
        return argument
    parts = path.parts[-2:] if path.name in (BEST, LAST) else path.parts[-1:]
    return option + equals + "/".join(part for part in parts if part != path.anchor)
