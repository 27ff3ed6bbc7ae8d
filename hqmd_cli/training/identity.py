"""RUN_DIR/data.json: the files that a run learns from, by name, size, time and content, so that a change is noticed.

A resumed run compares the order of the pictures, and the size and time of every file. Files whose time differs are
compared by their content; `--verify` compares the content of all. A copy of the data elsewhere is the same data.
"""

import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from hqmd_cli.checkpoints.config_file import model_hash
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import explain_read_errors, write_text
from hqmd_cli.files.checked_json import read_json
from hqmd_cli.files.limits import LARGEST_TEXT_BYTES
from hqmd_cli.files.regular import file_hash
from hqmd_cli.parallel.thread_pool import run_jobs

DATA_FILE = "data.json"
MOST_HASHED = 20e9  # bytes whose content is read at the start of a run without --verify: a minute or two
SHOWN = 3  # differences of one kind that an error names
GO_ON = "restore it, or pass --accept-changes to go on with what is there now"


class FileState(NamedTuple):
    """One file of a dataset."""

    name: str  # below the folder that all files of the dataset share
    size: int  # bytes
    time: int  # of the last change, nanoseconds
    sha256: str | None  # None: not read


def files_of(dataset: Dataset | None) -> list[Path]:
    """List the files of a dataset in the order of its pictures; empty if it is read from no files."""
    while dataset is not None and not hasattr(dataset, "files") and hasattr(dataset, "dataset"):
        dataset = dataset.dataset  # a cached dataset, or a part of one
    return list(getattr(dataset, "files", []))


def look_at(files: Sequence[Path]) -> list[FileState]:
    """Return name, size and time of files. Raises HqmdError if one is gone."""
    if not files:
        return []
    paths = [os.path.abspath(file) for file in files]
    shared = os.path.commonpath([os.path.dirname(path) for path in paths])
    states = []
    for path in paths:
        with explain_read_errors(path):
            found = os.stat(path)
        states.append(FileState(os.path.relpath(path, shared), found.st_size, found.st_mtime_ns, None))
    return states


def hashed(files: Sequence[Path], states: Sequence[FileState], which: Sequence[int]) -> list[FileState]:
    """Return the states with the hashes of some of the files, which are read in threads."""
    result = list(states)

    def read(index: int) -> str:
        with explain_read_errors(str(files[index])):
            return file_hash(files[index])

    for index, digest in run_jobs(which, read, os.cpu_count() or 1):
        if isinstance(digest, HqmdError):
            raise digest
        result[index] = result[index]._replace(sha256=digest)
    return result


def record_data(run_dir: Path, datasets: Mapping[str, Dataset | None], verify: bool) -> Iterator[str]:
    """Write data.json for a new run; yield what the user should know of it."""
    states = {}
    for name, dataset in datasets.items():
        files = files_of(dataset)
        seen = look_at(files)
        total = sum(state.size for state in seen)
        if verify or total <= MOST_HASHED:
            seen = hashed(files, seen, range(len(seen)))
        else:
            yield (
                f"{name}: {total / 1e9:.0f} GB of files, of which only size and time are recorded; --verify adds their "
                "content"
            )
        states[name] = seen
    write_states(run_dir, states)


def write_states(run_dir: Path, states: Mapping[str, Sequence[FileState]]) -> None:
    """Write data.json."""
    write_text(run_dir / DATA_FILE, json.dumps(states) + "\n")


def read_states(run_dir: Path) -> dict[str, list[FileState]] | None:
    """Read data.json; None for a run of an earlier hqmd. Raises HqmdError if it is damaged."""
    path = run_dir / DATA_FILE
    if not path.exists():
        return None
    try:
        values = read_json(path, dict, most_bytes=LARGEST_TEXT_BYTES)
        states = {name: [FileState(*state) for state in part] for name, part in values.items()}
        if not all(isinstance(state.name, str) for part in states.values() for state in part):
            raise ValueError("a file without a name")
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise HqmdError(
            f"{path}: does not say which files the run learned from: {first_line(error)}; remove it to go on unchecked"
        ) from error
    return states


