"""The photos of a shard, in the order in which it holds them: members of a tar, rows of a Parquet file, loose files."""

import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hqmd_cli.errors import HqmdError, first_line, printable
from hqmd_cli.files.atomic import explain_read_errors
from hqmd_cli.files.kinds import PHOTO, by_name
from hqmd_cli.files.limits import LARGEST_PHOTO_BYTES
from hqmd_cli.files.web_address import is_web_address
from hqmd_cli.installed import require
from hqmd_cli.prediction.sources import LeftOut
from hqmd_cli.scale.places import Entry, entry_at, opened, read
from hqmd_cli.scale.shards import Keys, Shard

BUFFER_BYTES = 2**20
ROWS = 8  # of a Parquet file that are in memory at a time
NAME_COLUMNS = ("key", "__key__", "name", "file_name", "filename", "path", "id")  # the first that a Parquet file has
BYTES_COLUMNS = ("image", "photo", "jpg", "png", "bytes", "content")
REPLACED = "was replaced while it was read; run again"


class Sample(NamedTuple):
    """One photo to do."""

    key: str  # of its results, its own in the shard's output
    name: str  # of the photo in its shard, for messages and records
    content: bytes | None = None  # of its file; None: it lies at `entry`, and is read when its turn comes
    entry: Entry | None = None
    fault: str = ""  # why there is no photo to do
    end: int = 0  # how many bytes of the shard come before the next photo, more or less

    def fetched(self, allow_private: bool) -> bytes:
        """Return the content. Raises HqmdError naming the photo if it cannot be had."""
        if self.fault:
            raise HqmdError(f"{self.name}: {self.fault}")
        if self.content is not None:
            return self.content
        assert self.entry
        if is_web_address(self.entry.address):
            from hqmd_cli.files.web_photos import fetch_photo  # takes a tenth of a second to import

            return fetch_photo(self.entry.address, allow_private)
        return read(self.entry.address)


def samples(shard: Shard, left_out: LeftOut) -> Iterator[Sample]:
    """Yield the photos of a shard. One that cannot be had is a sample with a fault; so is a shard that ends early.

    `left_out` gets what a tar holds besides. Raises HqmdError if the file cannot be read for a reason that may pass,
    or if it was replaced meanwhile: then what was read of it counts for nothing.
    """
    if shard.is_loose:
        for entry, key in zip(shard.entries, shard.keys, strict=True):
            yield Sample(key, printable(entry.name), None, entry)
        return
    (entry,) = shard.entries
    with explain_read_errors(printable(entry.address)), opened(entry.address, entry.size) as file:
        if shard.kind == "tar":
            yield from members(file, PurePosixPath(entry.name).name, left_out)
        else:
            yield from rows(file, PurePosixPath(entry.name).name)
    if entry_at(entry.address).version != entry.version:
        raise HqmdError(f"{printable(entry.address)}: {REPLACED}")


class Header(tarfile.TarInfo):
    """The head of a member; tells the archive if its end block was seen, which tarfile does not miss."""

    @classmethod
    def fromtarfile(cls, archive: Any) -> "Header":
        """Read the next head."""
        try:
            return super().fromtarfile(archive)
        except tarfile.EOFHeaderError:  # type: ignore[attr-defined]
            archive.has_end = True
            raise


def members(file: Any, name: str, left_out: LeftOut) -> Iterator[Sample]:
    """Yield the photos among the members of a tar that is read from start to end."""
    keys, number, fault = Keys(), 0, ""
    try:
        with tarfile.open(fileobj=file, mode="r|", tarinfo=Header, bufsize=BUFFER_BYTES) as archive:
            while member := archive.next():
                number += 1
                archive.members.clear()  # type: ignore[attr-defined]  # which would grow
                if is_photo(member, left_out):
                    yield sample_of(member, archive, keys)
            if not getattr(archive, "has_end", False):
                fault = "no end block"
    except (tarfile.TarError, EOFError, ValueError) as error:
        fault = first_line(error)
    if fault:
        yield Sample("", printable(name), fault=f"cut off or damaged after {number} members ({fault}); copy it again")


