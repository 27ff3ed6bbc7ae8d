"""The running command, without private paths, for a checkpoint that others will read."""

import re
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from hqmd_cli.checkpoints.hub import BEST, LAST

OPTION = re.compile(r"(--[\w-]+=|-\w=?(?=[/~]))?(.*)", re.DOTALL)
LEFT_OUT = ("--resume", "--verify", "--accept-changes")  # it does not change the result of a run


def command_line(arguments: Sequence[str] | None = None) -> str:
    """Return the command line for a shell, by default this process's, with absolute paths cut to their last part.

    Folders of the user's machine are private; `best` and `last` keep the name of their run.
    """
    given = sys.argv[1:] if arguments is None else arguments
    return shlex.join(["hqmd", *(without_folders(argument) for argument in given if argument not in LEFT_OUT)])


def without_folders(argument: str) -> str:
    """Cut an argument, or the value in `--option=VALUE` and `-oVALUE`, if it is an absolute path."""
    option, value = OPTION.fullmatch(argument).groups("")  # type: ignore[union-attr]  # OPTION matches any text
    path = Path(value)
    if not (path.is_absolute() or value.startswith("~")):
        return argument
    parts = path.parts[-2:] if path.name in (BEST, LAST) else path.parts[-1:]
    return option + "/".join(part for part in parts if part != path.anchor)
