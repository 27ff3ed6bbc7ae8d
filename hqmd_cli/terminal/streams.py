"""stdin, stdout and stderr of the command line: what others wrote reaches the terminal as escapes.

Names of files, texts of configs and messages of libraries may hold codes that move the cursor, rename the window or
clear the screen. `errors.printable` escapes them where a message is made; these streams escape what was forgotten.
"""

import logging
import os
import re
import sys
import warnings
from contextlib import suppress
from functools import cached_property
from io import TextIOWrapper
from typing import TextIO

from hqmd_cli.errors import HqmdError, complain, first_line

# As errors.UNPRINTABLE, except line ends, tabs and surrogates.
CODES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")


class PrintableStream(TextIOWrapper):
    """A stream of text that writes control characters as escapes. What draws on the terminal writes to `plain`."""

    @cached_property
    def plain(self) -> TextIOWrapper:
        """The same stream without escapes."""
        return TextIOWrapper(self.buffer, self.encoding, "backslashreplace", line_buffering=True)

    def write(self, text: str) -> int:
        super().write(CODES.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), text))
        return len(text)


class Messages(PrintableStream):
    """The stream of messages. One that is full, or cannot be written to, is no reason to lose a result."""

    def write(self, text: str) -> int:
        with suppress(OSError):
            super().write(text)
        return len(text)

    def flush(self) -> None:
        with suppress(OSError):
            super().flush()


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
        sys.stderr = Messages(own, sys.stderr.encoding, "backslashreplace", line_buffering=True)


def write_out_stdout() -> None:
    """Write what stdout still holds. Raises HqmdError if that cannot be done, unless its reader is gone.

    Then stdout leads nowhere, so that Python's end does not try again and print an error of its own.
    """
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
        if not isinstance(error, BrokenPipeError):
            raise HqmdError(f"stdout: cannot be written: {error.strerror}") from error


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
