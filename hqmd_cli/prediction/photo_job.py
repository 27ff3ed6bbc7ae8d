"""One photo from file to files: read, predict, scale, write, record."""

import json
import math
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import near_and_far, require_depth
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import explain_read_errors, write_text
from hqmd_cli.files.hashes import file_hash
from hqmd_cli.files.jsonl import append_row
from hqmd_cli.files.limits import LARGEST_PIXELS
from hqmd_cli.files.photos import count_pixels, read_photo
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.parallel.thread_pool import PixelBudget
from hqmd_cli.prediction.manifest import Manifest, Settings, is_up_to_date, record_of, refuse_foreign
from hqmd_cli.prediction.plan import Job
from hqmd_cli.prediction.result import DepthResult, Style
from hqmd_cli.units import IN_WORDS


@dataclass(frozen=True)
class Reading:
    """A distance that the user measured, from the camera to what is seen at pixel (x, y)."""

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
        """Return the factor for depth, which is along the optical axis; the distance is along the ray to the pixel."""
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
    skipped: bool = False  # True if its results were up to date


@dataclass(frozen=True)
class PhotoWork:
    """Do jobs, from any thread. Raises HqmdError naming the photo or file at fault."""

    model: OpenModel
    settings: Settings
    style: Style
    reading: Reading | None
    sidecars: bool
    manifest: Manifest | None
    known: Mapping[str, dict[str, Any]]  # place -> record of an earlier run
    overwrite: bool  # False: replace a file only if it is on record as an earlier result
    budget: PixelBudget = field(default_factory=lambda: PixelBudget(LARGEST_PIXELS))

    def __call__(self, job: Job) -> Done:
        name, path = job.source.name, job.source.path
        with explain_read_errors(name), self.budget.taken(count_pixels(path) if path else 0):
            return self.do(job)

    def do(self, job: Job) -> Done:
        """Do a job; let errors of the system through."""
        path, place = job.source.path, str(job.source.place)
        notes = {target.name: output.note.format(unit=IN_WORDS[self.model.kind]) for target, output in job.targets}
        recorded = self.sidecars or self.manifest is not None
        # Before the photo is read: if it is replaced meanwhile, the record must not vouch for the new one.
        digest = file_hash(path) if recorded and path and path.is_file() else None
        before = self.known.get(place, {})
        if digest and before and is_up_to_date(job, before, notes, self.settings, digest):
            if self.sidecars and not job.sidecar.exists():
                without_place = {key: value for key, value in before.items() if key != "place"}
                write_text(job.sidecar, json.dumps(without_place, indent=2) + "\n")
            return Done(job, before, skipped=True)
        if not self.overwrite:
            refuse_foreign(job, before, self.sidecars)
        result = self.predict(path or BytesIO(sys.stdin.buffer.read()), job.source.name)
        refuse_panorama(job, result)
        remarks = {target.name: output.write(target, result, self.style) for target, output in job.targets}
        hashes = {target.name: file_hash(target) for target, _ in job.targets} if recorded else {}
        record = record_of(job, result, notes, remarks, self.settings, digest, hashes)
        if self.manifest:
            append_row(self.manifest.path, {"place": place, **record})
        if self.sidecars:
            write_text(job.sidecar, json.dumps(record, indent=2) + "\n")
        return Done(job, record)

    def predict(self, file: Path | BytesIO, name: str) -> DepthResult:
        """Predict the depth of a photo and find its camera; scale the depth if the user measured a distance."""
        photo = read_photo(file, name)
        height, width = photo.rgb.shape[:2]
        intrinsics = find_intrinsics(
            height,
            width,
            fov_deg=self.settings.fov_deg,
            fx=self.settings.fx,
            camera=self.camera_for(height, width, name),
            focal_35mm=photo.focal_35mm,
            exif_fault=photo.focal_fault,
        )
        try:
            depth_m = self.model.predict(photo.rgb)
        except HqmdError as error:
            raise HqmdError(f"{name}: {error}") from error
        require_depth(depth_m, name, self.model.kind)
        camera_factor = intrinsics.metres_factor(height, width) if self.model.follows_camera else 1.0
        depth_m = depth_m * np.float32(camera_factor)
        factor = self.reading.factor(depth_m, intrinsics) if self.reading else 1.0
        depth_m = depth_m * np.float32(factor)
        near, far = near_and_far(float(depth_m.min()), float(depth_m.max()), self.model.kind)
        return DepthResult(
            photo.rgb,
            depth_m,
            intrinsics,
            near,
            far,
            factor,
            self.model.kind,
            camera_factor,
            photo.remarks,
            photo.projection,
        )

    def camera_for(self, height: int, width: int, name: str) -> Intrinsics | None:
        """Return the camera that the user gave in a file. Raises HqmdError if it is of photos of another size."""
        if self.settings.camera is None:
            return None
        values = dict(self.settings.camera)
        size = values.pop("size")
        if size and size != [height, width]:
            raise HqmdError(f"{name}: {width} x {height} pixels, and --camera is for {size[1]} x {size[0]}")
        return Intrinsics(**values)


def refuse_panorama(job: Job, result: DepthResult) -> None:
    """Raise HqmdError if a file needs a straight lens, and the photo says that it is a panorama."""
    if result.projection and (needing := [target for target, output in job.targets if output.needs_camera]):
        raise HqmdError(
            f"{job.source.name}: a panorama ({result.projection}, by its metadata), in which no straight lens tells "
            f"where points lie; so there is no {printable(needing[0].name)}: cut a view out of it, or write depth alone"
        )
