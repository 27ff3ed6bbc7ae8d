"""One photo from file to files: read, predict, scale, write, record. What predict does for each of its jobs."""

import json
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import require_depth
from hqmd_cli.errors import HqmdError, explain_model_errors, printable
from hqmd_cli.files.atomic import explain_read_errors, write_text
from hqmd_cli.files.hashes import file_hash
from hqmd_cli.files.photos import LARGEST_PIXELS, Photo, count_pixels, read_photo
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.parallel.thread_pool import Room
from hqmd_cli.prediction.manifest import Manifest, Settings, is_recorded, read_record, record_of, still_answers
from hqmd_cli.prediction.outputs import Job, Look
from hqmd_cli.prediction.result import DepthResult


@dataclass(frozen=True)
class Reading:
    """A distance that the user measured: from the camera to what is seen at pixel (x, y)."""

    x: int
    y: int
    metres: float

    @classmethod
    def parse(cls, text: str) -> "Reading":
        """ "320,240,1.85" -> Reading(320, 240, 1.85). Raises HqmdError for anything else."""
        try:
            x, y, metres = text.split(",")
            reading = cls(int(x), int(y), float(metres))
        except ValueError as error:
            raise HqmdError(f"--scale-from {text}: must be X,Y,METRES, such as 320,240,1.85") from error
        if not 0 < reading.metres < math.inf:
            raise HqmdError(f"--scale-from {text}: the distance must be positive")
        return reading

    def factor(self, depth_m: NDArray[np.float32], intrinsics: Intrinsics) -> float:
        """What depth is to be multiplied by. A tape runs straight to the point, depth along the optical axis."""
        height, width = depth_m.shape
        if not (0 <= self.x < width and 0 <= self.y < height):
            raise HqmdError(f"--scale-from: ({self.x}, {self.y}) lies outside the photo, which is {width} x {height}")
        aside = ((self.x - intrinsics.cx) / intrinsics.fx, (self.y - intrinsics.cy) / intrinsics.fy)
        return self.metres / (float(depth_m[self.y, self.x]) * math.hypot(1, *aside))


@dataclass(frozen=True)
class Done:
    """A finished job."""

    job: Job
    record: dict[str, Any]
    skipped: bool = False  # its results were there already


@dataclass(frozen=True)
class PhotoWork:
    """Called with a job, from any thread. Raises HqmdError naming the photo or file at fault."""

    model: OpenModel
    settings: Settings
    look: Look
    reading: Reading | None
    sidecars: bool
    manifest: Manifest | None
    known: Mapping[str, dict[str, Any]]  # place -> record of an earlier run
    overwrite: bool  # otherwise only what is on record as its own result is replaced
    room: Room = field(default_factory=lambda: Room(LARGEST_PIXELS))

    def __call__(self, job: Job) -> Done:
        with explain_read_errors(job.source.name):
            return self.do(job)

    def do(self, job: Job) -> Done:
        """As __call__, but the system's errors come as they are."""
        path, place = job.source.path, str(job.source.place)
        notes = {target: kind.note_of(self.model.kind) for target, kind in job.targets}
        content = None if path else sys.stdin.buffer.read()
        # Taken before the photo is read: of one that is exchanged meanwhile the record must not speak.
        digest = file_hash(path) if self.recorded and path and path.is_file() else None
        before = self.known.get(place, {})
        if digest and still_answers(before, notes, self.settings, digest):
            if self.sidecars and not sidecar_of(job).exists():
                self.write_sidecar(job, before)
            return Done(job, before, skipped=True)
        if not self.overwrite:
            refuse_foreign(job, before, self.sidecars)
        file: Any = path if content is None else BytesIO(content)
        with self.room.taken(count_pixels(file)):
            result = self.answer(read_photo(file, job.source.name), job.source.name)
            remarks = {target: kind.write(target, result, self.look) for target, kind in job.targets}
        hashes = {target.name: file_hash(target) for target in notes} if self.recorded else {}
        record = record_of(job.source.name, result, notes, remarks, self.settings, digest, hashes)
        if self.sidecars:
            self.write_sidecar(job, record)
        if self.manifest:
            self.manifest.append({"place": place, **record})
        return Done(job, record)

    @property
    def recorded(self) -> bool:
        """Whether anything is written down about the results."""
        return self.sidecars or self.manifest is not None

    def write_sidecar(self, job: Job, record: Mapping[str, Any]) -> None:
        """NAME.json, without what only a manifest needs."""
        content = {key: value for key, value in record.items() if key != "place"}
        write_text(sidecar_of(job), json.dumps(content, indent=2) + "\n")

    def answer(self, photo: Photo, name: str) -> DepthResult:
        """The depth of one photo, with its camera, scaled where the user measured a distance."""
        height, width = photo.rgb.shape[:2]
        said = {"fov_deg": self.settings.fov_deg, "fx": self.settings.fx}
        intrinsics = find_intrinsics(height, width, **said, focal_35mm=photo.focal_35mm)
        with explain_model_errors(name):
            depth_m = self.model(photo.rgb)
        require_depth(depth_m, name, self.model.kind)
        factor = self.reading.factor(depth_m, intrinsics) if self.reading else 1.0
        return DepthResult(photo.rgb, depth_m * np.float32(factor), intrinsics, factor, self.model.kind)


def sidecar_of(job: Job) -> Path:
    """NAME.json beside the first of a job's results."""
    target, kind = job.targets[0]
    return target.with_name(target.name.removesuffix(kind.suffix) + ".json")


def refuse_foreign(job: Job, before: Mapping[str, Any], sidecars: bool) -> None:
    """Raise HqmdError where a result would replace a file that is not on record as an earlier one, byte for byte."""
    for target, _ in job.targets:
        if target.exists() and not is_recorded(target, before):
            raise HqmdError(
                f"{printable(str(target))}: exists, and no record says that it was made from this photo; "
                "pass --overwrite, or choose another -o"
            )
    if sidecars and (sidecar := sidecar_of(job)).exists():
        read_record(sidecar)


def open_manifest(jobs: Sequence[Job], destinations: Sequence[Path], ranks: Ranks) -> Manifest | None:
    """That of the first folder among the destinations; None where all of them are files."""
    files = {target for target, _ in jobs[0].targets} if jobs else set()
    rank = ranks.rank if ranks.world > 1 else None
    return next((Manifest(folder, rank) for folder in destinations if folder not in files), None)


def known_results(jobs: Sequence[Job], manifest: Manifest | None) -> dict[str, dict[str, Any]]:
    """What is on record about results of an earlier run: in the manifest, or beside a single file."""
    if manifest:
        return manifest.read()
    known = {}
    for job in jobs:
        if (sidecar := sidecar_of(job)).is_file():
            known[str(job.source.place)] = read_record(sidecar)
    return known
