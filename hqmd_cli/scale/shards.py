"""Which photos there are, as shards: a tar, a Parquet file, or up to 1,000 loose photos; and which part does which."""

import hashlib
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.kinds import PHOTO, by_name, kind_in_folder
from hqmd_cli.files.web_address import is_web_address, without_secrets
from hqmd_cli.prediction.earlier_results import EarlierResults
from hqmd_cli.prediction.sources import STDIN, LeftOut, Search, files_below, sources_of
from hqmd_cli.scale.places import Entry, entries_of, findings, listed, local_entry, require_scheme, scheme_of

SUFFIXES = {".tar": "tar", ".parquet": "parquet"}
AT_A_TIME = 1000  # loose photos in a shard
RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
CHOICE = re.compile(r"\{([^{}]*,[^{}]*)\}")
GLOB = re.compile(r"[*?\[]")
MOST_BRACES = 1_000_000  # addresses that one argument stands for
SEVERAL = 8  # files named in one folder from which on the folder is listed instead


@dataclass(frozen=True)
class Part:
    """One part of several that a run is cut into: `--shard 3/10`, counted from 0."""

    index: int = 0
    count: int = 1

    @classmethod
    def parse(cls, text: str) -> "Part":
        """ "3/10" -> Part(3, 10). Raises HqmdError for anything else."""
        index, _, count = text.partition("/")
        if not (index.isdecimal() and count.isdecimal() and int(index) < int(count)):
            raise HqmdError(f"--shard {printable(text)}: give I/N, with I from 0 to N-1, such as 0/10 to 9/10")
        return cls(int(index), int(count))

    def takes(self, name: str) -> bool:
        """True if a loose photo of this name belongs to this part, whatever other photos there are."""
        digest = hashlib.sha256(name.encode("utf-8", "surrogateescape")).digest()
        return int.from_bytes(digest[:8], "big") % self.count == self.index

    def __str__(self) -> str:
        return f"{self.index:05}-of-{self.count:05}"


@dataclass(frozen=True)
class Shard:
    """What is done as a whole: one tar or Parquet file, or some loose photos."""

    kind: Literal["tar", "parquet", "photos"]
    name: str  # of its manifest below the output; the tar of results has it, too
    entries: tuple[Entry, ...]  # the file itself, or the photos
    keys: tuple[str, ...] = ()  # of the loose photos' results

    @property
    def is_loose(self) -> bool:
        """True for loose photos."""
        return self.kind == "photos"

    @property
    def size(self) -> int:
        """Bytes to read."""
        return sum(entry.size for entry in self.entries)


class Keys:
    """Names for the results of photos: each its own, however many dots a name has, and whatever else has its stem."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def of(self, name: str) -> str | None:
        """Return the name without the photo's suffix, or all of it if that is taken; None if both are."""
        path = PurePosixPath(name)
        stem = str(path.with_suffix("")) if by_name(Path(path.name)) else name
        key = next((key for key in (stem, name) if key not in self.taken), None)
        if key is not None:
            self.taken.add(key)
        return key


def find_shards(sources: Sequence[str], output: str, part: Part, left_out: LeftOut) -> list[Shard]:
    """Find all that sources name, and return this part's shards: its tars and Parquet files, then its loose photos.

    Every process finds the same list, sorted by name: the part I of N has every Nth tar or Parquet file of it, from the
    Ith on; and each loose photo by a hash of its name, so that photos which are added later change no other's part.
    Raises HqmdError for a source that names nothing, two results of one name, and a source in the output.
    """
    results = [] if scheme_of(output) else [Path(output)]
    search = Search(results, EarlierResults(results), False, left_out)
    found = {entry.address: entry for source in sources for entry in entries_for(source, output, search)}
    entries = sorted(found.values(), key=lambda entry: (entry.name, entry.address))
    if not entries:
        raise HqmdError(
            f"{shown(sources[0])}: no photos, tars or Parquet files; left out: {left_out.in_words or 'none'}"
        )
    inside = next((entry.address for entry in entries if is_below(entry.address, output)), None)
    if inside:
        raise HqmdError(f"{shown(inside)}: lies in the output {shown(output)}; choose another -o")
    files = [entry for entry in entries if suffix_of(entry.name) in SUFFIXES]
    names = [str(PurePosixPath(entry.name).with_suffix(".tar")) for entry in files]
    if twice := next((name for name, times in Counter(names).items() if times > 1), None):
        raise HqmdError(f"{printable(twice)}: two sources would both be written to it; run them into two outputs")
    shards = [
        Shard(SUFFIXES[suffix_of(entry.name)], name, (entry,))  # type: ignore[arg-type]
        for name, entry in zip(names, files, strict=True)
    ]
    return shards[part.index :: part.count] + loose_shards(entries, part)


