"""Stop a training by Ctrl-C, SIGTERM, SIGHUP or a time limit, but never in the middle of a step."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType
from typing import Any

from hqmd_cli.errors import INTERRUPTED, HqmdError
from hqmd_cli.parallel.processes import SIGNALLED, ending_signals

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def stopping() -> tuple[int, ...]:
    """Return the signals that stop a training."""
    return (signal.SIGINT, *ending_signals())


class Terminated(SystemExit):
    """Raised for SIGTERM and SIGHUP, as KeyboardInterrupt is for SIGINT."""

    def __init__(self, number: int) -> None:
        super().__init__(SIGNALLED + number)


def exit_code(reason: BaseException) -> int:
    """Exit code of a process that `reason` stopped."""
    return int(reason.code or 0) if isinstance(reason, Terminated) else INTERRUPTED


class StopSignals:
    """Context in which Ctrl-C, SIGTERM and SIGHUP wait for the end of a `held` part; a second signal does not wait.

    With `always`, they are only noted in `received`: several processes have to agree on the step after which they stop.
    """

    def __init__(self, always: bool = False) -> None:
        self.is_held, self.always, self.received = False, always, 0
        self.before: dict[int, Any] = {}

    def __enter__(self) -> "StopSignals":
        if threading.current_thread() is threading.main_thread():  # Python allows signal handlers there only
            self.before = {number: signal.signal(number, self.receive) for number in stopping()}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for number, handler in self.before.items():
            signal.signal(number, handler)

    def receive(self, number: int, frame: FrameType | None) -> None:
        """Handle a signal: the system calls this."""
        is_second, self.received = bool(self.received), number
        if is_second or not (self.is_held or self.always):
            self.stop()

    def stop(self) -> None:
        """Raise the exception of the signal that was received."""
        raise KeyboardInterrupt if self.received == signal.SIGINT else Terminated(self.received)

    @contextmanager
    def held(self) -> Iterator[None]:
        """Context of a part that must not be interrupted."""
        self.is_held = True
        try:
            yield
        finally:
            self.is_held = False
        if self.received and not self.always:
            self.stop()


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Block the stop signals. A worker that starts inside keeps them blocked until `ignore_stop_signals` runs."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, stopping())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def ignore_stop_signals(worker: int) -> None:
    """Let the main process decide when this worker ends: a terminal or a job sends signals to all processes.

    SIGTERM, which Python also sends to workers that are left over, ends the worker silently. Another exit code than 0
    would interrupt the main process's step.
    """
    blocked = stopping()
    for number in blocked:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda number, frame: os._exit(0))
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, blocked)


def parse_duration(text: str) -> float:
    """Convert 90s, 45m, 8h, 1h30m or 2d to seconds. Raises HqmdError for anything else."""
    parts = re.findall(r"(\d+(?:\.\d+)?)([smhd])", text)
    if not parts or "".join(number + unit for number, unit in parts) != text:
        raise HqmdError(f"{text!r} is not a duration; write 90s, 45m, 8h or 1h30m")
    return sum(float(number) * UNITS[unit] for number, unit in parts)
