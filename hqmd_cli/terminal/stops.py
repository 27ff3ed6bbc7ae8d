"""SIGTERM as Ctrl-C, in the commands that keep what they have when they are stopped."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hqmd_cli.errors import INTERRUPTED

TERMINATED = 143  # exit code after SIGTERM: 128 + 15


class Stop:
    """The signal that stopped a command."""

    exit_code = INTERRUPTED

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle SIGTERM: the system calls this."""
        self.exit_code = TERMINATED
        raise KeyboardInterrupt


@contextmanager
def stops_as_interrupts() -> Iterator[Stop]:
    """Raise KeyboardInterrupt for SIGTERM, too, inside the `with`; give what tells the exit code."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python allows signal handlers there only
        yield stop
        return
    before = signal.signal(signal.SIGTERM, stop.receive)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGTERM, before)
