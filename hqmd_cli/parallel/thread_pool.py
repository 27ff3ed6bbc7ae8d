"""Many jobs in threads: in order, a bounded number at a time, and interruptible.

A job reads, computes and writes one photo. While one thread decodes, another runs the network and a third encodes:
Pillow, OpenCV and both engines release Python's lock.
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
AHEAD = 2  # jobs per worker that are submitted but not yet collected; bounds the memory, however large the folder


def run_jobs(
    jobs: Iterable[Job], do: Callable[[Job], Outcome], workers: int
) -> Iterator[tuple[Job, Outcome | HqmdError]]:
    """Yield each job with what `do` returned, or the HqmdError that it raised, in the order of the jobs.

    On KeyboardInterrupt, lets the running jobs finish, drops the others, yields what finished, and raises it again.
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


class PixelBudget:
    """Bound the pixels in work at a time, however many cores there are. A photo that exceeds it runs alone."""

    def __init__(self, pixels: int) -> None:
        self.total = self.free = pixels
        self.freed = Condition()

    @contextmanager
    def taken(self, pixels: int) -> Iterator[None]:
        """Wait until `pixels` are free, and hold them inside the `with`."""
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
