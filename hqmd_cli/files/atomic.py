"""Files and folders that appear whole or not at all: each is written beside its place, then renamed.

The name beside it is `.hqmd-RUN-RANDOM-MARK.part`: RUN is the number of this process, RANDOM belongs to one file only,
so that nobody can put a link there beforehand, and MARK tells which name it is for. The system's lock on it shows that
its writer lives. So whoever writes the same file next removes what a killed process left of it, and nothing else. Where
there are no such locks (Windows, some network disks), that stays, unless a run's intention names it.
"""

import errno
import os
import re
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from hqmd_cli.errors import HqmdError, first_line

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

RUN = os.urandom(4).hex()  # of this process; the module `secrets` would import three more
UNFINISHED = re.compile(r"\.hqmd-(?P<run>[0-9a-f]{8})-[0-9a-f]{8}(-(?P<mark>[0-9a-f]{8}))?\.part(?P<suffix>\.\w+)?")
UNFINISHED_BEFORE = re.compile(r"\.[0-9a-f]{8}\.\d+\.part")  # what hqmd gave up to commit 6e49211
WRITE_REMEDIES = {
    errno.ENOSPC: "; make room, or choose another -o",
    errno.EACCES: "; choose another -o",
    errno.EROFS: "; choose another -o",
    errno.ELOOP: "; a link lies there: remove it",
}
NO_LINK = getattr(os, "O_NOFOLLOW", 0)

left_in: dict[str, list[str]] = {}  # folder -> what may be unfinished in it, since before its first file


def write_bytes(path: Path, content: bytes | memoryview) -> None:
    """Write a file of these bytes."""
    write_aside(path, lambda aside: aside.write_bytes(content))


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8. Undecodable bytes of file names are written as escapes."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8", errors="backslashreplace"))


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """Write a text file piece by piece. Undecodable bytes of file names are written as escapes."""

    def save(aside: Path) -> None:
        with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(pieces)

    write_aside(path, save)


