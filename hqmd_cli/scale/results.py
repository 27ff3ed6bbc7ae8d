"""What a run leaves in its output: a tar for each tar, and files for loose photos; and the records of both.

OUT/00017.tar                           KEY.depth.mm.png and so on, KEY.json; equal bytes, whoever makes it and when
OUT/a/b.mm.png                          of a loose photo a/b.jpg
OUT/manifests/part-00003-of-00010.json  the shards of one part of the run; written before the first result
OUT/manifests/00017.tar.parquet         a row for each photo, written last: a shard without is not done
OUT/manifest.parquet, errors.parquet    all rows, joined (merge.py)
"""

import json
import re
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import RUN, explain_read_errors, remove_unfinished
from hqmd_cli.files.checked_json import parse_json
from hqmd_cli.files.locks import claim
from hqmd_cli.files.regular import file_hash
from hqmd_cli.scale.places import Entry, join, listed, read, scheme_of, write, written
from hqmd_cli.scale.recipe import Answer, Row
from hqmd_cli.scale.samples import Sample
from hqmd_cli.scale.shards import Part, Shard, shown

PART = re.compile(r"manifests/part-(\d+)-of-(\d+)\.json")
COLUMNS = {
    "key": "string",  # of the results
    "photo": "string",
    "error": "string",  # why there is no result; empty if there is
    "state": "string",  # size and version of a loose photo
    "photo_sha256": "string",
    "unit": "string",
    "near": "double",
    "far": "double",
    "outputs": "list<string>",
    "sizes": "list<int64>",  # bytes
    "record": "string",  # JSON, as `hqmd predict` writes it to its manifest
}


class Outcome(NamedTuple):
    """What became of a shard."""

    name: str
    written: int = 0
    kept: int = 0
    errors: tuple[str, ...] = ()  # of photos
    fault: str = ""  # why the whole shard is not done
    files: tuple[str, ...] = ()  # that were written, below the output


class Todo(NamedTuple):
    """A shard to do, and what an earlier run knows of its loose photos."""

    shard: Shard
    known: Mapping[str, Row]  # key -> row; only of results that are there
    carried: Sequence[Row] = ()  # of photos that are no longer among the sources


