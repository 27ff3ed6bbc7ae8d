"""Several processes at one folder: `torchrun --nproc-per-node N -m hqmd_cli predict ...` shares the photos out.

Each process takes every Nth job and writes its own manifest; when all are done the first one joins them. Without
torchrun there is one process, and torch is not imported.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import TypeVar

T = TypeVar("T")
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

    def wait_for_all(self) -> None:
        """Return when every process has come here."""
        if self.world == 1:
            return
        import torch.distributed as dist

        if not dist.is_initialized():
            dist.init_process_group("gloo", timeout=LONGEST_WAIT)
        dist.barrier()
