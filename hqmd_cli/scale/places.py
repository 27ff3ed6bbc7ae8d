"""Addresses of folders and buckets: list, read and write what lies there; all but local paths by fsspec.

An address is a path, or s3://bucket/name and the like. It holds no secrets: credentials come from the environment and
the files of each cloud's own tools. Any process can use an address; connections are made once a process.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from time import sleep
from typing import Any, BinaryIO, NamedTuple, TypeVar

from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.atomic import explain_read_errors, explain_write_errors, file_beside
from hqmd_cli.files.regular import open_regular
from hqmd_cli.files.web_address import without_secrets
from hqmd_cli.installed import require
from hqmd_cli.prediction.sources import BUCKETS

T = TypeVar("T")
PACKAGES = dict(zip(BUCKETS, ("s3fs", "gcsfs", "adlfs"), strict=True))  # scheme -> what fsspec needs for it
ANONYMOUS: dict[str, dict[str, Any]] = {
    "s3": {"anon": True},
    "gs": {"token": "anon"},
    "az": {"anon": True},
}  # for buckets that are public
HOW_TO_SIGN_IN = {
    "s3": "set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth application-default login",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME and AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_CONNECTION_STRING",
}
STATES = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "created")  # any of which tells versions
BLOCK_BYTES = 2**23  # read at a time of a large file; two are in memory
TRIES = 4  # of one request; the clients of the clouds try several times themselves
WAIT_S = 0.5  # before the second try, twice as long before each one after
MESSAGE = 200  # letters of what a cloud says
LIBRARIES = ("s3fs", "gcsfs", "adlfs", "azure", "google", "aiobotocore", "botocore", "asyncio")
# So that off Google's machines it does not take long to see that there are no credentials.
BRIEF = {"GCE_METADATA_TIMEOUT": "1", "GCE_METADATA_DETECT_RETRIES": "1"}
GOOGLE, AZURE = "storage.googleapis.com", "blob.core.windows.net"
NOT_THERE = (
    "STORAGE_EMULATOR_HOST",
    "HTTPS_PROXY",
    "https_proxy",
    "ALL_PROXY",
    "all_proxy",
)  # with these it is elsewhere
connections: dict[tuple[int, str], Any] = {}  # of this process; a connection does not survive a fork
answered: set[str] = set()  # schemes that could be reached
unsigned: set[str] = set()  # schemes for which there are no credentials


class Entry(NamedTuple):
    """One file."""

    address: str
    name: str  # below the folder that was listed, with slashes
    size: int  # bytes
    state: str  # changes if the file is replaced

    @property
    def version(self) -> str:
        """What tells this content of the file from others; empty for a photo on the web, which does not say."""
        return f"{self.size} {self.state}" if self.state else ""


def scheme_of(address: str) -> str:
    """Return the scheme of a bucket, such as s3; empty for a path."""
    return address.partition("://")[0] if re.match(r"[a-z0-9]+://", address) else ""


def require_scheme(address: str) -> None:
    """Raise HqmdError for a scheme that is not read, a package that is not there, and for a secret in the address."""
    scheme = scheme_of(address)
    if not scheme:
        return
    shown = printable(without_secrets(address))
    if shown != printable(address):
        raise HqmdError(f"{shown}: an address must hold no secrets; {HOW_TO_SIGN_IN.get(scheme, 'leave them out')}")
    if scheme not in PACKAGES:
        raise HqmdError(f"{shown}: no such scheme; there are {', '.join(PACKAGES)}, and paths")
    if not address.partition("://")[2].strip("/"):
        raise HqmdError(f"{shown}: names no bucket; write {scheme}://BUCKET/FOLDER")
    require("fsspec", f"{scheme}://")
    require(PACKAGES[scheme], f"{scheme}://")


def join(folder: str, name: str) -> str:
    """Return the address of a name below a folder."""
    return f"{folder.rstrip('/')}/{name}" if scheme_of(folder) else os.path.join(folder, name)


def ask(address: str, do: Callable[[Any], T]) -> T:
    """Call `do` with the connection that an address needs.

    Tries again after what may pass, each time with the credentials read anew, since they expire; after a refusal once
    only. Raises FileNotFoundError, and HqmdError naming the address for all other faults.
    """
    scheme, refused = scheme_of(address), 0
    for number in range(TRIES):
        try:
            answer = do(connection(scheme))
            if scheme not in answered:
                answered.add(scheme)
                connections.pop((os.getpid(), scheme), None)
            return answer
        except (FileNotFoundError, HqmdError):
            raise
        except Exception as fault:  # these libraries raise all sorts
            error = fault
        connections.pop((os.getpid(), scheme), None)
        refused += is_refusal(error)
        if "credentials" in first_line(error).lower():
            unsigned.add(scheme)
        if refused > 1 or (scheme not in answered and "connect" in str(error).lower()):
            break
        if number < TRIES - 1:
            sleep(WAIT_S * 2**number)
    said = printable(without_secrets(first_line(error)))[:MESSAGE]
    remedy = f"; {HOW_TO_SIGN_IN.get(scheme, 'sign in')}, then go on with --skip-existing" if refused else ""
    raise HqmdError(f"{printable(address)}: {said}{remedy}") from error


def is_refusal(error: Exception) -> bool:
    """True if a cloud does not know, or no longer takes, the credentials."""
    said = f"{type(error).__name__} {error}"  # S3 answers HEAD with a token that has expired by "Bad Request" alone
    words = ("Credential", "credentials", "Authenticat", "Token", "Bad Request", "expired")
    return isinstance(error, PermissionError) or any(word in said for word in words)


def connection(scheme: str) -> Any:
    """Return the fsspec filesystem of a scheme, which keeps no listings: others write at the same time."""
    key = os.getpid(), scheme
    if key not in connections:
        import logging
        import socket

        import fsspec

        host = host_of(scheme, fsspec.config.conf)
        if host and scheme not in answered and not any(map(os.environ.get, NOT_THERE)):
            try:
                socket.getaddrinfo(host, 443)
            except OSError as error:
                raise HqmdError(
                    f"{scheme}://: {host} cannot be found ({error.strerror}); is there a network?"
                ) from error

        for name in LIBRARIES:  # what they log ends in an error, or in another try
            logging.getLogger(name).setLevel(logging.CRITICAL)
        os.environ.update({name: value for name, value in BRIEF.items() if name not in os.environ})
        options = ANONYMOUS[scheme] if scheme in unsigned else {}
        connections[key] = fsspec.filesystem(scheme, use_listings_cache=False, skip_instance_cache=True, **options)
        if scheme not in answered:
            connections[key].retries = 1  # of s3fs: where there is no network, say so at once
    return connections[key]


def host_of(scheme: str, settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the host for whose name a client asks again for minutes where there is no network; empty if unknown.

    `settings` are fsspec's. Raises HqmdError if they and the environment name no storage account of Azure.
    """

    def given(name: str) -> Any:
        found = (settings.get(protocol, {}).get(name) for protocol in ("az", "abfs", "abfss"))
        return os.environ.get(f"AZURE_STORAGE_{name.upper()}") or next(filter(None, found), "")

    if scheme != "az" or given("connection_string") or given("account_host"):
        return GOOGLE if scheme == "gs" else ""
    if account := given("account_name"):
        return f"{account}.{AZURE}"
    raise HqmdError(f"az://: no storage account is named; {HOW_TO_SIGN_IN[scheme]}")


