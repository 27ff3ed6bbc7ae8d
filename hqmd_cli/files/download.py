"""Download a large file over HTTP: resumable, checked, and whole or not at all.

NAME.part holds the bytes received so far. The size that the server announces is checked before a byte is written, so
that an error page or another file costs neither hours nor the bytes received so far.
"""

import hashlib
import os
import re
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from ssl import SSLCertVerificationError
from time import monotonic
from typing import BinaryIO
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import Request, urlopen

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.files.atomic import explain_write_errors
from hqmd_cli.files.locks import claim
from hqmd_cli.files.regular import open_regular
from hqmd_cli.files.waiting import word_after

PIECE = 2**20  # bytes
ATTEMPTS = 5  # in a row without a byte
FIRST_WAIT_S = 1.0  # doubled after each of them
SILENCE_S = 60.0  # without a byte, after which a connection is broken
LEAST = 2**16  # bytes in SILENCE_S; a server that sends fewer keeps the connection, and would do so for ever
AGAIN = frozenset({408, 425, 429, 500, 502, 503, 504})  # HTTP errors that may pass
CONTENT_RANGE = re.compile(r"bytes (?:(\d+)-\d+|\*)/(\d+)")

Progress = Callable[[int], object]  # gets the number of bytes received


@dataclass(frozen=True)
class RemoteFile:
    """A file on a server, and how to recognise it."""

    url: str
    size: int  # bytes
    sha256: str
    signature: tuple[int, bytes]  # offset, and the bytes there


class Broken(Exception):
    """The connection failed, and may work again."""


class TooSlow(Broken):
    """So little comes that the file would take for ever."""


def fetch(file: RemoteFile, path: Path, progress: Progress = lambda there: None) -> str:
    """Download to `path`, and return what was done in words. A file that exists is checked and kept.

    Raises HqmdError with the remedy if the server has another file, cannot be reached, or sent damaged data.
    """
    if path.exists():
        require_whole(file, path, f"{path}: exists already, but", "move it away")
        return "is there already"
    part = path.with_name(f"{path.name}.part")
    with claim(part):
        return fetch_by(file, path, part, progress)


def fetch_by(file: RemoteFile, path: Path, part: Path, progress: Progress) -> str:
    """Do the work of fetch, by way of `part`, which this process holds alone."""
    with explain_write_errors(part), open_part(part):
        if (room := shutil.disk_usage(part.parent).free) < (missing := file.size - part.stat().st_size):
            raise HqmdError(
                f"{part.parent}: {missing / 1e9:.1f} GB are to come, {room / 1e9:.1f} GB are free; make room"
            )
    receive_all(file, part, progress)
    rejected = path.with_name(f"{path.name}.rejected")
    remedy = f"it is kept as {rejected}; try again, or rename it if the file has been changed where it comes from"
    try:
        require_whole(file, part, f"{file.url}: what came", remedy)
    except HqmdError:
        part.replace(rejected)  # so that a second try starts again
        raise
    part.replace(path)
    return "downloaded"


def open_part(part: Path) -> BinaryIO:
    """Open `part` for reading and writing; create it if it is missing.

    Its name is foreseeable, so that a download goes on. Raises HqmdError for a link or device that lies there.
    """
    flags = os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
    if part.is_symlink() or (part.exists() and not part.is_file()):
        raise HqmdError(f"{part}: a link, folder or device where the bytes received so far belong; move it away")
    return open(part, "r+b", opener=lambda name, _: os.open(name, flags, 0o666))


def receive_all(file: RemoteFile, part: Path, progress: Progress) -> None:
    """Receive until `part` has the size of the file. Raises HqmdError after ATTEMPTS without a byte."""
    in_vain = 0
    while (there := part.stat().st_size) < file.size:
        try:
            receive(file, part, progress)
            why, slow = "the connection was closed early", False
        except Broken as error:
            why, slow = str(error), isinstance(error, TooSlow)
        in_vain = 0 if part.stat().st_size > there and not slow else in_vain + 1
        if in_vain == ATTEMPTS:
            raise HqmdError(
                f"{file.url}: {why}; {there / 1e6:.0f} of {file.size / 1e6:.0f} MB are in {part}, and the same command "
                "goes on from there"
            )
        if in_vain:
            time.sleep(FIRST_WAIT_S * 2 ** (in_vain - 1))