def is_photo(member: tarfile.TarInfo, left_out: LeftOut) -> bool:
    """True for a member that is a photo by its name; counts any other."""
    path = PurePosixPath(member.name)
    form = by_name(Path(path.name))
    if not member.isfile():
        left_out.add("folders, links and devices in tars")
    elif any(piece.startswith(".") and piece not in (".", "..") for piece in path.parts):
        left_out.add("hidden in tars")
    elif form is None or form.medium != PHOTO:
        left_out.add(f"{printable(path.suffix.lower()) or 'without a suffix'} in tars")
    else:
        return True
    return False


def sample_of(member: tarfile.TarInfo, archive: tarfile.TarFile, keys: Keys) -> Sample:
    """Read one photo of a tar."""
    name = str(PurePosixPath(member.name.lstrip("/")))  # without ./
    shown = printable(name)
    if ".." in PurePosixPath(name).parts:
        return Sample("", shown, fault="its name leads out of the tar")
    if member.size > LARGEST_PHOTO_BYTES:
        return Sample(
            "", shown, fault=f"{member.size / 1e6:,.0f} MB, more than the {LARGEST_PHOTO_BYTES / 1e6:,.0f} MB"
        )
    content = archive.extractfile(member)
    whole = content.read() if content else b""
    if len(whole) < member.size:
        raise tarfile.ReadError("unexpected end of data")
    key = keys.of(name)
    if key is None:
        return Sample("", shown, fault="is in the tar twice; the first one counts")
    return Sample(key, shown, whole, end=member.offset_data + member.size)


def rows(file: Any, name: str) -> Iterator[Sample]:
    """Yield the photos of a Parquet file: a column of bytes, or of {bytes, path} as Hugging Face's datasets have it."""
    require("pyarrow", name)
    import pyarrow
    from pyarrow import parquet

    keys, number, end = Keys(), 0, 0
    try:
        table = parquet.ParquetFile(pyarrow.PythonFile(file, mode="r"))
        column, names = columns_of(table.schema_arrow, name)
        for batch in table.iter_batches(ROWS, columns=[column, names] if names else [column]):
            found = batch.to_pydict()
            for place, value in enumerate(found[column]):
                nested = value if isinstance(value, dict) else {"bytes": value, "path": None}
                called = (found[names][place] if names else nested.get("path")) or f"{number:08}"
                number += 1
                sample = row_sample(str(called), nested["bytes"], keys)
                end += len(sample.content or b"")
                yield sample._replace(end=end)
    except (pyarrow.ArrowException, OSError) as error:
        fault = f"cut off or damaged after {number} rows ({first_line(error)}); copy it again"
        yield Sample("", printable(name), fault=fault)


def row_sample(called: str, content: bytes | None, keys: Keys) -> Sample:
    """Make a sample of one row."""
    shown, path = printable(called), PurePosixPath(called.lstrip("/"))
    if content is None:
        return Sample("", shown, fault="a row without bytes")
    key = None if ".." in path.parts else keys.of(str(path))
    return Sample(key, shown, content) if key else Sample("", shown, fault="is there twice, or leads out of its folder")


def columns_of(schema: Any, name: str) -> tuple[str, str]:
    """Return the column of bytes, and that of names or an empty string. Raises HqmdError if it is not clear which."""
    import pyarrow.types as types

    def holds_bytes(kind: Any) -> bool:
        if types.is_struct(kind):
            return kind.get_field_index("bytes") >= 0 and holds_bytes(kind.field("bytes").type)
        return bool(types.is_binary(kind) or types.is_large_binary(kind))

    columns = [field.name for field in schema if holds_bytes(field.type)]
    known = [column for column in BYTES_COLUMNS if column in columns]
    if len(columns) != 1 and not known:
        there = ", ".join(map(printable, columns or schema.names))
        raise HqmdError(f"{printable(name)}: no column of bytes is called {' or '.join(BYTES_COLUMNS)}; it has {there}")
    names = [column for column in NAME_COLUMNS if column in schema.names and column not in columns]
    return (known or columns)[0], names[0] if names else ""
