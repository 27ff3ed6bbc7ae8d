"""Where the decoded data of a training lies, whether it is worth its disk, and that it is built once.

    $HQMD_CACHE, or decoded/ in hqmd's folder ~/.cache/hqmd (HQMD_HOME)
        DATA-STATE.decoded     DATA: which samples, read how; STATE: paths, sizes and times of their files
        DATA.lock              held by the process that builds; the system lets go of it when that is killed

When a source file changes, so does STATE: the file is built anew, and the old one removed. No result depends on the
lock: each builder writes a file of its own, and any of them that is renamed is whole.
"""

import hashlib
import json
import math
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import PIL
import psutil
from filelock import FileLock, Timeout

from hqmd_cli import __version__
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.cache.file_format import PARTS, DecodedDataset, NotCached, pack, write_decoded
from hqmd_cli.data.sample import Dataset, Sample, evenly
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.home import hqmd_home
from hqmd_cli.parallel.thread_pool import run_jobs

SUFFIX = ".decoded"
PROBED = 8  # samples, evenly spaced, that tell how large the cache will be and what it saves
WORTH_S = 60.0  # of decoding, below which nothing is written unless it is asked for
SHARE = 0.5  # of the free disk and of the memory that is taken without being asked for
LARGEST_SHARE = 0.95  # of the free disk
QUIET_S = 10  # between lines on how far it is

Say = Callable[[str], object]  # a line for the user


@dataclass(frozen=True)
class Plan:
    """What a cache costs and saves."""

    bytes: float
    decoding_s: float  # of all samples, once, on one core

    @classmethod
    def measure(cls, dataset: Dataset) -> "Plan":
        """By a few of its samples. Raises HqmdError when none of them can be read."""
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
        """Why it is not to be written, in words; empty where it is. `wanted`: it was asked for."""
        if self.bytes > LARGEST_SHARE * free:
            return f"it needs {gigabytes(self.bytes)} of disk, {gigabytes(free)} are free"
        if not wanted and self.bytes > SHARE * free:
            return f"it would take {gigabytes(self.bytes)} of the {gigabytes(free)} that are free; --cache takes them"
        if not wanted and self.bytes > SHARE * memory:  # it would come from the disk each time
            return f"its {gigabytes(self.bytes)} are more than half of the memory; --cache builds it nevertheless"
        return ""


def cached(dataset: Dataset, wanted: bool | None, passes: float, say: Say) -> Dataset:
    """The dataset as read from its cache, which is built if that is worth it; else the dataset itself.

    `wanted`: True builds it in any case, False uses none, None builds it where that saves a minute of decoding in
    `passes` readings of the data. Whatever goes wrong with it is said in one line, and is no reason not to train.
    """
    if wanted is False:
        return dataset
    try:
        return opened(dataset, bool(wanted), passes, say)
    except HqmdError as error:
        say(f"cache: {first_line(error)}; going on without")
    except (OSError, NotImplementedError) as error:  # the latter: a disk that knows no locks
        why = getattr(error, "strerror", None) or first_line(error)
        say(f"cache: {cache_folder()}: cannot be used: {why}; going on without; HQMD_CACHE names another place")
    return dataset


def opened(dataset: Dataset, wanted: bool, passes: float, say: Say) -> Dataset:
    """As `cached`, but raises HqmdError, or OSError of the cache's folder."""
    path = cache_folder() / file_name(dataset)
    try:
        return DecodedDataset(dataset, path)
    except NotCached:
        if not wanted and passes <= 1:
            return dataset
    plan = Plan.measure(dataset)
    if not wanted and plan.decoding_s * (passes - 1) < WORTH_S:
        return dataset
    if objection := plan.objection(free_disk(path), psutil.virtual_memory().total, wanted):
        raise HqmdError(objection)
    path.parent.mkdir(parents=True, exist_ok=True)
    with alone(path, say):
        try:  # another process may have built it meanwhile
            return DecodedDataset(dataset, path)
        except NotCached:
            say(f"cache: decoding {len(dataset)} pictures once, {gigabytes(plan.bytes)} in {path.parent}")
            return build(dataset, path, say)


def readings(train: TrainConfig, pictures: int) -> float:
    """How often a run reads each of its pictures."""
    by_steps = train.max_steps * train.batch_size / pictures if train.max_steps else math.inf
    return min(train.epochs, by_steps)


@contextmanager
def alone(path: Path, say: Say) -> Iterator[None]:
    """Wait until no other process builds the cache of this data."""
    lock = FileLock(path.with_name(f"{data_part(path)}.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say("cache: another process is building it; waiting for that")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def build(dataset: Dataset, path: Path, say: Say) -> DecodedDataset:
    """Write the file and open it; what else there is of this data, older or unfinished, is removed.

    Raises HqmdError when the data changed meanwhile.
    """
    for old in path.parent.glob(f"{data_part(path)}-*"):
        if old.suffix == SUFFIX or old.match(PARTS):
            old.unlink(missing_ok=True)
    write_decoded(path, decoded(dataset, say))
    if file_name(dataset) != path.name:
        path.unlink(missing_ok=True)
        raise HqmdError(f"{dataset.description}: its files changed while they were read")
    return DecodedDataset(dataset, path)


def decoded(dataset: Dataset, say: Say) -> Iterator[Sample | HqmdError]:
    """All samples in order, or what is wrong with them, and now and then a line."""
    last_line = time.monotonic()
    for index, outcome in run_jobs(range(len(dataset)), dataset.__getitem__, os.cpu_count() or 1):
        if time.monotonic() - last_line > QUIET_S:
            say(f"cache: {index} of {len(dataset)}")
            last_line = time.monotonic()
        yield outcome


def cache_folder() -> Path:
    """Where caches lie."""
    return Path(os.environ.get("HQMD_CACHE") or hqmd_home() / "decoded")


def file_name(dataset: Dataset) -> str:
    """DATA-STATE.decoded. Raises HqmdError for data that does not say what it is read from, or whose files are gone."""
    if not hasattr(dataset, "files"):
        raise HqmdError(f"{dataset.description}: is read from no files by which a change could be told")
    kind = f"{type(dataset).__module__}.{type(dataset).__qualname__}"
    settings = {name: value for name, value in vars(dataset).items() if not name.startswith("_")}
    about = hashlib.sha256(json.dumps([kind, settings], sort_keys=True, default=plain).encode())
    state = hashlib.sha256(f"{__version__} {PIL.__version__}".encode())
    for file in dataset.files:
        try:
            found = os.stat(file)
        except OSError as error:
            raise HqmdError(f"{file}: {error.strerror}") from error
        state.update(os.fsencode(os.path.abspath(file)) + f"\0{found.st_size} {found.st_mtime_ns}\n".encode())
    return f"{about.hexdigest()[:16]}-{state.hexdigest()[:16]}{SUFFIX}"


def plain(value: object) -> str:
    """What JSON does not know, as text; a path is the same from wherever it is named."""
    return os.path.abspath(value) if isinstance(value, Path) else repr(value)


def data_part(path: Path) -> str:
    """DATA of a cache's file."""
    return path.name.partition("-")[0]


def free_disk(path: Path) -> int:
    """Bytes that are free where a path is to be."""
    there = next(folder for folder in path.absolute().parents if folder.exists())
    return shutil.disk_usage(there).free


def gigabytes(number: float) -> str:
    """Of bytes."""
    return f"{number / 1e9:.1f} GB"
