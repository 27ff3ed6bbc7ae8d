"""A function in a process of its own: what ends that process is an error, and the next item gets a new one.

    python -m hqmd_cli.parallel.guarded

is that process. It reads pickles from stdin, first what makes the function, then its arguments, and writes what each
gives to stdout. It ends when its stdin does, whatever it works on, so none outlives the process that started it,
however that ends.
"""

import os
import pickle
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from threading import Thread
from typing import Any, Generic, TypeVar

from hqmd_cli.errors import HqmdError

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
TRIES = 2
REMEDY = {"SIGKILL": ", as when the memory runs out"}


class Guarded(Generic[Item, Outcome]):
    """Call, from one thread at a time, what `make` returns in the other process, where it is called once.

    A call raises HqmdError if the function does, and if its process ends `tries` times. If `make` raises one, so does
    the first call. Arguments and results are pickled.
    """

    def __init__(self, make: Callable[[], Callable[[Item], Outcome]], tries: int = TRIES) -> None:
        self.make, self.tries = make, tries
        self.process: subprocess.Popen[bytes] | None = None
        self.is_ready = False  # True once the process has made the function

    def __call__(self, item: Item) -> Outcome:
        for _ in range(self.tries):
            process = self.process if self.process and self.is_ready else self.start()
            with suppress(EOFError, OSError, pickle.UnpicklingError):  # that process has ended
                return self.ask(process, item)
            self.is_ready = False
            code = process.wait()
        times = f", {self.tries} times" if self.tries > 1 else ""
        raise HqmdError(f"ended the process that worked on it{times} ({in_words(code)})")

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the process, and have it make the function. Raises HqmdError if that fails."""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
        command = [sys.executable, "-m", __name__]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
        self.process = process
        try:
            self.ask(process, self.make)
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise HqmdError(f"a process for the model cannot be started ({in_words(process.wait())})") from error
        self.is_ready = True
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
        """End the process, whatever it works on."""
        if self.process:
            self.process.communicate()
            self.process, self.is_ready = None, False


def in_words(code: int) -> str:
    """Say how a process ended."""
    if code >= 0:
        return f"exit code {code}"
    name = signal.Signals(-code).name
    return name + REMEDY.get(name, "")


def serve() -> None:
    """Answer until stdin ends. What the function prints goes to stderr."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that asks
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    asked = SimpleQueue[Any]()
    Thread(target=read, args=(asked,), daemon=True).start()
    do: Callable[[Any], Any] | None = None
    with suppress(BrokenPipeError):
        while True:
            item = asked.get()
            try:
                answer = do(item) if do else None
                do = do or item()
            except HqmdError as error:
                answer = error
            pickle.dump(answer, answers, pickle.HIGHEST_PROTOCOL)
            answers.flush()
            item = answer = None  # which may be large


def read(asked: "SimpleQueue[Any]") -> None:
    """Read what is asked, until stdin ends; then end this process."""
    try:
        while True:
            asked.put(pickle.load(sys.stdin.buffer))
    except (EOFError, pickle.UnpicklingError):
        os._exit(0)
    except BaseException:
        traceback.print_exc()
        os._exit(1)


if __name__ == "__main__":
    serve()