def loose_shards(entries: Sequence[Entry], part: Part) -> list[Shard]:
    """Put this part's loose photos into shards."""
    keys = Keys()
    mine = []
    for entry in entries:
        if suffix_of(entry.name) in SUFFIXES:
            continue
        key = keys.of(entry.name)
        if key is None:
            raise HqmdError(f"{shown(entry.address)}: two photos are called {entry.name}; run them into two outputs")
        if part.takes(entry.name):
            mine.append((entry, key))
    groups = [mine[start : start + AT_A_TIME] for start in range(0, len(mine), AT_A_TIME)]
    return [
        Shard("photos", f"photos-{part}-{number:05}", tuple(entry for entry, _ in some), tuple(key for _, key in some))
        for number, some in enumerate(groups)
    ]


def shown(address: str) -> str:
    """Return an address for messages."""
    return printable(without_secrets(address))


def suffix_of(name: str) -> str:
    """Return the suffix of a name, in small letters."""
    return os.path.splitext(name)[1].lower()


def is_below(address: str, folder: str) -> bool:
    """True if an address lies in a folder."""
    if scheme_of(address) or scheme_of(folder):
        return address.startswith(folder.rstrip("/") + "/")
    return Path(os.path.realpath(address)).is_relative_to(os.path.realpath(folder))


def entries_for(source: str, output: str, search: Search) -> Iterator[Entry]:
    """Find what one argument names. Raises HqmdError if that is nothing."""
    if source == STDIN:
        raise HqmdError("-: stdin holds one photo; it goes without tars, buckets, --shard, --limit and --dry-run")
    addresses = [source] if os.path.lexists(source) else expanded(source)
    beside = listed_beside(addresses)
    for address in addresses:
        require_scheme("" if is_web_address(address) else address)
        if address in beside:
            yield beside[address]
        elif is_web_address(address):
            yield from (Entry(address, each.place.as_posix(), 0, "") for each in sources_of(address, search))
        elif scheme_of(address):
            yield from remote_entries(address, output, search.left_out)
        else:
            yield from local_entries(address, search)


def local_entries(source: str, search: Search) -> Iterator[Entry]:
    """Find the files that a local path or pattern names."""
    if os.path.isdir(source):
        for path in files_below(Path(source), search):
            form = kind_in_folder(path)
            if path.suffix.lower() in SUFFIXES or (form and form.readable and form.medium == PHOTO):
                yield local_entry(path, path.relative_to(source).as_posix())
            else:
                search.left_out.add_file(path, form)
        return
    for found in sources_of(source, search):
        if found.path and not found.is_video:
            yield local_entry(found.path, found.place.as_posix())
        else:
            search.left_out.add("videos")


def remote_entries(source: str, output: str, left_out: LeftOut) -> Iterator[Entry]:
    """Find the files that an address or a pattern in a bucket names."""
    if GLOB.search(source):
        top = source[: source.rindex("/", 0, GLOB.search(source).start())]  # type: ignore[union-attr]
        entries = entries_of(top, findings(source, lambda files: files.glob(source, detail=True)))
    else:
        entries = listed(source)
    if not entries:
        raise HqmdError(f"{shown(source)}: nothing is there; is the name right, and does it end in a folder's name?")
    alone = len(entries) == 1 and entries[0].address.rstrip("/") == source.rstrip("/")
    for entry in entries:
        path = Path(entry.name)
        form = by_name(path)
        if any(piece.startswith(".") for piece in path.parts):
            left_out.add("hidden")
        elif is_below(entry.address, output):
            left_out.add("results of an earlier run")
        elif alone or path.suffix.lower() in SUFFIXES or (form and form.readable and form.medium == PHOTO):
            yield entry
        else:
            left_out.add_file(path, form)


def listed_beside(addresses: Sequence[str]) -> dict[str, Entry]:
    """Look up many files of one folder of a bucket by listing it once."""
    folders = {address.rpartition("/")[0] for address in addresses if scheme_of(address) and not GLOB.search(address)}
    if len(addresses) < SEVERAL or len(folders) != 1:
        return {}
    (folder,) = folders
    found = findings(folder, lambda files: {facts["name"]: facts for facts in files.ls(folder, detail=True)})
    return {entry.address: entry for entry in entries_of(folder, found)}


def expanded(text: str) -> list[str]:
    """ "a/{000..002}.tar" -> a/000.tar, a/001.tar and a/002.tar; "{x,y}" -> x and y."""
    match = RANGE.search(text) or CHOICE.search(text)
    if not match:
        return [text]
    if match.re is RANGE:
        first, last = int(match[1]), int(match[2])
        if last - first >= MOST_BRACES:
            raise HqmdError(f"{shown(text)}: stands for more than {MOST_BRACES:,} names; give a pattern with *")
        pieces = [f"{number:0{len(match[1])}}" for number in range(first, last + 1)]
    else:
        pieces = match[1].split(",")
    return [whole for piece in pieces for whole in expanded(text[: match.start()] + piece + text[match.end() :])]
