"""Records of predictions: NAME.json beside a result, and a folder's manifest.jsonl with a row per photo.

A record says what the numbers are (unit, range, camera), which model made them (hash, view, version) and from which
photo. With it, a result can be trusted later, and a run can tell if a result is still up to date.
"""

import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.checked_json import LENIENT, parse_json
from hqmd_cli.files.jsonl import GrowingFile, append_line, complete_lines
from hqmd_cli.files.locks import lock_of, short_lock
from hqmd_cli.files.regular import file_hash, read_regular, require_regular
from hqmd_cli.prediction.plan import Job
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.units import RANGE_KEYS, UNITS, Kind

if TYPE_CHECKING:
    from hqmd_cli.prediction.intention import Intentions

MANIFEST_FILE = "manifest.jsonl"
OF_A_ROW = ("place", "failed")  # keys that a record beside a result does not have
# What processes of torchrun wrote up to commit 6e49211, and a run of it that was killed has left.
PART_BEFORE = re.compile(r"manifest\.(0|[1-9]\d{0,2})\.jsonl")
# Settings that records of commits up to 370d56c lack, some or all.
LATER_SETTINGS: dict[str, Any] = {"detail_sides": [], "camera": None, "picture": None, "smooth": False}
PART_KEYS = {"place", "outputs", "settings", "photo_sha256"}

Row = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """Everything besides the photo that decides what a result holds."""

    model: str
    model_sha256: str
    precision: str  # of the network's arithmetic, see inference/engines
    sides: tuple[int, ...]  # pixels; the shorter sides at which the network sees the photo, from which metres come
    flip: bool
    look: Mapping[str, Any]  # of colour pictures and meshes, see result.Style
    fov_deg: float | None  # of the camera, as the user gave it
    fx: float | None  # pixels, as the user gave it
    scale_from: str | None  # a measured distance, as the user gave it
    kind: Kind = "depth"  # what the model gives
    detail_sides: tuple[int, ...] = ()  # pixels; the shorter sides of larger pictures, which add detail
    camera: Mapping[str, Any] | None = None  # as the user gave it in a file
    picture: int | None = None  # number, from 1 on, of several in a file; None: the file's own choice
    smooth: bool = False  # True: the depth of a video is blended over time
    hqmd_version: str = __version__


def record_of(
    job: Job,
    result: DepthResult,
    notes: Mapping[str, str],
    remarks: Mapping[str, str],
    settings: Settings,
    photo_sha256: str | None,
    outputs_sha256: Mapping[str, str],
) -> dict[str, Any]:
    """Describe a result as plain data. `notes` and `remarks` say what each file's numbers mean, and what is special."""
    near_key, far_key = RANGE_KEYS[result.kind]
    return {
        "photo": job.source.name,
        "size": list(result.depth_m.shape),
        "unit": UNITS[result.kind],
        near_key: result.near,
        far_key: result.far,
        "scale_factor": result.scale_factor,
        "camera_factor": result.camera_factor,
        "scale_uncertainty": result.uncertainty.scale if result.uncertainty else None,
        "intrinsics": asdict(result.intrinsics),
        "outputs": dict(notes),
        "outputs_sha256": dict(outputs_sha256),
        "remarks": {name: whole for name, remark in remarks.items() if (whole := joined(remark, *result.remarks))},
        "photo_remarks": list(result.remarks),
        "settings": asdict(settings),
        "photo_sha256": photo_sha256,
    }


def joined(*remarks: str) -> str:
    """Join the remarks that are not empty."""
    return "; ".join(filter(None, remarks))


class Manifest:
    """`manifest.jsonl` in a folder of results: a row per photo, of which the last one counts.

    Several processes may append to it: each write holds a lock. A photo that failed has a row with "place" and
    "failed", the reason; what an earlier row says of its files still counts, since they were not touched.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / MANIFEST_FILE
        self.one_at_a_time = Lock()  # among threads, which would poll for the lock between processes
        self.growing = GrowingFile(self.path)
        self.rows: dict[str, Row] = {}  # as `newest` read them

    def append(self, row: Row) -> None:
        """Append a row, from any thread. Raises HqmdError if it cannot be written."""
        line = finite_json(row, self.path)
        with self.one_at_a_time, short_lock(self.path):
            append_line(self.path, line)

    def read(self) -> dict[str, Row]:
        """Map each photo's place below the folder to its record. Raises HqmdError for a file that is not a manifest."""
        rows: dict[str, Row] = {}
        for path in ([self.path] if self.path.exists() else []) + self.parts():
            for number, line in enumerate(complete_lines(path), 1):
                row = row_of(line)
                if row is None:
                    raise HqmdError(
                        f"{path}: line {number} is not a record of a result; move the file away, or choose another -o"
                    )
                add_row(rows, row)
        return rows

    def newest(self, place: str) -> Row:
        """Look up a record that another run may have added; empty without one. Reads what is new in the file."""
        with self.one_at_a_time:
            for row in map(row_of, self.growing.new_lines()):
                if row is not None:  # `join` complains of what is no row
                    add_row(self.rows, row)
            return self.rows.get(place, {})

    def parts(self) -> list[Path]:
        """List what an interrupted run of torchrun left up to commit 6e49211; no file that only has such a name."""
        named = sorted(path for path in self.folder.glob("manifest.*.jsonl") if PART_BEFORE.fullmatch(path.name))
        return [path for path in named if path.is_file() and is_part(path)]

    def join(self) -> None:
        """Leave one row per photo, sorted by place, and take in what an interrupted run of torchrun left.

        Raises HqmdError if a link lies in its place, which would lead the rows elsewhere.
        """
        if link := next((path for path in (self.path, lock_of(self.path)) if path.is_symlink()), None):
            raise HqmdError(f"{link}: a link; hqmd writes a file of this folder there: remove the link")
        if not (self.path.exists() or self.parts()):
            return
        require_regular(self.path)
        with self.one_at_a_time, short_lock(self.path):
            parts, rows = self.parts(), self.read()
            write_text(self.path, "".join(json.dumps(rows[place]) + "\n" for place in sorted(rows)))
            for part in parts:
                part.unlink()

    def hashes(self) -> Iterator[tuple[Path, str]]:
        """Yield the absolute path and the hash of every file that the manifest describes."""
        top = self.folder.absolute()
        for place, row in self.read().items():
            for name, digest in hashes_of(row).items():
                yield (top / place).parent / name, digest


