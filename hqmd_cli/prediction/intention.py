"""What a run is about to write: on the disk before its first result, so that a result never lacks an owner.

`.hqmd-run-RUN.json` lies in the folder of the results while a run goes on. It holds the run's settings, every file that
it will write, and what lay there before. A run that is killed, or that cannot record what it wrote, leaves it behind.
The next run writes again what such a file names and no record describes, and never touches any other file.
"""

import json
import math
import os
import re
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from time import monotonic, sleep
from typing import Any

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import RUN, remove_unfinished, sync, write_text
from hqmd_cli.files.checked_json import LENIENT, parse_json
from hqmd_cli.files.locks import claim, is_claimed
from hqmd_cli.files.regular import file_hash, read_regular
from hqmd_cli.parallel.processes import LOOK_AGAIN_S

NAME = re.compile(r"\.hqmd-run-(?P<run>[0-9a-f]{8})\.json")

LOCK_NAME = re.compile(rf"\.(?P<name>{NAME.pattern})\.lock")

Before = list[int] | None  # size and time of what lay there; None: nothing


@dataclass(frozen=True)
class Intention:
    """The intention of another run."""

    path: Path
    run: str
    settings: Mapping[str, Any]
    outputs: Mapping[Path, Before]  # absolute
    alive: bool  # the run goes on

    def may_have_written(self, target: Path) -> bool:
        """True if the run was to write this file, and another one lies there now than before."""
        place = Path(os.path.abspath(target))
        return place in self.outputs and state_of(place) not in (None, self.outputs[place])


class Intentions:
    """The intentions in a folder of results: those of other runs, and this run's own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / f".hqmd-run-{RUN}.json"
        self.others = read_intentions(folder)
        self.looked_s = -math.inf  # when it was last looked for further ones
        self.one_at_a_time = Lock()
        self.settings: Mapping[str, Any] = {}
        self.outputs: dict[str, Before] = {}  # relative to the folder
        self.claimed = ExitStack()
        self.begun: set[Path] = set()  # files that the jobs of this run begin to write; they add theirs
        self.recorded: set[Path] = set()  # files that a record describes; the jobs add theirs

    def begin(self, targets: Iterable[Path], settings: Mapping[str, Any]) -> None:
        """Write and sync this run's intention, and remove what dead runs left unfinished."""
        self.settings = json.loads(json.dumps(settings))
        for dead in self.dead:
            for folder in {self.folder, *(place.parent for place in dead.outputs)}:
                remove_unfinished(folder, {dead.run})
        for entry in os.scandir(self.folder) if self.folder.is_dir() else ():
            if (lock := LOCK_NAME.fullmatch(entry.name)) and not (self.folder / lock["name"]).exists():
                is_claimed(self.folder / lock["name"])  # removes the lock of a run killed before it wrote its intention
        self.claimed.enter_context(claim(self.path))
        self.write(targets)
        sync(self.path)
        sync(self.folder)

    def write(self, targets: Iterable[Path]) -> None:
        """Write this run's intention: these targets, and those before."""
        top = os.path.abspath(self.folder)
        self.outputs |= {os.path.relpath(os.path.abspath(target), top): state_of(target) for target in targets}
        write_text(self.path, json.dumps({"settings": self.settings, "outputs": self.outputs}) + "\n")

    def extend(self, targets: Iterable[Path]) -> None:
        """Write and sync what this run will write, too, such as frames of a video, before the first of them."""
        self.write(targets)
        sync(self.path)

    @property
    def dead(self) -> list[Intention]:
        """The intentions of runs that were killed, or that could not record what they wrote."""
        return [other for other in self.others if not other.alive]

    @property
    def results(self) -> set[Path]:
        """Absolute paths of all that other runs have written or will write."""
        return {place for other in self.others for place in other.outputs}

    def look_again(self, targets: Iterable[Path]) -> bool:
        """Look for runs that began meanwhile, if one of these files was written since this run began; return if it did.

        May wait, since looking through a large folder takes time.
        """
        top = os.path.abspath(self.folder)
        before = {target: self.outputs.get(os.path.relpath(os.path.abspath(target), top)) for target in targets}
        if all(state_of(target) == state for target, state in before.items()):
            return False
        with self.one_at_a_time:
            sleep(max(0.0, self.looked_s + LOOK_AGAIN_S - monotonic()))
            seen = {other.run for other in self.others}
            self.others += [other for other in read_intentions(self.folder) if other.run not in seen]
            self.looked_s = monotonic()
        return True

    def is_result_of_a_run(self, target: Path) -> bool:
        """True if a dead run, or a living one with the same settings, may have written this file without a record."""
        return any(
            other.may_have_written(target)
            for other in self.others
            if not other.alive or other.settings == self.settings
        )

    def close(self, hashes: Mapping[Path, str]) -> None:
        """Remove the intentions that are fulfilled. `hashes` gives the recorded hash of each absolute path."""
        self.fulfil(hashes)
        self.claimed.close()

    def fulfil(self, hashes: Mapping[Path, str]) -> None:
        """Remove the intentions that name no file without a record; those of other runs only if the run is dead."""
        unrecorded = self.begun - self.recorded
        if any(target.exists() for target in unrecorded):
            self.write_left(unrecorded)
        else:
            self.path.unlink(missing_ok=True)
        recorded = {Path(os.path.abspath(target)) for target in self.recorded}
        for dead in self.dead:
            left = (place for place in dead.outputs if place not in recorded and dead.may_have_written(place))
            if all(is_file_of_hash(place, hashes.get(place)) for place in left):
                with suppress(OSError):  # another user's
                    dead.path.unlink()

    def write_left(self, unrecorded: Iterable[Path]) -> None:
        """Reduce this run's intention to what it could not record; on a full disk the whole one stays."""
        top = os.path.abspath(self.folder)
        outputs = {os.path.relpath(os.path.abspath(target), top): None for target in sorted(unrecorded)}
        try:
            write_text(self.path, json.dumps({"settings": self.settings, "outputs": outputs}) + "\n")
        except HqmdError:
            return


def read_intentions(folder: Path) -> list[Intention]:
    """Read the intentions in a folder, but for this process's own. A file that is none is left alone."""
    found = []
    for entry in sorted(os.scandir(folder), key=lambda entry: entry.name) if folder.is_dir() else []:
        name = NAME.fullmatch(entry.name)
        if not name or name["run"] == RUN:
            continue
        path = folder / entry.name
        alive = is_claimed(path)  # before it is read: a run that ends now removes it
        try:
            content = parse_json(read_regular(path), dict, LENIENT)
            outputs = {Path(os.path.abspath(folder / place)): before for place, before in content["outputs"].items()}
            found.append(Intention(path, name["run"], dict(content["settings"]), outputs, alive))
        except (OSError, HqmdError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return found


def state_of(path: Path) -> Before:
    """Return the size and time of what lies at a path, or None."""
    try:
        found = path.lstat()
    except OSError:
        return None
    return [found.st_size, found.st_mtime_ns]


def is_file_of_hash(path: Path, digest: str | None) -> bool:
    """True if a file has this hash."""
    try:
        return digest is not None and file_hash(path) == digest
    except (OSError, HqmdError):
        return False
