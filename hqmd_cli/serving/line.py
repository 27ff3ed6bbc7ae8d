"""The line in which photos wait: bounded, in order, and closed while the server stops."""

import asyncio
import math
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from time import monotonic
from typing import TypeVar

from hqmd_cli.serving.problems import Problem

Answer = TypeVar("Answer")
PATIENCE = 0.8  # how much of the mean time for a photo so far is kept, with each further photo
STOPPING = "the server is stopping; ask again when it is back"


class Gone(Exception):
    """The client has closed its connection."""


class Line:
    """Work on one photo at a time, in a thread; `waiting` more photos wait."""

    def __init__(self, waiting: int) -> None:
        self.most_waiting = waiting
        self.pool = ThreadPoolExecutor(1, thread_name_prefix="photo")
        self.free = asyncio.Lock()
        self.waiting = self.working = 0
        self.is_closed = False
        self.seconds = 1.0  # that a photo takes

    def require_room(self) -> None:
        """Raise Problem if no further photo can wait, or none is taken any more."""
        if self.is_closed:
            raise Problem(503, STOPPING, {"Retry-After": "10", "Connection": "close"})
        if self.waiting >= self.most_waiting:
            raise Problem(429, f"{self.waiting} photos wait already; try again later", self.retry())

    def retry(self) -> dict[str, str]:
        """Return the header that says when there will be room: when half of those that wait are done."""
        ahead = self.working + self.waiting / 2
        return {"Retry-After": str(max(1, math.ceil(self.seconds * ahead)))}

    async def do(self, work: Callable[[], Answer], gone: Callable[[], Awaitable[None]]) -> Answer:
        """Wait for the thread, and do the work in it. Raises Problem as require_room, and Gone once `gone` returns.

        A client that leaves gives its place away; work that has begun is finished.
        """
        self.require_room()
        self.waiting += 1
        try:
            await first_of(self.free.acquire(), gone())
        finally:
            self.waiting -= 1
        self.working += 1
        began = monotonic()
        try:
            return await asyncio.get_running_loop().run_in_executor(self.pool, work)
        finally:
            self.working -= 1
            self.seconds = PATIENCE * self.seconds + (1 - PATIENCE) * (monotonic() - began)
            self.free.release()

    async def empty(self) -> None:
        """Wait until nobody waits or works."""
        while self.waiting or self.working:
            await asyncio.sleep(0.05)


async def first_of(wanted: Awaitable[object], gone: Awaitable[None]) -> None:
    """Wait for `wanted`. Raises Gone if the other is ready first."""
    getting, leaving = asyncio.ensure_future(wanted), asyncio.ensure_future(gone)
    try:
        await asyncio.wait({getting, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not getting.done():
            raise Gone
    finally:
        for task in (getting, leaving):
            if not task.done():
                task.cancel()
                with suppress(asyncio.CancelledError):
                    await task
