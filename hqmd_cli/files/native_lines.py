"""Catch what libraries written in C print on stderr, so that it can become one line of ours that names the file."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import UnsupportedOperation
from threading import RLock

from hqmd_cli.errors import printable

STDERR = 2
MOST_LINES = 20  # that are kept
LONGEST_LINE = 300
ONE_AT_A_TIME = RLock()  # the descriptor is the whole process's


@contextmanager
def native_lines(said: list[str]) -> Iterator[None]:
    """Append to `said` the lines that libraries print on stderr inside the `with`, at its end.

    Catches nothing while Python itself prints there (a program that imports hqmd), since its lines would be caught,
    too. The command line gives Python a descriptor of its own, see terminal/streams.py. One thread at a time.
    """
    if python_prints_there():
        yield
        return
    import tempfile  # here, because it takes time, and few photos need it

    with tempfile.TemporaryFile() as kept:
        try:
            with stderr_to(kept.fileno()):
                yield
        finally:
            kept.seek(0)
            lines = kept.read(MOST_LINES * LONGEST_LINE).decode("utf-8", "replace").splitlines()
            said += [printable(line.strip())[:LONGEST_LINE] for line in lines[:MOST_LINES] if line.strip()]


@contextmanager
def no_native_lines() -> Iterator[None]:
    """Drop the lines that libraries print on stderr inside the `with`, where `native_lines` would catch them."""
    if python_prints_there():
        yield
        return
    with open(os.devnull, "wb") as nowhere, stderr_to(nowhere.fileno()):
        yield


@contextmanager
def stderr_to(descriptor: int) -> Iterator[None]:
    """Send what libraries print on stderr to an open file, for one thread at a time."""
    with ONE_AT_A_TIME:
        before = os.dup(STDERR)
        os.dup2(descriptor, STDERR)
        try:
            yield
        finally:
            os.dup2(before, STDERR)
            os.close(before)


def python_prints_there() -> bool:
    """True if Python's stderr has the descriptor of the libraries, or that one is closed."""
    try:
        os.fstat(STDERR)
        return sys.stderr is not None and sys.stderr.fileno() == STDERR
    except (UnsupportedOperation, AttributeError, ValueError):  # a stderr that is no file
        return False
    except OSError:
        return True
