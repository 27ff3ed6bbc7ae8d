"""Locks between processes. The operating system holds them, so a process that dies holds none.

The lock of a file is `.NAME.lock` beside it; the lock of a folder is `.hqmd.lock` in it. It is removed when it is
released. A process that is killed leaves its file, which locks nothing, and the next holder removes it.
"""

import errno
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from time import monotonic, sleep

from hqmd_cli.errors import HqmdError, complain, printable
from hqmd_cli.files.atomic import explain_write_errors, unwritable

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

WAIT_S = 60.0  # for a short lock; a process holds one for milliseconds
POLL_S = 0.005  # between two tries
LONGEST_HOLDER = 1000  # bytes that are read of who holds a lock

without_locks: set[Path] = set()  # folders on disks without locks, which was said


def short_lock(path: Path) -> ExitStack:
    """Take the lock of a file, for a `with` that reads and writes it; wait for processes and threads that hold it.

    Creates the folders. Raises HqmdError after WAIT_S. On a disk without locks, says so once and goes on without.
    """
    lock_file, held = lock_of(path), ExitStack()
    refused = path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        refused = lock_file
        held.callback(acquire(lock_file))
        held.callback(lock_file.unlink, missing_ok=True)  # before it is released: whoever waits makes a new one
    except NotImplementedError:
        say_without(path)
    except OSError as error:
        raise unwritable(refused, error) from error
    return held


def acquire(lock_file: Path) -> Callable[[], object]:
    """Wait for a lock; return what releases it.

    Takes the system's lock as filelock does, without its bookkeeping: a manifest gets a row per photo, and filelock
    takes a fifth of a millisecond for each. Raises HqmdError after WAIT_S, NotImplementedError on a disk without locks.
    """
    until = monotonic() + WAIT_S
    while (descriptor := try_flock(lock_file) if fcntl else try_filelock(lock_file)) is None:
        if monotonic() > until:
            held = lock_file.name.removeprefix(".").removesuffix(".lock")
            raise HqmdError(
                f"{printable(str(lock_file.with_name(held)))}: locked for more than {WAIT_S:.0f} s by another process; "
                "end it, then run this again"
            )
        sleep(POLL_S)
    return descriptor


def try_flock(lock_file: Path) -> Callable[[], object] | None:
    """Take a lock if it is free; return what releases it."""
    try:
        descriptor = os.open(lock_file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except PermissionError:
        if os.path.lexists(lock_file):  # another user holds it
            return None
        raise
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_nlink:  # or else its holder has removed it meanwhile
            return partial(os.close, descriptor)
    except BlockingIOError:
        pass
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP):
            raise NotImplementedError from error
        raise
    os.close(descriptor)
    return None


def try_filelock(lock_file: Path) -> Callable[[], object] | None:
    """Take a lock if it is free, where the system has no flock; return what releases it."""
    from filelock import FileLock, Timeout

    lock = FileLock(lock_file, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        return None
    return lock.release


@contextmanager
def claim(place: Path) -> Iterator[None]:
    """Hold a file or an existing folder for this process alone, for as long as the `with` lasts.

    Creates the folders of a file. Raises HqmdError, which tells who holds it, if another process does. On a disk
    without locks, says so once and goes on without.
    """
    from filelock import FileLock, Timeout

    lock_file = lock_of(place)
    holder = holder_of(lock_file)  # before the try, which may empty the file
    with explain_write_errors(place):
        lock_file.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(lock_file, timeout=0)
    fault = f"in use by {holder}; wait for it to end, or choose another place"
    try:
        with explain_write_errors(place):
            try:
                lock.acquire()
            except Timeout as error:  # which is an OSError
                raise HqmdError(f"{printable(str(place))}: {fault}") from error
    except NotImplementedError:
        say_without(place)
        yield
        return
    try:
        sign(lock_file)
        yield
    finally:
        lock_file.unlink(missing_ok=True)
        lock.release()


def is_claimed(place: Path) -> bool:
    """True while a living process holds the claim of a file or folder, and if that is unknown."""
    from filelock import FileLock, Timeout

    lock_file = lock_of(place)
    try:
        with FileLock(lock_file, timeout=0):
            lock_file.unlink(missing_ok=True)
            return False
    except (Timeout, OSError, NotImplementedError):
        return True


def lock_of(place: Path) -> Path:
    """Return the lock file of a file or folder."""
    return place / ".hqmd.lock" if place.is_dir() else place.with_name(f".{place.name}.lock")


def sign(lock_file: Path) -> None:
    """Write who holds a lock into its file."""
    from datetime import datetime
    from socket import gethostname  # here, because most runs lock nothing, and a cold start should be short

    command = printable(" ".join(["hqmd", *sys.argv[1:]]))
    since = datetime.now().isoformat(" ", "seconds")
    try:
        lock_file.write_text(f"process {os.getpid()} on {gethostname()} since {since} ({command})", "utf-8")
    except OSError:  # a system where locked files cannot be written; the lock holds all the same
        return


def holder_of(lock_file: Path) -> str:
    """Read who holds a lock; "another process" if the file does not say."""
    try:
        with open(lock_file, "rb", opener=open_at_once) as file:
            return printable(file.read(LONGEST_HOLDER).decode("utf-8", "replace")) or "another process"
    except OSError:
        return "another process"


def open_at_once(name: str, flags: int) -> int:
    """Open a file without following a link and without waiting for the other end of a pipe."""
    return os.open(name, flags | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))


def say_without(place: Path) -> None:
    """Say once per folder that its disk has no locks."""
    if place.parent not in without_locks:
        without_locks.add(place.parent)
        complain(
            HqmdError(
                f"{printable(str(place.parent))}: this disk has no locks; do not run two commands on this place at once"
            )
        )
