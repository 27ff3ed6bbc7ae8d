"""stdout and stderr of the command line: what others wrote reaches the terminal as escapes.

Names of files, texts of configs and messages of libraries may hold codes that move the cursor, rename the window or
clear the screen. `errors.printable` escapes them where a message is made; these streams escape what was forgotten.
"""

import os
import re
import sys
from functools import cached_property
from io import TextIOWrapper
from typing import TextIO

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


def for_drawing(stream: TextIO) -> TextIO:
    """Return a stream for what draws on the terminal, such as a progress bar."""
    if not isinstance(stream, PrintableStream):
        return stream
    stream.flush()
    return stream.plain
