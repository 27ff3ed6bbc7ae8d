"""Photos and depth maps on disk: the only room that reads and writes picture files."""

import errno
import os
import zlib
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import rmtree

from hqmd_cli.errors import HqmdError, first_line


def write_bytes(path: Path, content: bytes) -> None:
    """A file of these bytes."""
    write_aside(path, lambda aside: aside.write_bytes(content))


def require_suffix(path: Path, suffixes: Collection[str]) -> None:
    """Refuse a path that asks for a format that is not written."""
    if path.suffix.lower() not in suffixes:
        raise HqmdError(f"{path}: cannot be written with this suffix; there are {', '.join(sorted(suffixes))}")


def write_text(path: Path, text: str) -> None:
    """A text file."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_pieces(path: Path, pieces: Iterable[str]) -> None:
    """A text file that need not be in memory as a whole; bytes of file names that are no text come as escapes."""

    def save(aside: Path) -> None:
        with aside.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.writelines(pieces)

    write_aside(path, save)


def write_aside(path: Path, save: Callable[[Path], object]) -> None:
    """Let `save` write beside `path`, then rename: a file appears whole or not at all. Makes the folders."""
    with explain_write_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        aside = place_beside(path)
        try:
            save(aside)
            aside.replace(path)
        finally:
            aside.unlink(missing_ok=True)


UNFINISHED = ".*.part"  # what place_beside gives: left by processes that were killed


def place_beside(path: Path) -> Path:
    """Where to write what is to become `path`. Short whatever its name: the longest leave no room for more."""
    return path.with_name(f".{zlib.crc32(os.fsencode(path.name)):08x}.{os.getpid()}.part")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A place beside `path` to fill, in a `with`: the folder appears by rename, complete, or not at all.

    Raises HqmdError when there is something at `path` already.
    """
    if path.exists():
        raise HqmdError(f"{path}: exists already; remove it, or choose another -o")
    aside = place_beside(path)
    try:
        yield aside
        with explain_write_errors(path):
            aside.rename(path)
    finally:
        rmtree(aside, ignore_errors=True)


@contextmanager
def explain_read_errors(name: str) -> Iterator[None]:
    """Turn what the system says of a photo (gone, unreadable, no memory left) into a line that names it."""
    try:
        yield
    except OSError as error:
        raise HqmdError(f"{name}: {error.strerror or first_line(error)}") from error
    except MemoryError as error:
        raise HqmdError(f"{name}: not enough memory: {first_line(error)}") from error


WRITE_REMEDIES = {
    errno.ENOSPC: "; make room, or choose another -o",
    errno.EACCES: "; choose another -o",
    errno.EROFS: "; choose another -o",
}


@contextmanager
def explain_write_errors(path: Path) -> Iterator[None]:
    """Turn the system's words (read-only folder, full disk) into a line that names the file."""
    try:
        yield
    except OSError as error:
        remedy = WRITE_REMEDIES.get(error.errno or 0, "")
        raise HqmdError(f"{path}: cannot be written: {error.strerror or error}{remedy}") from error