def write_aside(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write a file beside `path`, then rename it to `path`. Creates the folders."""
    with file_beside(path) as aside:
        save(aside)
        with explain_write_errors(path):
            aside.replace(path)


@contextmanager
def file_beside(path: Path, suffix: str = "") -> Iterator[Path]:
    """Give a new, empty file beside `path` to write and rename; remove it at the end. Creates the folders.

    `suffix` is for writers that choose a format by it. An OSError inside becomes an HqmdError that names `path`.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left(path)
        held, linked = -1, 0
        while not linked:  # until one was locked before another process took it for a dead one's
            aside = name_beside(path, suffix)
            held = os.open(aside, os.O_CREAT | os.O_EXCL | os.O_WRONLY | NO_LINK, 0o666)
            lock(held, wait=True)
            if not (linked := os.fstat(held).st_nlink) or fcntl is None:  # Windows renames no open file
                os.close(held)
        try:
            yield aside
        finally:
            aside.unlink(missing_ok=True)
            if fcntl is not None:
                os.close(held)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Give a new folder beside `path` to fill and rename; remove it at the end. Creates the folders.

    An OSError inside becomes an HqmdError that names `path`.
    """
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left(path)
        aside = name_beside(path)
        aside.mkdir()
        held = os.open(aside, os.O_RDONLY) if fcntl else None  # Windows opens no folders
        try:
            if held is not None:
                lock(held)
            yield aside
        finally:
            rmtree(aside, ignore_errors=True)
            if held is not None:
                os.close(held)


def lock(descriptor: int, wait: bool = False) -> bool:
    """Lock an open file while it is open; False if another process holds it, or where there are no such locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except (OSError, AttributeError):  # AttributeError: Windows
        return False
    return True


def name_beside(path: Path, suffix: str = "") -> Path:
    """Return a new hidden name in the folder of `path`; short, since the name of `path` may be as long as allowed."""
    return path.with_name(f".hqmd-{RUN}-{os.urandom(4).hex()}-{mark_of(path)}.part{suffix}")


def mark_of(path: Path) -> str:
    """Return what stands for a file in the names beside it."""
    return f"{zlib.crc32(os.fsencode(path.name)):08x}"


def remove_left(path: Path) -> None:
    """Remove what processes that were killed left of `path`, half-written. Lists its folder once per process."""
    folder = os.path.abspath(path.parent)
    if folder not in left_in:
        left_in[folder] = [entry.path for entry in os.scandir(folder) if entry.name.startswith(".hqmd-")]
    for place in left_in[folder]:
        ours = UNFINISHED.fullmatch(os.path.basename(place))
        is_former = ours and ours["suffix"] == f".{path.name}"  # see replaced_folder
        if ours and ours["mark"] == mark_of(path) and not is_former:
            with suppress(OSError):  # a link, another user's, or finished meanwhile
                remove_unless_held(place)


def remove_unless_held(place: str) -> None:
    """Remove a file or folder, unless a living process holds it. Raises OSError if it cannot be opened."""
    is_folder = os.path.isdir(place)
    descriptor = os.open(place, (os.O_RDONLY if is_folder else os.O_RDWR) | NO_LINK)
    try:
        if lock(descriptor):
            rmtree(place, ignore_errors=True) if is_folder else os.unlink(place)
    finally:
        os.close(descriptor)


def remove_unfinished(folder: Path, runs: Collection[str] | None = None) -> None:
    """Remove the files and folders in `folder` that these dead runs left unfinished.

    None: those of every other run, and of earlier versions; for a folder that this process holds alone.
    """
    for entry in list(os.scandir(folder)) if folder.is_dir() else []:
        ours = UNFINISHED.fullmatch(entry.name)
        if runs is None:
            dead = ours["run"] != RUN if ours else bool(UNFINISHED_BEFORE.fullmatch(entry.name))
        else:
            dead = ours is not None and ours["run"] in runs
        if dead and entry.is_dir(follow_symlinks=False):
            rmtree(entry.path, ignore_errors=True)
        elif dead:
            with suppress(OSError):  # another user's
                os.unlink(entry.path)


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Give a place beside `path` to fill; at the end of the `with`, rename it to `path`.

    Raises HqmdError if `path` exists.
    """
    if os.path.lexists(path):
        raise HqmdError(f"{path}: exists already; remove it, or choose another -o")
    with folder_beside(path) as aside:
        yield aside
        aside.rename(path)


@contextmanager
def replaced_folder(path: Path) -> Iterator[Path]:
    """Give a folder beside `path` to fill; at the end of the `with`, sync it to the disk and put it in place of `path`.

    A process that is killed leaves the old folder or the new one. Between the two renames the old one has another
    name, from which `mended_folder` brings it back. Raises HqmdError if the disk is full, and leaves the old folder as
    it was.
    """
    mended_folder(path)
    with folder_beside(path) as aside:
        yield aside
        for file in (*aside.iterdir(), aside):
            sync(file)
        former = name_beside(path, f".{path.name}")
        if path.exists():
            path.rename(former)
        aside.rename(path)
        sync(path.parent)
        rmtree(former, ignore_errors=True)


def mended_folder(path: Path, before: Path | None = None) -> None:
    """Bring back the old folder if a killed `replaced_folder` left the place empty; remove what is left of it else.

    `before` is where an earlier hqmd kept it, and left alone if it is not needed.
    """
    left = [place for place in path.parent.glob(f".hqmd-*.part.{path.name}") if UNFINISHED.fullmatch(place.name)]
    left.sort(key=lambda place: place.stat().st_mtime_ns)
    if (old := left[-1] if left else before) and not path.exists():
        old.rename(path)
    for place in left:
        rmtree(place, ignore_errors=True)


def sync(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk and would survive a loss of power."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except PermissionError:  # Windows opens no folders
        return
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def require_suffix(path: Path, suffixes: Collection[str]) -> None:
    """Raise HqmdError unless the path ends in one of `suffixes`."""
    if path.suffix.lower() not in suffixes:
        raise HqmdError(f"{path}: cannot be written with this suffix; there are {', '.join(sorted(suffixes))}")


@contextmanager
def explain_read_errors(name: str) -> Iterator[None]:
    """Turn an OSError or MemoryError while `name` is read into an HqmdError that names it."""
    try:
        yield
    except OSError as error:
        raise HqmdError(f"{name}: {error.strerror or first_line(error)}") from error
    except MemoryError as error:
        raise HqmdError(f"{name}: not enough memory: {first_line(error)}") from error


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn an OSError (read-only folder, full disk) into an HqmdError that names `path` and the remedy."""
    try:
        yield
    except OSError as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, error: OSError) -> HqmdError:
    """Say why `path` cannot be written, with the remedy."""
    remedy = WRITE_REMEDIES.get(error.errno or 0, "")
    return HqmdError(f"{path}: cannot be written: {error.strerror or error}{remedy}")
