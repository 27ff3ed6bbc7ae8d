"""HqmdError, the exception that reaches the user as a single line, and helpers for text on one line."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

# Line ends and terminal codes would break a message, and the marks of writing direction would turn the rest of its line
# around; lone surrogates (bytes that are not UTF-8) cannot be printed.
UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
INTERRUPTED = 130  # exit code of a program that Ctrl-C ended


class HqmdError(Exception):
    """A problem that the user can solve. The text says in which file, what is wrong, and what to do about it."""


@contextmanager
def explain_model_errors(photo: str) -> Iterator[None]:
    """Put the name of the photo before an HqmdError of a model."""
    try:
        yield
    except HqmdError as error:
        raise HqmdError(f"{photo}: {error}") from error


def complain(error: HqmdError) -> None:
    """Print an error as one line on stderr; what it quotes from elsewhere cannot move the cursor."""
    print("hqmd:", printable(" ".join(str(error).split())), file=sys.stderr)


def first_line(error: BaseException) -> str:
    """Return the first line of an exception's message, or the name of its class."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[0])


def printable(text: str) -> str:
    """Write control characters and undecodable bytes of a text as escapes."""
    return UNPRINTABLE.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text)