def row_of(line: str) -> Row | None:
    """Parse a line of a manifest; None if it is not a row."""
    try:
        row = parse_json(line, dict, LENIENT)
    except ValueError:
        return None
    return row if isinstance(row.get("place"), str) else None


def add_row(rows: dict[str, Row], row: Row) -> None:
    """Add a row of a manifest to those before. One of a failure leaves what is known of the files."""
    rows[row["place"]] = {**rows.get(row["place"], {}), **row} if "failed" in row else row


def is_part(path: Path) -> bool:
    """True if every row of a file is a record as hqmd writes it."""
    rows = [row_of(line) for line in complete_lines(path)]
    return bool(rows) and all(row is not None and row.keys() >= PART_KEYS for row in rows)


def finite_json(record: Mapping[str, Any], path: Path, indent: int | None = None) -> str:
    """Return a record as JSON. Raises HqmdError naming the file if it has a number that JSON does not have."""
    try:
        return json.dumps(record, allow_nan=False, indent=indent)
    except ValueError as error:
        raise HqmdError(f"{path}: a number of this result is infinite or NaN, so it is not recorded") from error


def write_record(job: Job, record: Row, manifest: Manifest | None, beside: bool) -> None:
    """Write the record of a job's results: into the manifest, if there is one, and `beside` the first of them.

    Raises HqmdError if it cannot be written, or has a number that JSON does not have; then neither is touched.
    """
    own = {key: value for key, value in record.items() if key not in OF_A_ROW}
    text = finite_json(own, job.sidecar, indent=2) + "\n" if beside else ""
    if manifest:
        manifest.append({"place": str(job.source.place), **own})
    if beside:
        write_text(job.sidecar, text)


def open_manifest(jobs: Sequence[Job], destinations: Sequence[Path]) -> Manifest | None:
    """Open the manifest of the first folder among the destinations; None if all of them are files."""
    files = {target for target, _ in jobs[0].targets} if jobs else set()
    return next((Manifest(folder) for folder in destinations if folder not in files), None)


def known_results(jobs: Sequence[Job], manifest: Manifest | None) -> dict[str, dict[str, Any]]:
    """Read the records of earlier results, from the manifest or beside a single file."""
    if manifest:
        return manifest.read()
    return {str(job.source.place): read_record(job.sidecar) for job in jobs if job.sidecar.is_file()}


def read_record(path: Path) -> dict[str, Any]:
    """Read the record beside a result. Raises HqmdError if the file is not a record."""
    try:
        record = parse_json(read_regular(path), dict, LENIENT)
    except (OSError, ValueError):
        record = {}
    if "outputs" not in record:
        raise HqmdError(f"{path}: is not a record of a result; move it away, or use --overwrite")
    return record


def is_up_to_date(
    job: Job, record: Mapping[str, Any], notes: Mapping[str, str], settings: Settings, photo_sha256: str
) -> bool:
    """True if the files exist as recorded, made from the same photo with the same settings and of the same kinds."""
    same = record.get("outputs") == notes and not changed_since(record, settings, photo_sha256)
    return same and all(target.is_file() and is_recorded(target, record) for target, _ in job.targets)


def changed_since(record: Mapping[str, Any], settings: Settings, photo_sha256: str) -> str:
    """Name what differs from when a result was recorded: the photo, the model or settings; empty if nothing does."""
    then, now = record.get("settings"), json.loads(json.dumps(asdict(settings)))
    then = {**LATER_SETTINGS, **(then if isinstance(then, dict) else {})}
    look = then.get("look")
    then["look"] = {"max_uncertainty": None, **(look if isinstance(look, dict) else {})}
    changed = ["photo"] if record.get("photo_sha256") != photo_sha256 else []
    changed += [name for name, value in now.items() if name not in then or then[name] != value]
    return ", ".join(changed).replace("model_sha256", "the model's files")


def refuse_foreign(job: Job, record: Mapping[str, Any], sidecars: bool, intentions: "Intentions | None") -> None:
    """Raise HqmdError if a result would replace a file that is neither on record, to the byte, nor a killed run's."""
    for target, _ in job.targets:
        if not os.path.lexists(target) or (intentions and intentions.is_result_of_a_run(target)):
            continue
        if not is_recorded(target, record):
            raise HqmdError(
                f"{printable(str(target))}: exists, and no record says that it was made from this photo; "
                "pass --overwrite, or choose another -o"
            )
    if sidecars and job.sidecar.exists():
        read_record(job.sidecar)


def is_recorded(target: Path, record: Mapping[str, Any]) -> bool:
    """True if a file is, to the byte, the one that the record describes."""
    require_regular(target)
    return target.is_file() and hashes_of(record).get(target.name) == file_hash(target)


def hashes_of(record: Mapping[str, Any]) -> Mapping[str, str]:
    """Return name -> hash of the files that a record describes."""
    hashes = record.get("outputs_sha256")
    return hashes if isinstance(hashes, dict) else {}
