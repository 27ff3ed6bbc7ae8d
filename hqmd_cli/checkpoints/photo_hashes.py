"""Which photos a checkpoint has learned from, as hashes: `hqmd evaluate` says when it scores a model on copies of them.

photo_hashes.npy    (N,) uint64, sorted; data/check/near_duplicates.py says what a hash is

No photo can be made of its hash again. Checkpoints of an earlier hqmd have no such file, and nothing is said of them.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from hqmd_cli.checkpoints.hub import HASHES_FILE
from hqmd_cli.data.check.near_duplicates import NO_HASH, Hashes, copies, hash_of, thumbnail
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import write_bytes
from hqmd_cli.files.regular import read_regular
from hqmd_cli.parallel.thread_pool import run_jobs

SHOWN = 3  # names of copies in a line


def read_hashes(folder: Path) -> Hashes:
    """Return the hashes that lie in a folder; none if there is no file. Raises HqmdError for a file of another kind."""
    path = folder / HASHES_FILE
    if not path.exists():
        return np.empty(0, np.uint64)
    try:
        hashes = np.load(io.BytesIO(read_regular(path)), allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise HqmdError(f"{path}: no list of hashes; remove it, or copy the model again") from error
    if not isinstance(hashes, np.ndarray) or hashes.dtype != np.uint64 or hashes.ndim != 1:
        raise HqmdError(f"{path}: no list of hashes; remove it, or copy the model again")
    return hashes


def write_hashes(folder: Path, hashes: Iterable[int]) -> None:
    """Write hashes, each once; no file if there are none."""
    wanted = np.array(sorted({int(value) for value in hashes} - {NO_HASH}), np.uint64)
    if wanted.size:
        file = io.BytesIO()
        np.save(file, wanted)
        write_bytes(folder / HASHES_FILE, file.getvalue())


def join_hashes(sources: Sequence[Path], folder: Path) -> None:
    """Write what several checkpoints have learned from into the folder of one that is made of them."""
    write_hashes(folder, (value for source in sources for value in read_hashes(source)))


def note_photos(folder: Path, datasets: Iterable[Dataset | None], start: Path | str | None, workers: int) -> None:
    """Write the hashes of all photos of a run, and of those that `start`, its first weights, has learned from.

    It reads every photo once. What cannot be read is left out, and is not learned from.
    """

    def hash_at(place: tuple[Dataset, int]) -> int:
        dataset, index = place
        return hash_of(thumbnail(dataset[index].image))

    places = ((dataset, index) for dataset in datasets if dataset for index in range(len(dataset)))
    outcomes = [outcome for _, outcome in run_jobs(places, hash_at, max(1, workers))]
    before: Iterable[int] = read_hashes(start) if isinstance(start, Path) else []
    write_hashes(folder, [*before, *(outcome for outcome in outcomes if isinstance(outcome, int))])


def copies_in_words(names: Sequence[str], photos: Iterable[int], seen: Hashes) -> str:
    """Say which of the named photos look like copies of what a model learned from; empty if none does."""
    found = [printable(names[index]) for index in copies(np.array([*photos], np.uint64), seen)]
    if not found:
        return ""
    such = ", ".join(found[:SHOWN]) + (", ..." if len(found) > SHOWN else "")
    return (
        f"{len(found)} of {len(names)} pictures look like copies of what it learned from ({such}): "
        "its figures are too good"
    )
