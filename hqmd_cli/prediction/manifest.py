"""Records of predictions: NAME.json beside a result, and a folder's manifest.jsonl with a row per photo.

A record says what the numbers are (unit, range, camera), which model made them (hash, view, version) and from which
photo. With it, a result can be trusted later, and a run can tell if a result is still up to date.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.hashes import file_hash
from hqmd_cli.files.jsonl import complete_lines
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.prediction.plan import Job
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.units import RANGE_KEYS, UNITS, Kind

MANIFEST_FILE = "manifest.jsonl"


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

    Each of several processes (parallel/processes.py) appends to a file of its own; `join` merges them.
    """

    def __init__(self, folder: Path, rank: int | None = None) -> None:
        self.folder = folder
        self.path = folder / (MANIFEST_FILE if rank is None else f"manifest.{rank}.jsonl")

    @property
    def parts(self) -> list[Path]:
        """The manifest, and the files that other processes or an interrupted run left beside it."""
        whole = self.folder / MANIFEST_FILE
        return [*([whole] if whole.exists() else []), *sorted(self.folder.glob("manifest.*.jsonl"))]

    def read(self) -> dict[str, dict[str, Any]]:
        """Map each photo's place below the folder to its record. Raises HqmdError for a file that is not a manifest."""
        rows = {}
        for path in self.parts:
            for number, line in enumerate(complete_lines(path), 1):
                try:
                    row = json.loads(line)
                    rows[row["place"]] = row
                except (ValueError, KeyError, TypeError) as error:
                    raise HqmdError(
                        f"{path}: line {number} is not a record of a result; move the file away, or choose another -o"
                    ) from error
        return rows

    def join(self) -> None:
        """Merge all parts into one file, with one row per photo, sorted by place."""
        if parts := self.parts:
            rows = self.read()
            write_text(self.folder / MANIFEST_FILE, "".join(json.dumps(rows[place]) + "\n" for place in sorted(rows)))
            for part in parts:
                if part.name != MANIFEST_FILE:
                    part.unlink()


def open_manifest(jobs: Sequence[Job], destinations: Sequence[Path], ranks: Ranks) -> Manifest | None:
    """Open the manifest of the first folder among the destinations; None if all of them are files."""
    files = {target for target, _ in jobs[0].targets} if jobs else set()
    rank = ranks.rank if ranks.world > 1 else None
    return next((Manifest(folder, rank) for folder in destinations if folder not in files), None)


def known_results(jobs: Sequence[Job], manifest: Manifest | None) -> dict[str, dict[str, Any]]:
    """Read the records of earlier results, from the manifest or beside a single file."""
    if manifest:
        return manifest.read()
    return {str(job.source.place): read_record(job.sidecar) for job in jobs if job.sidecar.is_file()}


def read_record(path: Path) -> dict[str, Any]:
    """Read the record beside a result. Raises HqmdError if the file is not a record."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or "outputs" not in record:
        raise HqmdError(f"{path}: is not a record of a result; move it away, or use --overwrite")
    return record


def is_up_to_date(
    job: Job, record: Mapping[str, Any], notes: Mapping[str, str], settings: Settings, photo_sha256: str
) -> bool:
    """True if the files exist as recorded, made from the same photo with the same settings and of the same kinds."""
    now = {
        "settings": json.loads(json.dumps(asdict(settings))),
        "outputs": notes,
        "photo_sha256": photo_sha256,
    }
    # Records of commit 6e49211 lack these.
    then = {**record, "settings": {"detail_sides": [], "camera": None, **record.get("settings", {})}}
    same = all(then.get(key) == value for key, value in now.items())
    return same and all(target.is_file() and is_recorded(target, record) for target, _ in job.targets)


def refuse_foreign(job: Job, record: Mapping[str, Any], sidecars: bool) -> None:
    """Raise HqmdError if a result would replace a file that is not, to the byte, the one on record."""
    for target, _ in job.targets:
        if target.exists() and not is_recorded(target, record):
            raise HqmdError(
                f"{printable(str(target))}: exists, and no record says that it was made from this photo; "
                "pass --overwrite, or choose another -o"
            )
    if sidecars and job.sidecar.exists():
        read_record(job.sidecar)


def is_recorded(target: Path, record: Mapping[str, Any]) -> bool:
    """True if a file is, to the byte, the one that the record describes."""
    return record.get("outputs_sha256", {}).get(target.name) == file_hash(target)
