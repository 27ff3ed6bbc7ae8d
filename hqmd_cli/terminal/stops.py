"""SIGTERM and SIGHUP as Ctrl-C, in the commands that keep what they have when they are stopped."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from hqmd_cli.errors import INTERRUPTED
from hqmd_cli.parallel.processes import SIGNALLED, ending_signals


class Stop:
    """The signal that stopped a command."""

    exit_code = INTERRUPTED

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the system calls this."""
        self.exit_code = SIGNALLED + number
        raise KeyboardInterrupt


@contextmanager
def stops_as_interrupts() -> Iterator[Stop]:
    """Raise KeyboardInterrupt for SIGTERM and SIGHUP, too, inside the `with`; give what tells the exit code."""
    stop = Stop()
    if threading.current_thread() is not threading.main_thread():  # Python allows signal handlers there only
        yield stop
        return
    before = {number: signal.signal(number, stop.receive) for number in ending_signals()}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
