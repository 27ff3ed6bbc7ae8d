"""stdin, stdout and stderr that whoever started the command has closed."""

import os
import sys


def open_closed_streams() -> None:
    """Let closed standard streams lead nowhere. Otherwise a result gets their number, and what is printed, into it.

    A closed stdin stays None in `sys`, so that a photo is not looked for there.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # gets the lowest free number, which is this one
            if name != "stdin":
                stream = os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
                setattr(sys, name, stream)
                setattr(sys, f"__{name}__", stream)  # streams.py puts another one over it, which must not end this one
