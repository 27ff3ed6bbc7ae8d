"""Several processes share a folder's photos: `torchrun --nproc-per-node N --module -- hqmd_cli predict ...`.

Each process takes every Nth job and writes its own manifest; the first one joins them at the end. Without torchrun
there is one process, and torch is not imported.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

from hqmd_cli.errors import HqmdError, first_line

T = TypeVar("T")
CONNECT_TIMEOUT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(days=7)  # for the slowest process; many folders take longer than torch's default of 30 minutes


@dataclass(frozen=True)
class Ranks:
    """This process's number and the number of processes, from torchrun's environment."""

    rank: int
    world: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """Read RANK and WORLD_SIZE; without torchrun, 0 of 1."""
        return cls(int(os.environ.get("RANK", 0)), int(os.environ.get("WORLD_SIZE", 1)))

    @property
    def is_first(self) -> bool:
        """True for the one process that does what must happen once."""
        return self.rank == 0

    def share(self, jobs: Sequence[T]) -> list[T]:
        """Return this process's jobs. Neighbours go to different processes, since large photos often come in runs."""
        return list(jobs[self.rank :: self.world])

    def connect(self) -> None:
        """Connect the processes; call it before any work. Raises HqmdError if they do not find each other."""
        if self.world == 1:
            return
        import torch.distributed as dist

        try:
            dist.init_process_group("gloo", timeout=CONNECT_TIMEOUT)
        except (RuntimeError, ValueError) as error:
            raise HqmdError(f"the {self.world} processes of torchrun cannot connect: {first_line(error)}") from error

    def wait_for_all(self) -> None:
        """Return when every process has called this; call `connect` first."""
        if self.world == 1:
            return
        import torch.distributed as dist

        dist.monitored_barrier(timeout=LONGEST_WAIT)
