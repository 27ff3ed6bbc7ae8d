"""Say what hqmd waits for, when it takes long."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Timer

WORD_S = 10.0  # without an answer, after which the user is told what hqmd waits for


@contextmanager
def word_after(seconds: float, text: str) -> Iterator[None]:
    """Print a line on stderr if what happens inside takes longer than so many seconds."""
    timer = Timer(seconds, lambda: print(f"hqmd: {text}", file=sys.stderr, flush=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
