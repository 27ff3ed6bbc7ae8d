"""The one exception that reaches the user as a single line."""

import sys


class HqmdError(Exception):
    """A problem the user can mend. Its text says what happened, in which file, and what to do about it."""


def complain(error: HqmdError) -> None:
    """The error as one line on stderr."""
    print("hqmd:", " ".join(str(error).split()), file=sys.stderr)


def first_line(error: Exception) -> str:
    """An exception in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