def receive(file: RemoteFile, part: Path, progress: Progress) -> None:
    """Request the missing bytes. Raises Broken for errors that may pass, and HqmdError for others."""
    there = part.stat().st_size
    headers = {"User-Agent": f"hqmd/{__version__}", "Accept-Encoding": "identity"}
    if there:
        headers["Range"] = f"bytes={there}-"
    try:
        with word_after(waiting_for(file)):
            opened = urlopen(Request(file.url, headers=headers), timeout=SILENCE_S)
        with opened as response:
            write_on(part, begins_at(file, response), file, response, progress)
    except HTTPError as error:
        if error.code == 416 and there:  # the server's file is shorter, so it is another one
            require_size(file, size_of_range(error.headers.get("Content-Range")))
            with open_part(part) as opened:
                opened.truncate(0)
            raise Broken("the server refused to go on where it broke off") from error
        if error.code in AGAIN:
            raise Broken(f"the server answers {error.code} {error.reason}") from error
        raise HqmdError(f"{file.url}: the server answers {error.code} {error.reason}; is it still there?") from error
    except URLError as error:
        if isinstance(error.reason, SSLCertVerificationError):
            raise HqmdError(
                f"{file.url}: its certificate is not trusted here: {error.reason.verify_message}"
            ) from error
        raise Broken(getattr(error.reason, "strerror", None) or str(error.reason)) from error
    except (HTTPException, OSError) as error:
        raise Broken(first_line(error)) from error


def begins_at(file: RemoteFile, response: HTTPResponse) -> int:
    """Which byte of the file the response begins with. Raises HqmdError when it is of a file of another size."""
    if response.status == 206:
        content_range = response.headers.get("Content-Range")
        require_size(file, size_of_range(content_range))
        match = CONTENT_RANGE.match(content_range or "")
        if match and match[1]:
            return int(match[1])
        raise Broken("the server sends a part, but not which")
    length = response.headers.get("Content-Length")
    require_size(file, int(length) if length and length.isdigit() else None)
    return 0


def size_of_range(content_range: str | None) -> int | None:
    """Read the size of the whole file; None if it is missing."""
    match = CONTENT_RANGE.match(content_range or "")
    return int(match[2]) if match else None


def require_size(file: RemoteFile, announced: int | None) -> None:
    """Raise HqmdError if the server announces another size; None passes, since the size is checked later."""
    if announced not in (None, file.size):
        raise HqmdError(
            f"{file.url}: the server has {announced} bytes there, the file has {file.size}; it is another file, or an "
            "error page: open the address in a browser"
        )


def write_on(part: Path, begin: int, file: RemoteFile, response: HTTPResponse, progress: Progress) -> None:
    """Write the bytes from `begin` on. A server that sends no parts begins at 0, and so does the file then."""
    with open_part(part) as opened:
        if begin > opened.seek(0, 2):
            raise Broken("the server left out a part")
        opened.seek(begin)
        opened.truncate()
        began_s, received = monotonic(), 0
        while piece := piece_of(file, response):
            received += len(piece)
            if (now_s := monotonic()) - began_s > SILENCE_S:
                if received < LEAST:
                    raise TooSlow(f"only {received} bytes came in {now_s - began_s:.0f} s")
                began_s, received = now_s, 0
            with explain_write_errors(part):
                opened.write(piece)
                opened.flush()  # now, so that a full disk is reported as one
            if (there := opened.tell()) > file.size:
                raise HqmdError(f"{file.url}: more than its {file.size} bytes come; remove {part}, and try again")
            progress(there)


def waiting_for(file: RemoteFile) -> str:
    """Say that a server is silent."""
    return f"{urlsplit(file.url).hostname}: no answer yet; after {SILENCE_S:.0f} s without one it is asked again"


def piece_of(file: RemoteFile, response: HTTPResponse) -> bytes:
    """Read the next bytes; empty at the end, even at an early one. Raises Broken if the connection fails."""
    try:
        with word_after(waiting_for(file)):
            return response.read1(PIECE)  # what is there, rather than all of a piece that trickles in
    except (HTTPException, OSError) as error:
        raise Broken(first_line(error)) from error


def require_whole(file: RemoteFile, path: Path, what: str, remedy: str) -> None:
    """Raise HqmdError unless size, signature and hash match the file."""
    place, expected = file.signature
    with open_regular(path) as opened:
        if (size := path.stat().st_size) != file.size:
            raise HqmdError(f"{what} has {size} bytes, the file has {file.size}; {remedy}")
        opened.seek(place)
        if opened.read(len(expected)) != expected:
            raise HqmdError(f"{what} is not a file of this kind; {remedy}")
        opened.seek(0)
        if (found := hashlib.file_digest(opened, "sha256").hexdigest()) != file.sha256:
            raise HqmdError(f"{what} has the sha256 {found}, the file has {file.sha256}; {remedy}")
