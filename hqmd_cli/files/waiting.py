"""Say a word when something takes long, and give up on what takes for ever."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import Empty, Queue
from threading import Thread, Timer
from typing import Any, TypeVar

from hqmd_cli.errors import HqmdError, complain

Answer = TypeVar("Answer")
WORD_AFTER_S = 10.0


@contextmanager
def word_after(text: str, seconds: float = WORD_AFTER_S) -> Iterator[None]:
    """Print `text` as one line on stderr if the `with` takes longer than so many seconds."""
    timer = Timer(seconds, lambda: complain(HqmdError(text)))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def within(seconds: float, do: Callable[[], Answer], fault: str) -> Answer:
    """Return what `do` returns. Raises HqmdError with `fault` if it takes longer, and leaves it to itself.

    For calls into libraries that wait for a device or a server, and take no time limit. `do` runs in a daemon thread,
    which does not keep the process from ending.
    """
    answers: Queue[tuple[Any, BaseException | None]] = Queue()

    def run() -> None:
        try:
            answers.put((do(), None))
        except BaseException as error:
            answers.put((None, error))

    Thread(target=run, daemon=True).start()
    try:
        answer, error = answers.get(timeout=seconds)
    except Empty:
        raise HqmdError(fault) from None
    if error is not None:
        raise error
    return answer
