"""stdin, stdout and stderr of the command line: what others wrote reaches the terminal as escapes.

Names of files, texts of configs and messages of libraries may hold codes that move the cursor, rename the window or
clear the screen. `errors.printable` escapes them where a message is made; these streams escape what was forgotten.
"""

import logging
import os
import re
import sys
import warnings
from functools import cached_property
from io import TextIOWrapper
from typing import TextIO

from hqmd_cli.errors import HqmdError, complain, first_line

# Control characters except line ends and tabs, and the separators that some terminals take for line ends.
CODES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class PrintableStream(TextIOWrapper):
    """A stream of text that writes control characters as escapes. What draws on the terminal writes to `plain`."""

    @cached_property
    def plain(self) -> TextIOWrapper:
        """The same stream without escapes."""
        return TextIOWrapper(self.buffer, self.encoding, "backslashreplace", line_buffering=True)

    def write(self, text: str) -> int:
        super().write(CODES.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text))
        return len(text)


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
                setattr(sys, f"__{name}__", stream)  # PrintableStream goes over it, and must not end this one


def use_printable_streams() -> None:
    """Put printable streams in the place of stdout and stderr, and move Python's stderr off descriptor 2.

    Then files/native_lines.py can catch what libraries print there, without the lines of other threads. Letters that
    the terminal does not have are printed as escapes.
    """
    if isinstance(sys.stdout, TextIOWrapper):
        sys.stdout = PrintableStream(
            sys.stdout.buffer, sys.stdout.encoding, "backslashreplace", line_buffering=sys.stdout.line_buffering
        )
    if isinstance(sys.stderr, TextIOWrapper):
        try:
            own = os.fdopen(os.dup(sys.stderr.fileno()), "wb")
        except OSError:  # closed, or no file
            return
        sys.stderr = PrintableStream(own, sys.stderr.encoding, "backslashreplace", line_buffering=True)


def say_in_one_line() -> None:
    """Print what Python libraries log or warn of, such as Matplotlib about its cache, as one line of ours each."""
    logging.lastResort = OneLine(logging.WARNING)
    warnings.showwarning = lambda message, *where, **more: complain(HqmdError(first_line(Exception(message))))


class OneLine(logging.Handler):
    """Prints what nobody else handles."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print the first line of a record, with the library's name."""
        library = record.name.partition(".")[0]
        complain(HqmdError(f"{library}: {first_line(Exception(record.getMessage()))}"))


def for_drawing(stream: TextIO) -> TextIO:
    """Return a stream for what draws on the terminal, such as a progress bar."""
    if not isinstance(stream, PrintableStream):
        return stream
    stream.flush()
    return stream.plain
