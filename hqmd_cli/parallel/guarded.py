"""A function in a process of its own: what ends that process twice is an error, and the next item gets a new one.

    python -m hqmd_cli.parallel.guarded

is that process. It reads pickles from stdin, first what makes the function, then its arguments, and writes what each
gives to stdout. It ends when its stdin does, so none outlives the process that started it, however that ends.
"""

import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

from hqmd_cli.errors import HqmdError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
TRIES = 2
REMEDY = {"SIGKILL": ", as when the memory runs out"}


class Guarded(Generic[Item, Outcome]):
    """Call, from one thread at a time, what `make` returns in the other process, where it is called once.

    A call raises HqmdError if the function does, and if its process ends TRIES times. If `make` raises one, so does
    the first call. Arguments and results are pickled.
    """

    def __init__(self, make: Callable[[], Callable[[Item], Outcome]]) -> None:
        self.make = make
        self.process: subprocess.Popen[bytes] | None = None

    def __call__(self, item: Item) -> Outcome:
        for _ in range(TRIES):
            process = self.process or self.start()
            with suppress(EOFError, OSError, pickle.UnpicklingError):  # that process has ended
                return self.ask(process, item)
            code = process.wait()
            self.process = None
        raise HqmdError(f"ended the process that worked on it, {TRIES} times ({in_words(code)})")

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process, and have it make the function. Raises HqmdError if that fails."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", __name__]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        try:
            self.ask(process, self.make)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise HqmdError(f"a process for the model cannot be started ({in_words(process.wait())})") from error
        self.process = process
        return process

    def ask(self, process: "subprocess.Popen[bytes]", item: Any) -> Any:
        """Send an object and return the answer. Raises it if it is an HqmdError, EOFError or OSError if none comes."""
        assert process.stdin and process.stdout
        pickle.dump(item, process.stdin, pickle.HIGHEST_PROTOCOL)
        process.stdin.flush()
        answer = pickle.load(process.stdout)
        if isinstance(answer, HqmdError):
            raise answer
        return answer

    def close(self) -> None:
        """End the process, which has no work."""
        if self.process:
            self.process.communicate()
            self.process = None


def in_words(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return name + REMEDY.get(name, "")


def serve() -> None:
    """Answer until stdin ends. What the function prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    asked, answers = sys.stdin.buffer, os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    do: Callable[[Any], Any] | None = None
    with suppress(EOFError, BrokenPipeError):
        while True:
            item = pickle.load(asked)
            try:
                answer = do(item) if do else None
                do = do or item()
            except HqmdError as error:
                answer = error
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()


if __name__ == "__main__":
    serve()
