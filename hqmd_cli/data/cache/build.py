"""Build the cache of decoded pictures once, if it pays.

    $HQMD_CACHE, or decoded/ in $HQMD_HOME, by default ~/.cache/hqmd
        DATA-STATE.decoded     DATA: which samples, and how they are read; STATE: paths, sizes and times of their files
        DATA.lock              held by the process that builds; the system releases it if that process dies

A changed source file changes STATE: the cache is built again and the old one is removed. The lock only saves work:
every process writes a file of its own and renames it when it is complete.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import psutil
from filelock import FileLock, Timeout

from hqmd_cli import __version__
from hqmd_cli.config.training import Batching
from hqmd_cli.data.cache.file_format import PARTS, DecodedDataset, NotCached, pack, write_decoded
from hqmd_cli.data.sample import Dataset, Sample, evenly
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.parallel.processes import usable_cores
from hqmd_cli.parallel.thread_pool import run_jobs

SUFFIX = ".decoded"
PROBED = 8  # samples, evenly spaced, from which size and decoding time are estimated
WORTH_S = 60.0  # decoding time that a cache must save to be built unasked
SHARE = 0.5  # of the free disk, and of the memory, that a cache may take unasked
LARGEST_SHARE = 0.95  # of the free disk
QUIET_S = 10  # between two lines of progress

Say = Callable[[str], object]  # prints a line for the user


@dataclass(frozen=True)
class Plan:
    """Estimated cost and benefit of a cache."""

    bytes: float
    decoding_s: float  # of all samples, once, on one core

    @classmethod
    def measure(cls, dataset: Dataset) -> "Plan":
        """Estimate from a few samples. Raises HqmdError if none of them can be read."""
        sizes, times, faults = [], [], []
        for index in evenly(len(dataset), PROBED):
            began = time.thread_time()
            try:
                sample = dataset[index]
            except HqmdError as error:
                faults.append(error)
                continue
            times.append(time.thread_time() - began)
            sizes.append(sum(array.nbytes for array in pack(sample)[1]))
        if not sizes:
            raise faults[0]
        return cls(float(np.mean(sizes)) * len(dataset), float(np.median(times)) * len(dataset))

    def objection(self, free: float, memory: float, wanted: bool) -> str:
        """Say why the cache should not be written; an empty string if it should. `wanted`: the user asked for it."""
        if self.bytes > LARGEST_SHARE * free:
            return f"it needs {gigabytes(self.bytes)} of disk, {gigabytes(free)} are free"
        if not wanted and self.bytes > SHARE * free:
            return f"it would take {gigabytes(self.bytes)} of the {gigabytes(free)} that are free; --cache builds it"
        if not wanted and self.bytes > SHARE * memory:  # every epoch would read it from the disk again
            return f"its {gigabytes(self.bytes)} are more than half of the memory; --cache builds it nevertheless"
        return ""


def cached(dataset: Dataset, wanted: bool | None, passes: float, say: Say) -> Dataset:
    """Return the dataset as read from its cache, which is built if it pays; or else the dataset itself.

    `wanted` True always builds the cache, False never uses one, None builds it if that saves a minute of decoding when
    the data is read `passes` times. Problems with the cache are reported in one line and do not stop training.
    """
    if wanted is False:
        return dataset
    try:
        return open_or_build(dataset, bool(wanted), passes, say)
    except HqmdError as error:
        say(f"cache: {first_line(error)}; going on without")
    except (OSError, NotImplementedError) as error:  # NotImplementedError: a disk without locks
        why = getattr(error, "strerror", None) or first_line(error)
        say(f"cache: {cache_folder()}: cannot be used: {why}; going on without; HQMD_CACHE names another place")
    return dataset


def open_or_build(dataset: Dataset, wanted: bool, passes: float, say: Say) -> Dataset:
    """Open the cache, or build it if it pays. Raises HqmdError, or OSError from the cache's folder."""
    path = cache_folder() / cache_name(dataset)
    try:
        return DecodedDataset(dataset, path)
    except NotCached:
        if not wanted and passes <= 1:
            return dataset
    plan = Plan.measure(dataset)
    if not wanted and plan.decoding_s * (passes - 1) < WORTH_S:
        return dataset
    disk = next(folder for folder in path.absolute().parents if folder.exists())
    if objection := plan.objection(shutil.disk_usage(disk).free, psutil.virtual_memory().total, wanted):
        raise HqmdError(objection)
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path.with_name(f"{data_part(path)}.lock"))
    try:
        held = lock.acquire(timeout=0)
    except Timeout:
        say("cache: another process is building it; waiting for that")
        held = lock.acquire()
    with held:
        try:  # another process may have built it in the meantime
            return DecodedDataset(dataset, path)
        except NotCached:
            say(f"cache: decoding {len(dataset)} pictures once, {gigabytes(plan.bytes)} in {path.parent}")
            return build(dataset, path, say)