@dataclass(frozen=True)
class Output:
    """The folder or bucket that results go to."""

    address: str
    part: Part
    settings_sha256: str
    held: ExitStack = field(default_factory=ExitStack, compare=False)  # of a local part, which one process does

    def begin(
        self, shards: Sequence[Shard], suffixes: Sequence[str], skip: bool, overwrite: bool
    ) -> tuple[list[Todo], list[Outcome]]:
        """Write down what will be written; return the shards that are left to do, and what became of the others.

        Raises HqmdError if the output was begun in another number of parts, and for results that exist, unless they may
        be kept (`skip`) or replaced (`overwrite`). Those of a part that was begun are this part's own.
        """
        own = f"manifests/part-{self.part}.json"
        if not scheme_of(self.address):
            self.held.enter_context(claim(Path(self.address, own)))
        there = {entry.name: entry for entry in listed(self.address)}
        self.refuse_other_count(there)
        if own in there and not (skip or overwrite):
            raise HqmdError(
                f"{shown(self.address)}: part {self.part.index} of {self.part.count} has run before; "
                "pass --skip-existing to go on, or --overwrite"
            )
        if own not in there and not overwrite:
            refuse_existing(self.address, shards, suffixes, there)
        before = self.resumed(own) if own in there else []
        loose = any(shard.is_loose for shard in shards)
        kept = {name for name in before if not (loose and is_loose(name))}
        plan = {"shards": sorted(kept | {shard.name for shard in shards}), "run": RUN}
        write(join(self.address, own), (json.dumps(plan, indent=1) + "\n").encode())
        self.refuse_other_count({f"manifests/{entry.name}": entry for entry in listed(join(self.address, "manifests"))})
        keep = skip and not overwrite
        done = {shard.name: self.finished(shard, there) for shard in shards} if keep else {}
        known = self.known_photos(before, there) if keep and loose else {}
        todo = [Todo(shard, known) for shard in shards if not done.get(shard.name)]
        if known:
            now = {printable(key) for shard in shards for key in shard.keys}
            first = next(number for number, each in enumerate(todo) if each.shard.is_loose)
            todo[first] = todo[first]._replace(carried=[row for key, row in known.items() if key not in now])
        return todo, [outcome for outcome in done.values() if outcome]

    def refuse_other_count(self, there: Mapping[str, Entry]) -> None:
        """Raise HqmdError if the output was begun in another number of parts."""
        counts = {int(match[2]) for name in there if (match := PART.fullmatch(name))}
        if other := counts - {self.part.count}:
            raise HqmdError(
                f"{shown(self.address)}: was begun in {other.pop()} parts, not {self.part.count}; "
                "give --shard I/N with that N, or choose another -o"
            )

    def resumed(self, name: str) -> list[str]:
        """Read the names of the shards of a part that was begun, and remove what a killed run left unfinished."""
        shards, run = planned(self.address, name)
        self.clear(shards, run)
        return shards

    def clear(self, shards: Iterable[str], run: str) -> None:
        """Remove what a dead process of this run left unfinished, in a local output."""
        for folder in {Path(self.address, shard).parent for shard in shards} if not scheme_of(self.address) else ():
            remove_unfinished(folder, {run})

    def finished(self, shard: Shard, there: Mapping[str, Entry]) -> Outcome | None:
        """Return what an earlier run made of a tar or Parquet file, if that is up to date and all there."""
        name = manifest_of(shard.name)
        if shard.is_loose or name not in there or shard.name not in there:
            return None
        facts, _ = read_manifest(join(self.address, name))
        wanted = [self.settings_sha256, shard.entries[0].version, there[shard.name].size]
        if [facts.get(key) for key in ("settings_sha256", "source", "result_bytes")] != wanted:
            return None
        return Outcome(shard.name, kept=facts["done"], errors=("",) * facts["failed"])

    def known_photos(self, before: Sequence[str], there: Mapping[str, Entry]) -> dict[str, Row]:
        """Map keys of loose photos to what an earlier run with these settings recorded, if the results are there."""
        known: dict[str, Row] = {}
        for name in before:
            if not is_loose(name) or manifest_of(name) not in there:
                continue
            facts, rows = read_manifest(join(self.address, manifest_of(name)))
            if facts.get("settings_sha256") == self.settings_sha256:
                known |= {row["key"]: row for row in rows if not row["error"] and is_there(row, there)}
        return known

    def is_current(self, sample: Sample, known: Mapping[str, Row]) -> bool:
        """True if the results of a loose photo are there, and were made of the photo that is there now."""
        row = known.get(printable(sample.key))
        if row is None or sample.entry is None or not sample.entry.state:
            return False
        if scheme_of(sample.entry.address):
            return bool(row["state"] == sample.entry.version)
        with explain_read_errors(sample.name):
            return bool(row["photo_sha256"] == file_hash(Path(sample.entry.address)))

    def store(self, answer: Answer) -> Answer:
        """Write the results of a loose photo, and return the answer without them. Raises HqmdError naming a file."""
        for name, content in answer.members:
            write(join(self.address, name), content)
        return Answer(answer.row)

    def write_shard(
        self, todo: Todo, answers: Iterable[Answer], is_whole: Callable[[], bool] = lambda: True
    ) -> Outcome:
        """Write the results of a shard, in the order of its photos, and then its manifest.

        Loose photos are stored already (`store`). A shard that is not whole in the end is done again by the next run.
        An exception, also of `answers`, leaves a tar as it was; loose photos that are done are recorded.
        """
        name, rows = todo.shard.name, list[Row]()
        if todo.shard.is_loose:
            try:
                rows.extend(answer.row for answer in answers)
            finally:
                done = {row["key"] for row in rows}
                left = [key for key in map(printable, todo.shard.keys) if key not in done and key in todo.known]
                self.record(name, [*todo.carried, *rows, *(todo.known[key] for key in left)], {})
        else:
            with written(join(self.address, name)) as file:
                rows = fill_tar(file, answers)
                size = file.tell()
            source = todo.shard.entries[0].version if is_whole() else ""
            self.record(name, rows, {"result_bytes": size, "source": source})
        file_name = PurePosixPath(todo.shard.entries[0].name).name
        alone = todo.shard.is_loose or file_name  # what names itself
        shown = PurePosixPath(name).with_name(file_name)  # the results of a .parquet are a .tar
        wrong = [row for row in rows if row["error"]]
        errors = tuple(row["error"] if alone in (True, row["photo"]) else f"{shown}: {row['error']}" for row in wrong)
        new = [row for row in rows if not row["error"] and todo.known.get(row["key"]) is not row]
        files = tuple(file for row in new for file in row["outputs"]) if todo.shard.is_loose else (name,)
        return Outcome(name, len(new), len(rows) - len(errors) - len(new), errors, files=files)

    def record(self, name: str, rows: Sequence[Row], facts: Mapping[str, Any]) -> None:
        """Write the manifest of a shard."""
        failed = sum(1 for row in rows if row["error"])
        facts = {"settings_sha256": self.settings_sha256, "done": len(rows) - failed, "failed": failed, **facts}
        write(join(self.address, manifest_of(name)), parquet_of(rows, facts))


