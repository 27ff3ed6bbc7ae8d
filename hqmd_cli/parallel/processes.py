"""Several processes share a folder's photos: `torchrun --nproc-per-node N --module -- hqmd_cli predict ...`.

Each process takes every Nth job; all write to one manifest, which the first one puts in order at the end. Without
torchrun there is one process, and torch is not imported.
"""

import math
import os
import signal
from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, TypeVar

from hqmd_cli.errors import HqmdError, first_line, printable

T = TypeVar("T")
CONNECT_TIMEOUT = timedelta(minutes=5)
LONGEST_WAIT = timedelta(days=7)  # for the slowest process; many folders take longer than torch's default of 30 minutes

SIGNALLED = 128
LOOK_AGAIN_S = 1.0  # between two looks at what other runs in the same folder wrote


RANK_VARIABLES = ("RANK", "LOCAL_RANK", "WORLD_SIZE")  # that torchrun sets
CGROUPS = Path("/sys/fs/cgroup")
OWN_CGROUPS = Path("/proc/self/cgroup")


def ending_signals() -> tuple[int, ...]:
    """Return the signals that end a process from outside: SIGTERM, and SIGHUP of a terminal that closes.

    Without SIGHUP where it is ignored, as under `nohup`. A process that one ended has the exit code SIGNALLED + number.
    """
    hangup = getattr(signal, "SIGHUP", None)  # Windows has none
    return (signal.SIGTERM, *([hangup] if hangup and signal.getsignal(hangup) is not signal.SIG_IGN else []))


def usable_cores() -> int:
    """Return how many cores this process may use: by its affinity, and by the limit of its container."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, math.ceil(min(allowed, container_cores())))


def fewer_cores() -> int:
    """Return the cores that this process may use if they are fewer than the machine has, and else 0."""
    cores = usable_cores()
    return cores if cores < (os.cpu_count() or 1) else 0


def container_cores() -> float:
    """Return the limit of this process's container or service in cores: the least one on the way up to the root."""
    return min(limit_of(folder) for folder in own_cgroups())


def own_cgroups() -> set[Path]:
    """Return the folders of this process's control groups, versions 2 and 1, with all above them."""
    folders = {CGROUPS, CGROUPS / "cpu"}
    with suppress(OSError):
        for line in OWN_CGROUPS.read_text("utf-8", "replace").splitlines():
            _, controllers, name = line.split(":", 2)
            if ".." not in name and (not controllers or "cpu" in controllers.split(",")):
                own = (CGROUPS / "cpu" if controllers else CGROUPS) / name.lstrip("/")
                folders |= {folder for folder in (own, *own.parents) if folder.is_relative_to(CGROUPS)}
    return folders


def limit_of(folder: Path) -> float:
    """Return the limit that one control group sets, in cores; infinity without one."""
    for name in ("cpu.max", "cpu.cfs_quota_us"):  # versions 2 and 1
        try:
            quota, *period = (folder / name).read_text("ascii").split()
            if quota in ("max", "-1"):
                return math.inf
            return int(quota) / int(period[0] if period else (folder / "cpu.cfs_period_us").read_text("ascii"))
        except (OSError, ValueError, ZeroDivisionError):  # not this version
            continue
    return math.inf


class Ranks(NamedTuple):  # as files/kinds.py
    """This process's number and the number of processes, from torchrun's environment."""

    rank: int
    world: int

    @classmethod
    def from_environment(cls) -> "Ranks":
        """Read RANK and WORLD_SIZE; without torchrun, 0 of 1.

        Raises HqmdError if they do not fit together: a RANK that another program left would leave photos out.
        """
        given = {name: os.environ[name] for name in RANK_VARIABLES if os.environ.get(name)}
        try:
            rank, world = int(given.get("RANK", 0)), int(given.get("WORLD_SIZE", 1))
        except ValueError:
            rank, world = -1, 0
        alone = not {"RANK", "WORLD_SIZE"} <= given.keys() and (given.keys() - {"WORLD_SIZE"} or world != 1)
        if alone or not 0 <= rank < world:
            said = " and ".join(f"{name}={printable(value)}" for name, value in given.items())
            raise HqmdError(
                f"the environment says {said}, which are not those of one of several processes; "
                "unset RANK, LOCAL_RANK and WORLD_SIZE, or start with torchrun"
            )
        return cls(rank, world)

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
