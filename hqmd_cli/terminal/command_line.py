"""The command that is running, as a checkpoint may tell it to anybody."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hqmd_cli.checkpoints.hub import BEST, LAST

OPTION = re.compile(r"(--[\w-]+=|-\w=?(?=[/~]))?(.*)", re.DOTALL)
NOT_TOLD = ("--resume",)  # how often a run was stopped says nothing of what came out


def command_line(arguments: Sequence[str] | None = None) -> str:
    """The command's line for a shell; of absolute paths only the end. Without `arguments`: this process's.

    Folders of one's machine are nobody else's business; `best` and `last` keep the name of their run.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["hqmd", *(without_folders(argument) for argument in given if argument not in NOT_TOLD)])


def without_folders(argument: str) -> str:
    """An argument, or the value in `--option=VALUE` and `-oVALUE`, as it may be told."""
    option, value = OPTION.fullmatch(argument).groups("")  # type: ignore[union-attr]  # it fits everything
    path = Path(value)
    if not (path.is_absolute() or value.startswith("~")):
        return argument
    parts = path.parts[-2:] if path.name in (BEST, LAST) else path.parts[-1:]
    return option + "/".join(part for part in parts if part != path.anchor)