def listed(folder: str) -> list[Entry]:
    """List all files below a folder, sorted by name; of a file, itself. Empty if nothing is there.

    Leaves out what object stores list for a folder: an empty object of its name.
    """
    if not scheme_of(folder):
        return local_files(folder)

    def below(files: Any) -> Any:
        found = files.find(folder, detail=True)
        return found if isinstance(found, dict) else {path: files.info(path) for path in found}  # adlfs, of one file

    return entries_of(folder, findings(folder, below))


def findings(address: str, do: Callable[[Any], dict[str, Any]]) -> dict[str, Any]:
    """Return what `do` finds by the connection that an address needs; nothing if there is no such bucket."""
    try:
        return ask(address, do)
    except FileNotFoundError:
        return {}


def entries_of(folder: str, found: dict[str, Any]) -> list[Entry]:
    """Turn what fsspec found below a folder into entries."""
    scheme, top = scheme_of(folder), folder.partition("://")[2].strip("/")
    folders = {parent for path in found for parent in parents(path)}
    files = (
        (path, facts)
        for path, facts in sorted(found.items())
        if facts.get("type") == "file" and not path.endswith("/") and path not in folders
    )
    return [
        remote_entry(
            f"{scheme}://{path.lstrip('/')}",
            path.strip("/").removeprefix(top).lstrip("/") or path.rpartition("/")[2],
            facts,
        )
        for path, facts in files
    ]


def parents(path: str) -> Iterator[str]:
    """Yield all folders above a path with slashes."""
    while path := path.rpartition("/")[0]:
        yield path


def local_files(folder: str) -> list[Entry]:
    """List the files below a local folder; see `listed`."""
    found = [Path(here, name) for here, _, names in os.walk(folder) for name in names]
    if os.path.isfile(folder):
        return [local_entry(Path(folder), os.path.basename(folder))]
    return [local_entry(path, path.relative_to(folder).as_posix()) for path in sorted(found) if path.is_file()]


