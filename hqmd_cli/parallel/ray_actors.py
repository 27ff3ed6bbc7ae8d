"""Units of work in actors of Ray: on this machine, or on a cluster. Ray is imported when the first unit starts.

Only units and what they give pass through Ray, a few hundred bytes each: the actors themselves read photos and write
results, so no reader needs a CPU beside them. For the same reason these are plain actors without Ray Data: blocks
would hold nothing, and its own actors and imports take 20 s of CPU time (benchmarks/scale.md).
"""

import logging
import math
import os
import pickle
import queue
import secrets
import shutil
import signal
import tempfile
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.installed import require
from hqmd_cli.parallel.processes import usable_cores

Unit = TypeVar("Unit")
Outcome = TypeVar("Outcome")
Do = Callable[[Unit], Outcome]

LONGEST_SOCKET = 103  # bytes of a socket's path; Linux takes 107
LONGEST_BELOW = len("/hqmd-12345678/session_2026-12-01_00-00-00_123456_1234567/sockets/plasma_store")
STORE_BYTES = 128 * 1024 * 1024  # of the object store of our own cluster, which holds no photos
CALM = {  # Ray's switches, before it is imported; whoever sets one of them keeps it
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0",  # under `uv run`, it would upload the folder
    "RAY_BACKEND_LOG_LEVEL": "fatal",  # else it warns of each pool of actors
}


@dataclass(frozen=True)
class Actors:
    """Where and how many. Raises HqmdError for numbers that make no sense."""

    address: str = ""  # of a cluster: HOST:PORT, or auto; empty: one of our own, on this machine
    number: int = 0  # 0: as many as fit
    cpus: int = 1  # of each
    gpus: float = 0.0  # of each

    def __post_init__(self) -> None:
        if self.number < 0 or self.cpus < 1 or self.gpus < 0:
            raise HqmdError("--actors and --cpus-per-actor are 1 or more, --gpus-per-actor 0 or more")
        if "://" in self.address:
            raise HqmdError(
                f"--address {self.address}: give HOST:PORT, and run hqmd on a machine of the cluster, for instance by "
                "`ray job submit`"
            )

    def fitting(self, nodes: Sequence[Mapping[str, float]]) -> int:
        """Return how many run at once on nodes with these resources. Raises HqmdError if more are asked for."""
        fit = sum(self.fitting_on(node) for node in nodes)
        if fit < max(self.number, 1):
            asked = f"--cpus-per-actor {self.cpus}" + (f" --gpus-per-actor {self.gpus:g}" if self.gpus else "")
            there = ", ".join(
                f"{sum(node.get(kind, 0) for node in nodes):g} {kind}s"
                for kind in ("CPU", "GPU")
                if self.gpus or kind == "CPU"
            )
            remedy = f"give --actors {fit} or less" if fit else "give them less"
            raise HqmdError(f"--actors {self.number or 1}: {fit} fit, with {asked} on {there}; {remedy}")
        return self.number or fit

    def check(self) -> None:
        """Raise HqmdError if Ray is not installed, or more are asked for than fit on this machine's cores."""
        require("ray", "--engine ray")
        if not (self.address or self.gpus):
            self.fitting([{"CPU": usable_cores()}])

    def fitting_on(self, node: Mapping[str, float]) -> int:
        """Return how many run at once on a node."""
        by_gpus = node.get("GPU", 0) / self.gpus if self.gpus else math.inf
        return math.floor(min(node.get("CPU", 0) / self.cpus, by_gpus))


class Worker:
    """What Ray keeps in an actor: it makes the function at the first unit, then does one unit after the other."""

    def __init__(self, make: bytes, version: str, folder: str) -> None:
        self.make, self.version, self.folder = make, version, folder
        self.do: Callable[[Any], Any] | None = None

    def outcome(self, unit: bytes) -> bytes:
        """Do a unit; return what is raised rather than raise it, since Ray would wrap it."""
        try:
            return pickle.dumps(self.done(unit))
        except Exception as error:  # a bug, unless it is an HqmdError: its traceback goes with it
            error.add_note(traceback.format_exc())
            return pickle.dumps(error)

    def done(self, unit: bytes) -> Any:
        """Do a unit. Raises HqmdError if this node has another hqmd."""
        if self.version != __version__:
            raise HqmdError(
                f"a node of the cluster has hqmd {__version__}, and this is {self.version}; install one version"
            )
        if self.do is None:
            with suppress(OSError):  # a folder that only the first machine has
                os.chdir(self.folder)  # where relative paths begin
            self.do = pickle.loads(self.make)()
        return self.do(pickle.loads(unit))


