"""Files that must be files: a pipe or device in the place of one is refused, not waited for.

A photo alone may come from a pipe, which is read up to a size and for a time.
"""

import os
import select
import stat
from io import BufferedReader
from pathlib import Path
from time import monotonic
from typing import BinaryIO

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.limits import LARGEST_PHOTO_BYTES, LARGEST_TEXT_BYTES

AT_ONCE = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)  # opening a pipe waits for its writer otherwise
LONGEST_SILENCE_S = 30.0  # of a pipe or stdin that a photo comes from
LONGEST_S = 600.0  # for the whole photo
PIECE_BYTES = 2**20


def open_regular(path: Path) -> BufferedReader:
    """Open a file for reading. Raises HqmdError for a pipe or device, and OSError as `open` does."""
    file = open(path, "rb", opener=lambda name, flags: os.open(name, flags | AT_ONCE))  # noqa: SIM115
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise HqmdError(f"{printable(str(path))}: a pipe or device, not a file; move it away, or name another file")
    return file


def read_regular(path: Path) -> bytes:
    """Read a whole file. Raises as open_regular."""
    with open_regular(path) as file:
        if (size := os.fstat(file.fileno()).st_size) > LARGEST_TEXT_BYTES:
            most = LARGEST_TEXT_BYTES // 10**6
            raise HqmdError(f"{printable(str(path))}: {size / 1e6:,.0f} MB, more than the {most:,} that are read")
        return file.read()


def file_hash(*paths: Path) -> str:
    """Return the SHA-256 of the concatenated content of files, in hexadecimal.

    Size and time do not identify a file: two BMPs out of one archive share both. Raises as open_regular.
    """
    import hashlib  # here, because it loads OpenSSL, and one photo without a record needs no hash

    digest = hashlib.sha256()
    for path in paths:
        with open_regular(path) as file:
            while chunk := file.read(PIECE_BYTES):  # weights may be gigabytes
                digest.update(chunk)
    return digest.hexdigest()


def require_regular(path: Path) -> None:
    """Raise HqmdError if something lies at `path` that is neither a file nor a folder, links resolved."""
    try:
        kind = path.stat().st_mode
    except OSError:  # nothing there, or whoever opens it explains why not
        return
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise HqmdError(f"{printable(str(path))}: a pipe or device, not a file; move it away, or name another file")


def is_pipe(path: Path) -> bool:
    """True for a named pipe or a socket of the shell, such as /dev/fd/63 of `<(command)`, links resolved."""
    try:
        return stat.S_ISFIFO(path.stat().st_mode)
    except OSError:
        return False


def read_pipe(path: Path, name: str) -> bytes:
    """Read a pipe to its end. Raises HqmdError, which calls it `name`, as read_stream does."""
    with open(path, "rb", buffering=0, opener=lambda given, flags: os.open(given, flags | AT_ONCE)) as file:
        return read_stream(file, name)


def read_stream(file: BinaryIO, name: str) -> bytes:
    """Read a pipe or stdin to its end, with a word on stderr after 10 s.

    Raises HqmdError for more than LARGEST_PHOTO_BYTES, after LONGEST_SILENCE_S without a byte, and after LONGEST_S.
    """
    try:
        descriptor = file.fileno()
    except OSError:  # bytes in memory
        return file.read()
    from hqmd_cli.files.waiting import word_after  # here, because few photos come from a pipe

    with word_after(f"{name}: still waiting for it; after {LONGEST_SILENCE_S:.0f} s of silence hqmd gives up"):
        return read_descriptor(descriptor, name)


def read_descriptor(descriptor: int, name: str) -> bytes:
    """Read an open pipe to its end. Raises HqmdError as read_stream does."""
    pieces: list[bytes] = []
    count, began = 0, monotonic()
    while True:
        if os.name == "posix" and not select.select([descriptor], [], [], LONGEST_SILENCE_S)[0]:
            raise HqmdError(
                f"{name}: nothing came from this pipe for {LONGEST_SILENCE_S:.0f} s; is its writer running?"
            )
        piece = os.read(descriptor, PIECE_BYTES)
        if not piece:
            return b"".join(pieces)
        pieces.append(piece)
        count += len(piece)
        if count > LARGEST_PHOTO_BYTES:
            raise HqmdError(f"{name}: more than {LARGEST_PHOTO_BYTES // 10**6} MB came; a photo is smaller")
        if monotonic() - began > LONGEST_S:
            raise HqmdError(
                f"{name}: no end after {LONGEST_S:.0f} s; send the photo faster, or save it as a file first"
            )