def local_entry(path: Path, name: str) -> Entry:
    """Describe a local file. Raises HqmdError naming it if it cannot be looked at."""
    with explain_read_errors(printable(str(path))):
        facts = path.stat()
    return Entry(str(path), name, facts.st_size, str(facts.st_mtime_ns))


def entry_at(address: str, name: str = "") -> Entry:
    """Look at one file as it is now. Raises HqmdError naming it if it is gone."""
    if not scheme_of(address):
        return local_entry(Path(address), name)
    try:
        return remote_entry(address, name, ask(address, lambda files: files.info(address)))
    except FileNotFoundError as error:
        raise HqmdError(f"{printable(address)}: no such file") from error


def remote_entry(address: str, name: str, facts: dict[str, Any]) -> Entry:
    """Make an entry of what fsspec says of a file."""
    return Entry(address, name, facts["size"] or 0, next((str(facts[key]) for key in STATES if facts.get(key)), ""))


def read(address: str) -> bytes:
    """Read a whole file; one that comes short is read again. Raises HqmdError naming it."""

    def whole(files: Any) -> bytes:
        content: bytes = files.cat_file(address)
        if len(content) != (size := files.info(address)["size"]):
            raise OSError(f"{len(content):,} of {size:,} bytes came")
        return content

    try:
        if scheme_of(address):
            return ask(address, whole)
        with explain_read_errors(printable(address)), open_regular(Path(address)) as file:
            return file.read()
    except FileNotFoundError as error:
        raise HqmdError(f"{printable(address)}: no such file") from error


def opened(address: str, size: int) -> BinaryIO:
    """Open a large file for reading from any place in it."""
    if scheme_of(address):
        return Blocks(address, size)  # type: ignore[return-value]
    with explain_read_errors(printable(address)):
        return open_regular(Path(address))


class Blocks(RawIOBase):
    """A remote file in blocks: each is counted, asked for again if it comes short, and fetched ahead of its use."""

    def __init__(self, address: str, size: int) -> None:
        self.address, self.size = address, size
        self.place = 0
        self.number, self.block = -1, b""
        self.pool = ThreadPoolExecutor(1)
        self.ahead: dict[int, Future[bytes]] = {}

    def fetch(self, number: int) -> bytes:
        """Fetch one block."""
        start = number * BLOCK_BYTES
        end = min(start + BLOCK_BYTES, self.size)

        def some(files: Any) -> bytes:
            content: bytes = files.cat_file(self.address, start=start, end=end)
            if len(content) != end - start:
                raise OSError(f"{len(content):,} of {end - start:,} bytes came")
            return content

        return ask(self.address, some)

    def readinto(self, buffer: Any) -> int:
        """Fill a buffer from the present place; see io.RawIOBase."""
        if self.place >= self.size:
            return 0
        number, offset = divmod(self.place, BLOCK_BYTES)
        if number != self.number:
            coming = self.ahead.pop(number, None)
            self.number, self.block = -1, b""
            self.block = coming.result() if coming else self.fetch(number)
            self.number = number
            self.ahead.clear()
            if (number + 1) * BLOCK_BYTES < self.size:
                self.ahead[number + 1] = self.pool.submit(self.fetch, number + 1)
        piece = self.block[offset : offset + len(buffer)]
        buffer[: len(piece)] = piece
        self.place += len(piece)
        return len(piece)

    def readable(self) -> bool:
        """True."""
        return True

    def seekable(self) -> bool:
        """True."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to another place."""
        self.place = offset + (0, self.place, self.size)[whence]
        return self.place

    def tell(self) -> int:
        """Return the present place."""
        return self.place

    def close(self) -> None:
        """Stop fetching."""
        self.pool.shutdown(wait=False, cancel_futures=True)
        super().close()


@contextmanager
def written(address: str) -> Iterator[BinaryIO]:
    """Give an empty file to fill; at the end of the `with` it appears at the address, whole. An exception leaves none.

    What goes to a bucket waits in the system's temporary folder, so that an upload that fails can be tried again.
    """
    if not scheme_of(address):
        path = Path(address)
        with file_beside(path) as aside:
            with aside.open("wb") as file:
                yield file
            aside.replace(path)
        return
    with explain_write_errors(Path(gettempdir())), TemporaryDirectory(prefix="hqmd-") as folder:
        waiting = Path(folder, "waiting")
        with waiting.open("wb") as file:
            yield file
        try:
            ask(address, lambda files: files.put_file(str(waiting), address))
        except FileNotFoundError as error:
            raise HqmdError(f"{printable(address)}: cannot be written: there is no such bucket") from error


def write(address: str, content: bytes | memoryview) -> None:
    """Write a file of these bytes, whole or not at all."""
    with written(address) as file:
        file.write(content)
