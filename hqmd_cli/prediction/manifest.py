"""What is written down about a prediction: beside a result (NAME.json), and a line a photo for a folder.

A record says what the numbers are (unit, range, camera), what made them (model, its hash, size, version) and from what,
so that a result can be trusted later and a run knows which of them are still the answer to the same question.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hqmd_cli import __version__
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.hashes import file_hash
from hqmd_cli.files.jsonl import append_row, complete_lines
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.units import UNITS, Kind, near_and_far, range_keys

MANIFEST_FILE = "manifest.jsonl"


@dataclass(frozen=True)
class Settings:
    """Everything besides the photo that decides what a result holds."""

    model: str
    model_sha256: str
    precision: str  # of the network's arithmetic, see engines.Engine
    sides: tuple[int, ...]  # pixels; the shorter sides at which the network saw the photo
    flip: bool
    look: Mapping[str, Any]  # of colour pictures and meshes, see outputs.Look
    fov_deg: float | None  # of the camera, as the user gave it
    fx: float | None  # the same, pixels
    scale_from: str | None  # a measured distance, as the user gave it
    kind: Kind = "depth"  # what the model gives
    hqmd_version: str = __version__


def record_of(
    source: str,
    result: DepthResult,
    notes: Mapping[Path, str],
    remarks: Mapping[Path, str],
    settings: Settings,
    photo_sha256: str | None,
    outputs_sha256: Mapping[str, str],
) -> dict[str, Any]:
    """A record as plain data; `notes` say what the numbers of each file mean, `remarks` what is special about it."""
    height, width = result.depth_m.shape
    near_key, far_key = range_keys(result.kind)
    near, far = near_and_far(float(result.depth_m.min()), float(result.depth_m.max()), result.kind)
    return {
        "photo": source,
        "size": [height, width],
        "unit": UNITS[result.kind],
        near_key: near,
        far_key: far,
        "scale_factor": result.scale_factor,
        "intrinsics": asdict(result.intrinsics),
        "outputs": {target.name: note for target, note in notes.items()},
        "outputs_sha256": dict(outputs_sha256),
        "remarks": {target.name: remark for target, remark in remarks.items() if remark},
        "settings": asdict(settings),
        "photo_sha256": photo_sha256,
    }


class Manifest:
    """`manifest.jsonl` in a folder of results: a line a photo, the last one counts.

    Of several processes (processes.py) each writes a file of its own beside it, until `join` makes them one.
    """

    def __init__(self, folder: Path, rank: int | None = None) -> None:
        self.folder = folder
        self.path = folder / (MANIFEST_FILE if rank is None else f"manifest.{rank}.jsonl")

    @property
    def parts(self) -> list[Path]:
        """The manifest and what other processes, or a run that was stopped, left beside it."""
        whole = self.folder / MANIFEST_FILE
        return [*([whole] if whole.exists() else []), *sorted(self.folder.glob("manifest.*.jsonl"))]

    def read(self) -> dict[str, dict[str, Any]]:
        """Place below the folder -> record; empty where there is no manifest. Raises HqmdError when one is none.

        A last line without an end is what a process that was killed, or a full disk, left: it does not count.
        """
        rows = {}
        for path in self.parts:
            for number, line in enumerate(complete_lines(path), 1):
                try:
                    row = json.loads(line)
                    rows[row["place"]] = row
                except (ValueError, KeyError, TypeError) as error:
                    raise HqmdError(
                        f"{path}: line {number} is no record of a result; move the file away, or choose another -o"
                    ) from error
        return rows

    def append(self, row: Mapping[str, Any]) -> None:
        """Add a line; from any thread."""
        append_row(self.path, row)

    def join(self) -> None:
        """One file again, one line a photo, in the order of their places."""
        if parts := self.parts:
            rows = self.read()
            write_text(self.folder / MANIFEST_FILE, "".join(json.dumps(rows[place]) + "\n" for place in sorted(rows)))
            for part in parts:
                if part.name != MANIFEST_FILE:
                    part.unlink()


def read_record(path: Path) -> dict[str, Any]:
    """A record beside a result. Raises HqmdError when the file is none."""
    try:
        record = json.loads(path.read_text("utf-8"))
    except (OSError, ValueError):
        record = None
    if not isinstance(record, dict) or "outputs" not in record:
        raise HqmdError(f"{path}: is no record of a result; move it away, or use --overwrite")
    return record


def still_answers(
    record: Mapping[str, Any], notes: Mapping[Path, str], settings: Settings, photo_sha256: str | None
) -> bool:
    """Whether results that exist are those that would be written now: same photo, model, settings and kinds."""
    now = {
        "settings": json.loads(json.dumps(asdict(settings))),
        "outputs": {target.name: note for target, note in notes.items()},
        "photo_sha256": photo_sha256,
    }
    same = all(record.get(key) == value for key, value in now.items())
    return same and all(target.is_file() and is_recorded(target, record) for target in notes)


def is_recorded(target: Path, record: Mapping[str, Any]) -> bool:
    """Whether a file is, to the byte, what the record says was written there."""
    return record.get("outputs_sha256", {}).get(target.name) == file_hash(target)