def outcomes(
    make: Callable[[], Do[Unit, Outcome]], units: Sequence[Unit], actors: Actors, note: Callable[[str], object] = str
) -> Iterator[Outcome]:
    """Have each actor call `make` once, do the units in them, and yield what each gave, in the order of the units.

    `make`, units and outcomes are pickled. A unit whose actor or node is lost is done again, elsewhere. Raises
    HqmdError if that does, and for actors that do not fit.
    """
    with joined(actors, note) as fitting:
        import ray

        kind = ray.remote(num_cpus=actors.cpus, num_gpus=actors.gpus, max_restarts=-1, max_task_retries=-1)(Worker)
        arguments = pickle.dumps(make), __version__, os.getcwd()
        ready: queue.SimpleQueue[tuple[int, Any, Future[bytes]]] = queue.SimpleQueue()
        left = iter(enumerate(units))

        def hand_out(actor: Any) -> None:
            """Give an actor its next unit; one without is ended, so that a lost one can start on its cores."""
            number, unit = next(left, (None, None))
            if number is None:
                return ray.kill(actor)
            answer = actor.outcome.remote(pickle.dumps(unit)).future()
            answer.add_done_callback(lambda answer: ready.put((number, actor, answer)))

        for _ in range(min(fitting, len(units))):
            hand_out(kind.remote(*arguments))
        early: dict[int, bytes] = {}  # outcomes of units that come later
        try:
            for wanted in range(len(units)):
                while wanted not in early:
                    number, actor, answer = ready.get()
                    early[number] = answer.result()
                    hand_out(actor)
                outcome = pickle.loads(early.pop(wanted))
                if isinstance(outcome, Exception):
                    raise outcome
                yield outcome
        except ray.exceptions.RayError as error:
            raise HqmdError(f"Ray ends the run: {last_line(error)}; run it again, with --skip-existing") from error


@contextmanager
def joined(actors: Actors, note: Callable[[str], object]) -> Iterator[int]:
    """Join the cluster, or start one of our own, and leave or end it; yields how many actors fit.

    Nothing of the working folder is sent to the nodes.
    """
    for switch, value in CALM.items():
        os.environ.setdefault(switch, value)
    given: dict[str, Any] = {"address": actors.address}
    folder = None
    if not actors.address:
        if "RAY_ADDRESS" in os.environ:
            note("ray: a cluster of its own on this machine; RAY_ADDRESS is not used, --address joins a cluster")
        folder = short_folder(note)
        given = {
            "address": "local",
            "num_cpus": usable_cores(),
            "include_dashboard": False,
            "object_store_memory": STORE_BYTES,
            "_temp_dir": folder,
        }
        if "RAY_AUTH_MODE" not in os.environ:  # its ports are open to the network, and run whatever they are sent
            os.environ |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    import ray

    ending = signal.getsignal(signal.SIGTERM)
    try:
        try:
            with without_stderr():
                ray.init(**given, logging_level=logging.ERROR, log_to_driver=False, runtime_env={})
        except Exception as error:  # Ray raises all sorts, as when a busy machine takes longer than its 30 s
            raise HqmdError(f"ray: {actors.address or 'its cluster'} does not answer: {last_line(error)}") from error
        signal.signal(signal.SIGTERM, ending)  # which Ray replaces
        yield actors.fitting([node["Resources"] for node in ray.nodes() if node["Alive"]])
    finally:
        ray.shutdown()
        if folder:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def without_stderr() -> Iterator[None]:
    """Drop what Ray's native code prints while it starts, each time; what goes wrong is raised."""
    kept = os.dup(2)
    with open(os.devnull, "wb") as nowhere:
        os.dup2(nowhere.fileno(), 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def last_line(error: Exception) -> str:
    """Return the last line of an exception's text: of a traceback from an actor, what was raised there."""
    return printable((str(error).strip() or type(error).__name__).splitlines()[-1])


def short_folder(note: Callable[[str], object]) -> str:
    """Make a folder for the sockets of a cluster. Raises HqmdError if none can be made whose path is short enough."""
    usual = tempfile.gettempdir()
    for place in (usual, "/tmp", "/var/tmp", "/dev/shm"):
        if len(os.fsencode(place)) + LONGEST_BELOW <= LONGEST_SOCKET and os.access(place, os.W_OK):
            if place != usual:
                note(f"ray: its sockets lie in {place}, since the path of TMPDIR is too long for them")
            return tempfile.mkdtemp(prefix="hqmd-", dir=place)
    raise HqmdError(f"{usual}: this path is too long for the sockets of Ray; set TMPDIR to a shorter one")
