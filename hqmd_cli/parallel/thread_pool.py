"""Many jobs at once, in a bounded window, in order, and stoppable: what keeps all cores busy over a folder.

A job reads, computes and writes one photo. Several of them run side by side in threads, so that one decodes while
another is in the network and a third encodes; Pillow, OpenCV and both engines let go of Python's lock meanwhile.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Condition
from typing import TypeVar

from hqmd_cli.errors import HqmdError

Job = TypeVar("Job")
Outcome = TypeVar("Outcome")
AHEAD = 2  # jobs a worker that are handed out but not yet collected: bounds the memory, whatever the folder's size


def run_jobs(
    jobs: Iterable[Job], do: Callable[[Job], Outcome], workers: int
) -> Iterator[tuple[Job, Outcome | HqmdError]]:
    """Each job with what `do` returned, or the HqmdError it raised; in the order of the jobs.

    An interrupt (Ctrl-C) while waiting lets the jobs that have begun finish, drops the others, gives what finished,
    and goes on upward.
    """

    def outcome_of(future: "Future[Outcome]") -> Outcome | HqmdError:
        try:
            return future.result()
        except HqmdError as error:
            return error

    waiting: deque[tuple[Job, Future[Outcome]]] = deque()
    left = iter(jobs)
    with ThreadPoolExecutor(workers) as pool:
        try:
            while True:
                for job in islice(left, workers * AHEAD - len(waiting)):
                    waiting.append((job, pool.submit(do, job)))
                if not waiting:
                    return
                job, future = waiting[0]
                outcome = outcome_of(future)
                waiting.popleft()
                yield job, outcome
        except KeyboardInterrupt:
            pool.shutdown(wait=True, cancel_futures=True)
            for job, future in waiting:
                if not future.cancelled():
                    yield job, outcome_of(future)
            raise
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


class Room:
    """Bounds the pixels that are worked on at once, however many cores there are; a photo of more goes alone."""

    def __init__(self, pixels: int) -> None:
        self.total = self.free = pixels
        self.freed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until so many are free, and hold them in a `with`."""
        pixels = min(pixels, self.total)
        with self.freed:
            self.freed.wait_for(lambda: self.free >= pixels)
            self.free -= pixels
        try:
            yield
        finally:
            with self.freed:
                self.free += pixels
                self.freed.notify_all()
