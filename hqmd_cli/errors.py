"""The one exception that reaches the user as a single line, and text that can be one."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Line ends and terminal codes would break up a message, lone surrogates (bytes that are no UTF-8) cannot be printed.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
INTERRUPTED = 130  # exit code of a program that Ctrl-C ended


class HqmdError(Exception):
    """A problem the user can mend. Its text says what happened, in which file, and what to do about it."""


@contextmanager
def explain_model_errors(photo: str) -> Iterator[None]:
    """A model's complaint with the name of the photo that it had before it."""
    try:
        yield
    except HqmdError as error:
        raise HqmdError(f"{photo}: {error}") from error


def complain(error: HqmdError) -> None:
    """The error as one line on stderr."""
    print("hqmd:", " ".join(str(error).split()), file=sys.stderr)


def first_line(error: BaseException) -> str:
    """An exception in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def printable(text: str) -> str:
    """The same with control characters and undecodable bytes written as escapes."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
