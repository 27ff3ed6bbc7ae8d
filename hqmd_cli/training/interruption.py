"""Being stopped: Ctrl-C, a scheduler's SIGTERM, or a time limit never come in the middle of a step."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from hqmd_cli.errors import INTERRUPTED, HqmdError

STOPPING = (signal.SIGINT, signal.SIGTERM)
TERMINATED = 143  # exit code of a program that SIGTERM ended: 128 + 15
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


class Terminated(SystemExit):
    """SIGTERM, as an exception, as KeyboardInterrupt is SIGINT."""

    def __init__(self) -> None:
        super().__init__(TERMINATED)


def exit_code(reason: BaseException) -> int:
    """Of a process that was stopped by it."""
    return TERMINATED if isinstance(reason, Terminated) else INTERRUPTED


class StopSignals:
    """While inside, SIGINT and SIGTERM that come in a `held` part are raised at its end; a second one at once.

    `always`: outside such parts, too, they wait for the next: with several processes all have to stop after the same
    step, which they agree on there.
    """

    def __init__(self, always: bool = False) -> None:
        self.waiting, self.always, self.received = False, always, 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # Python lets no other thread listen
            self.before = {number: signal.signal(number, self.hear) for number in STOPPING}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def hear(self, number: int, frame: FrameType | None) -> None:
        """What the system calls."""
        second, self.received = self.received, number
        if second or not (self.waiting or self.always):
            self.stop()

    def stop(self) -> None:
        """Raise what was received."""
        raise Terminated if self.received == signal.SIGTERM else KeyboardInterrupt

    @contextmanager
    def held(self) -> Iterator[None]:
        """A part that is not to be broken off."""
        self.waiting = True
        try:
            yield
        finally:
            self.waiting = False
        if self.received and not self.always:
            self.stop()


@contextmanager
def unheard() -> Iterator[None]:
    """Ctrl-C and SIGTERM wait; for a process that begins inside, until `obey` has begun."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOPPING)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def obey(worker: int) -> None:
    """Ctrl-C and SIGTERM come to all processes of a terminal or a job, but it is the main one that ends its workers.

    A worker has nothing to save. It ends without a word at SIGTERM, which Python sends those that are left over at the
    end, too: an exit code other than 0 would break off the main one's step.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, STOPPING)


def parse_duration(text: str) -> float:
    """Seconds of 90s, 45m, 8h, 1h30m or 2d. Raises HqmdError for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise HqmdError(f"{text!r} is no duration; write 90s, 45m, 8h or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)