def manifest_of(shard: str) -> str:
    """Return the name of a shard's manifest below the output."""
    return f"manifests/{shard}.parquet"


def is_loose(shard: str) -> bool:
    """True for the name of a shard of loose photos."""
    return not shard.endswith(".tar")


def planned(output: str, name: str) -> tuple[list[str], str]:
    """Read the names of a part's shards, and the run that wrote them. Raises HqmdError if hqmd did not write it."""
    place = join(output, name)
    try:
        plan = parse_json(read(place), dict)
        return [str(shard) for shard in plan["shards"]], str(plan["run"])
    except (ValueError, KeyError, TypeError) as error:
        raise HqmdError(f"{shown(place)}: is no list of shards; move it away, or choose another -o") from error


def refuse_existing(output: str, shards: Sequence[Shard], suffixes: Sequence[str], there: Mapping[str, Entry]) -> None:
    """Raise HqmdError naming a result that would be replaced, though this part has not begun."""
    names = (shard.name for shard in shards if not shard.is_loose)
    loose = (key + suffix for shard in shards for key in shard.keys for suffix in suffixes)
    if found := next((name for name in (*names, *loose) if name in there), None):
        raise HqmdError(
            f"{shown(join(output, found))}: exists, and no record says that this run made it; "
            "pass --overwrite, or choose another -o"
        )


def is_there(row: Row, there: Mapping[str, Entry]) -> bool:
    """True if all files of a row are there, with their sizes."""
    pairs = zip(row["outputs"], row["sizes"], strict=True)
    return all(name in there and there[name].size == size for name, size in pairs)


def fill_tar(file: Any, answers: Iterable[Answer]) -> list[Row]:
    """Write the members of a tar with fixed heads, so that equal results are equal tars; return the rows."""
    rows = []
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for answer in answers:
            for name, content in answer.members:
                head = tarfile.TarInfo(name)  # time and owner are 0
                head.size = len(content)
                archive.addfile(head, BytesIO(content))
            archive.members.clear()  # type: ignore[attr-defined]
            rows.append(answer.row)
    return rows


def schema_of() -> Any:
    """Return the pyarrow schema of a manifest."""
    import pyarrow

    kinds = {"string": pyarrow.string(), "double": pyarrow.float64(), "list<string>": pyarrow.list_(pyarrow.string())}
    kinds["list<int64>"] = pyarrow.list_(pyarrow.int64())
    return pyarrow.schema([(name, kinds[kind]) for name, kind in COLUMNS.items()])


def parquet_of(rows: Sequence[Row], facts: Mapping[str, Any]) -> bytes:
    """Encode rows as a Parquet file; the schema's metadata has the facts of the shard."""
    import pyarrow
    from pyarrow.parquet import write_table

    table = pyarrow.Table.from_pylist([{name: row.get(name) for name in COLUMNS} for row in rows], schema_of())
    file = BytesIO()
    write_table(table.replace_schema_metadata({"hqmd": json.dumps(facts, sort_keys=True)}), file)
    return file.getvalue()


def read_manifest(address: str) -> tuple[dict[str, Any], list[Row]]:
    """Read the facts and the rows of a shard. Raises HqmdError if the file is no manifest."""
    from pyarrow import ArrowException
    from pyarrow.parquet import read_table

    try:
        table = read_table(BytesIO(read(address)))
        return json.loads(table.schema.metadata[b"hqmd"]), table.select([*COLUMNS]).to_pylist()
    except (ArrowException, KeyError, TypeError, ValueError) as error:
        raise HqmdError(f"{shown(address)}: is no manifest of hqmd; move it away, or choose another -o") from error
