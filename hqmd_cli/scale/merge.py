"""Join the manifests of all parts of a run, and say what is missing or there twice."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from hqmd_cli.errors import HqmdError
from hqmd_cli.installed import require
from hqmd_cli.scale.places import join, listed, written
from hqmd_cli.scale.recipe import Row
from hqmd_cli.scale.results import PART, is_loose, manifest_of, planned, read_manifest, schema_of
from hqmd_cli.scale.shards import shown

MANIFEST, ERRORS = "manifest.parquet", "errors.parquet"
LISTED = 5  # names in a message


@dataclass
class Merged:
    """What the manifests of an output hold."""

    parts: int = 0
    photos: int = 0
    errors: int = 0
    missing_parts: list[int] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)  # shards without a manifest
    twice: list[str] = field(default_factory=list)  # shards of two parts, and photos of two manifests
    settings: set[str] = field(default_factory=set)

    @property
    def faults(self) -> list[str]:
        """Describe each fault of the whole run, such as missing parts. A complete run has no faults."""
        said = []
        if self.missing_parts:
            said.append(f"of {self.parts} parts {few([str(part) for part in self.missing_parts])} have not run")
        if self.missing:
            said.append(f"shards not done: {few(self.missing)}; run their parts again with --skip-existing")
        if self.twice:
            said.append(f"there twice: {few(self.twice)}")
        if len(self.settings) > 1:
            said.append(f"made with {len(self.settings)} different settings or models; run all parts with the same")
        return said


def few(names: list[str]) -> str:
    """Name the first of many."""
    return ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED} more" if names[LISTED:] else "")


def merge(output: str) -> Merged:
    """Write manifest.parquet and errors.parquet, in the order of the shards' names. Raises HqmdError without a run."""
    require("pyarrow", "merge-manifests")
    there = {entry.name for entry in listed(join(output, "manifests"))}
    plans = {name: match for name in sorted(there) if (match := PART.fullmatch(f"manifests/{name}"))}
    if not plans:
        raise HqmdError(
            f"{shown(output)}: holds no manifests of `hqmd predict --shard` or of tars; is it the -o of a run?"
        )
    counts = {int(match[2]) for match in plans.values()}
    if len(counts) > 1:
        raise HqmdError(
            f"{shown(output)}: was begun in {' and in '.join(map(str, sorted(counts)))} parts; remove one's files"
        )
    found = Merged(parts=counts.pop())
    found.missing_parts = sorted(set(range(found.parts)) - {int(match[1]) for match in plans.values()})
    shards = Counter(shard for name in plans for shard in planned(output, f"manifests/{name}")[0])
    found.twice = [shard for shard, times in shards.items() if times > 1]
    found.missing = [shard for shard in sorted(shards) if f"{shard}.parquet" not in there]
    write_joined(output, rows_of(output, [shard for shard in sorted(shards) if f"{shard}.parquet" in there], found))
    return found


def rows_of(output: str, shards: list[str], found: Merged) -> Iterator[list[Row]]:
    """Yield the rows of each shard, and count them."""
    seen: set[int] = set()
    for shard in shards:
        facts, rows = read_manifest(join(output, manifest_of(shard)))
        found.settings.add(facts.get("settings_sha256", ""))
        found.errors += sum(1 for row in rows if row["error"])
        found.photos += sum(1 for row in rows if not row["error"])
        for row in rows if is_loose(shard) else ():
            if (name := hash(row["key"])) in seen:
                found.twice.append(row["key"])
            seen.add(name)
        yield [{"shard": shard, **row} for row in rows]


def write_joined(output: str, groups: Iterator[list[Row]]) -> None:
    """Write the rows of all shards, one group at a time: those with results, and those with errors."""
    import pyarrow
    from pyarrow.parquet import ParquetWriter

    done = pyarrow.schema([("shard", pyarrow.string()), *schema_of()])
    wrong = pyarrow.schema([done.field(name) for name in ("shard", "key", "photo", "error")])
    with (
        written(join(output, MANIFEST)) as good,
        written(join(output, ERRORS)) as bad,
        ParquetWriter(good, done) as manifest,
        ParquetWriter(bad, wrong) as errors,
    ):
        for rows in groups:
            add(manifest, [row for row in rows if not row["error"]], done)
            add(errors, [row for row in rows if row["error"]], wrong)


def add(writer: Any, rows: list[Row], schema: Any) -> None:
    """Append rows to a Parquet file."""
    import pyarrow

    if rows:
        writer.write_table(
            pyarrow.Table.from_pylist([{name: row[name] for name in schema.names} for row in rows], schema)
        )
