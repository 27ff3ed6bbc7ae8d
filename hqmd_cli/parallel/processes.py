"""Several processes at one folder share its photos: `torchrun --nproc-per-node N --module -- hqmd_cli predict ...`.

Each process takes every Nth job and writes its own manifest; when all are done the first one joins them. Without
torchrun there is one process, and torch is not imported.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from hqmd_cli.errors import HqmdError, first_line

T = TypeVar("T")
MEETING_TIME = timedelta(minutes=5)  # for all processes to find one another at the start
LONGEST_WAIT = timedelta(days=7)  # for the slowest process; torch's half an hour is shorter than many a folder


@dataclass(frozen=True)
class Ranks:
    """This process among its like, from torchrun's environment."""

    rank: int
    world: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """One of one where torchrun did not start us."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def is_first(self) -> bool:
        """Whether this process does what is to be done once."""
        return self.rank == 0

    def share(self, jobs: Sequence[T]) -> list[T]:
        """This process's part: neighbours go to different processes, so that large photos of one day are spread."""
        return list(jobs[self.rank :: self.world])

    def meet(self) -> None:
        """Connect the processes, before any work is done. Raises HqmdError when they do not find one another."""
        if self.world == 1:
            return
        import torch.distributed as dist

        try:
            dist.init_process_group("gloo", timeout=MEETING_TIME)
        except (RuntimeError, ValueError) as error:
            raise HqmdError(f"the {self.world} processes of torchrun cannot connect: {first_line(error)}") from error

    def wait_for_all(self) -> None:
        """Return when every process has come here; `meet` comes first."""
        if self.world == 1:
            return
        import torch.distributed as dist

        dist.monitored_barrier(timeout=LONGEST_WAIT)