def compare_data(
    run_dir: Path, datasets: Mapping[str, Dataset | None], verify: bool, accept: bool, say: Callable[[str], Any]
) -> None:
    """Compare the files of a resumed run with data.json, and note what is there now.

    Raises HqmdError with what changed, unless `accept`; then it is said.
    """
    before = read_states(run_dir)
    if before is None:
        say("this run began with an hqmd that did not record its files, so changes to them go unnoticed")
        for line in record_data(run_dir, datasets, verify):
            say(line)
        return
    now, found = {}, []
    for name, dataset in datasets.items():
        files = files_of(dataset)
        old, new = before.get(name, []), look_at(files)
        known = {state.name: state for state in old}
        which = [i for i, state in enumerate(new) if verify or needs_reading(state, known.get(state.name))]
        new = hashed(files, new, which)
        now[name] = [with_old_hash(state, known.get(state.name)) for state in new]
        found += [f"{name}: {difference}" for difference in differences(old, new)]
    if found and not accept:
        raise HqmdError(f"{run_dir}: its data has changed: {'; '.join(found)}; {GO_ON}")
    for difference in found:
        say(f"going on with other data: {difference}")
    if now != before:
        write_states(run_dir, now)


def needs_reading(state: FileState, old: FileState | None) -> bool:
    """True if only its content tells whether a file is the same: it has another time, or is new."""
    return old is None or (state.size == old.size and state.time != old.time)


def with_old_hash(state: FileState, old: FileState | None) -> FileState:
    """Keep the hash of a file that was not read again since its size and time are the same."""
    same = old is not None and (old.size, old.time) == (state.size, state.time)
    return state._replace(sha256=old.sha256) if old is not None and same and state.sha256 is None else state


def differences(old: Sequence[FileState], new: Sequence[FileState]) -> Iterator[str]:
    """Describe how files differ: gone, new, changed, in another order."""
    before, now = ({state.name: state for state in states} for states in (old, new))
    gone, added = [n for n in before if n not in now], [n for n in now if n not in before]
    if len(gone) == len(added) == len(before) and contents(old) == contents(new):
        return  # the same files under other names, as when a folder was renamed
    both = [name for name in now if name in before]
    changed = [name for name in both if is_changed(before[name], now[name])]
    for names, what in ((gone, "are gone"), (added, "are new"), (changed, "have other content")):
        if names:
            shown = ", ".join(names[:SHOWN])
            yield f"{len(names)} of {max(len(before), len(now))} files {what}, such as {shown}"
    if not (gone or added) and [state.name for state in old] != [state.name for state in new]:
        yield "the same files are listed in another order or in other pairs"


def contents(states: Sequence[FileState]) -> list[object]:
    """Return the hashes in order; a file whose content was not read is like no other."""
    return [state.sha256 or object() for state in states]


def is_changed(old: FileState, new: FileState) -> bool:
    """True if the content differs, or may differ: another time, and no hash to compare with."""
    if old.size != new.size:
        return True
    if old.sha256 and new.sha256:
        return old.sha256 != new.sha256
    return old.time != new.time


def content_of(teacher: Path | None, start: Path | None, backbone_weights: str) -> dict[str, str]:
    """Hash the models that a run learns from; those that it does not have are left out."""
    found = {name: model_hash(folder) for name, folder in (("teacher", teacher), ("start", start)) if folder}
    file = Path(backbone_weights)
    return found | ({"backbone weights": file_hash(file)} if file.is_file() else {})


def changed_models(before: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """Say which models have other content than at the start of the run."""
    return [
        f"the {name} is another model than the run began with (sha256 {before[name][:8]}, now {digest[:8]})"
        for name, digest in now.items()
        if before.get(name, digest) != digest
    ]