def readings(train: Batching, pictures: int) -> float:
    """Return how often a run reads each picture."""
    by_steps = train.max_steps * train.batch_size / pictures if train.max_steps else math.inf
    return min(train.epochs, by_steps)


def build(dataset: Dataset, path: Path, say: Say) -> DecodedDataset:
    """Remove outdated and unfinished caches of this data, write the new one and open it.

    Raises HqmdError if the data changed in the meantime.
    """
    for old in path.parent.glob(f"{data_part(path)}-*"):
        if old.suffix == SUFFIX or old.match(PARTS):
            old.unlink(missing_ok=True)
    write_decoded(path, decode_all(dataset, say))
    if cache_name(dataset) != path.name:
        path.unlink(missing_ok=True)
        raise HqmdError(f"{dataset.description}: its files changed while they were read")
    return DecodedDataset(dataset, path)


def decode_all(dataset: Dataset, say: Say) -> Iterator[Sample | HqmdError]:
    """Yield all samples in order, or the error of one that cannot be read; say every few seconds how far it is."""
    last_line = time.monotonic()
    for index, outcome in run_jobs(range(len(dataset)), dataset.__getitem__, usable_cores()):
        if time.monotonic() - last_line > QUIET_S:
            say(f"cache: {index} of {len(dataset)}")
            last_line = time.monotonic()
        yield outcome


def cache_folder() -> Path:
    """Return the folder of all caches."""
    return Path(os.environ.get("HQMD_CACHE") or hqmd_home() / "decoded")


def cache_name(dataset: Dataset) -> str:
    """Return DATA-STATE.decoded. Raises HqmdError if the dataset does not list its files, or one is missing."""
    if not hasattr(dataset, "files"):
        raise HqmdError(f"{dataset.description}: is not read from files, so a change would go unnoticed")
    kind = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    settings = {name: value for name, value in vars(dataset).items() if not name.startswith("_")}
    data = hashlib.sha256(json.dumps([kind, settings], sort_keys=True, default=setting_text).encode())
    state = hashlib.sha256(f"{__version__} {PIL.__version__}".encode())
    for file in dataset.files:
        try:
            found = os.stat(file)
        except OSError as error:
            raise HqmdError(f"{file}: {error.strerror}") from error
        state.update(os.fsencode(os.path.abspath(file)) + f"\0{found.st_size} {found.st_mtime_ns}\n".encode())
    return f"{data.hexdigest()[:16]}-{state.hexdigest()[:16]}{SUFFIX}"


def setting_text(value: object) -> str:
    """Return a path as an absolute one, so that a cache is found from any working directory; repr of other objects."""
    return os.path.abspath(value) if isinstance(value, Path) else repr(value)


def data_part(path: Path) -> str:
    """Return DATA of DATA-STATE.decoded."""
    return path.name.partition("-")[0]


def gigabytes(number: float) -> str:
    """Format a number of bytes in GB."""
    return f"{number / 1e9:.1f} GB"
