"""One photo from file to files: read, predict, scale, write, record."""

import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import is_flat, near_and_far, require_depth, require_plausible
from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import explain_read_errors, write_bytes
from hqmd_cli.files.limits import LARGEST_PIXELS
from hqmd_cli.files.photos import Photo, count_pixels, read_photo
from hqmd_cli.files.regular import file_hash, read_pipe, read_stream
from hqmd_cli.files.several_pictures import with_remedy
from hqmd_cli.geometry.camera import Intrinsics, find_intrinsics
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.parallel.thread_pool import PixelBudget
from hqmd_cli.prediction.formats import Output
from hqmd_cli.prediction.manifest import (
    Manifest,
    Row,
    Settings,
    changed_since,
    is_up_to_date,
    record_of,
    refuse_foreign,
    write_record,
)
from hqmd_cli.prediction.plan import Job
from hqmd_cli.prediction.result import FLAT_NOTE, PANORAMA_NOTE, DepthResult, Style
from hqmd_cli.prediction.sources import Source
from hqmd_cli.units import IN_WORDS

if TYPE_CHECKING:
    from hqmd_cli.geometry.reading import Reading
    from hqmd_cli.prediction.intention import Intentions

SCALE_FLAG = "--scale-from"
CONTENT = 16  # levels of 255 that a photo with something to see spans, beyond noise and JPEG


class Done(NamedTuple):
    """A finished job."""

    job: Job
    record: dict[str, Any]
    skipped: bool = False  # True if its results were up to date
    changed: str = ""  # what made results of an earlier run outdated; empty if there were none


@dataclass(frozen=True)
class PhotoWork:
    """Do jobs, from any thread. Raises HqmdError naming the photo or file at fault."""

    model: OpenModel
    settings: Settings
    style: Style
    reading: "Reading | None"
    sidecars: bool
    manifest: Manifest | None
    intentions: "Intentions | None"  # None: nothing is recorded
    known: Mapping[str, Row]  # place -> record of an earlier run
    overwrite: bool  # False: replace a file only if it is on record as an earlier result
    allow_private: bool = False  # True: photos on the web may lie at addresses that are not public
    budget: PixelBudget = field(default_factory=lambda: PixelBudget(LARGEST_PIXELS))

    def __call__(self, job: Job) -> Done:
        name, path = job.source.name, job.source.path
        try:
            with explain_read_errors(name), self.budget.taken(self.pixels_of(path)):
                return self.do(job)
        except HqmdError as error:
            self.record_failure(job, error)
            raise

    def do(self, job: Job) -> Done:
        """Do a job; let errors of the system through."""
        source, path = job.source, job.source.path
        notes = {target.name: output.note.format(unit=IN_WORDS[self.model.kind]) for target, output in job.targets}
        # Before the photo is read: if it is replaced meanwhile, the record must not vouch for the new one.
        digest = file_hash(path) if self.intentions and path and path.is_file() else None
        before, kept = self.earlier(job, notes, digest)
        if kept:
            return self.keep(job, before)
        content = path if path and not source.is_pipe else content_of(source, self.allow_private)
        photo = read_photo(content, source.name, self.settings.picture)
        refuse_panorama(job, photo)
        done = self.finish(job, self.result_of(photo, source.name), notes, digest)
        if digest and before.get("outputs") == notes:
            return done._replace(changed=changed_since(before, self.settings, digest))
        return done

    def earlier(self, job: Job, notes: Mapping[str, str], digest: str | None) -> tuple[Row, bool]:
        """Return the record of a job's earlier results, and True if they are up to date.

        Raises HqmdError if a result would replace a file that neither an earlier run nor another one, which goes on at
        the same time, has made or is making of this photo.
        """
        place = str(job.source.place)

        def is_current(row: Row) -> bool:
            return bool(digest and row) and is_up_to_date(job, row, notes, self.settings, str(digest))

        before = self.known.get(place, {})
        if is_current(before):
            return before, True
        if self.overwrite:
            return before, False
        try:
            refuse_foreign(job, before, self.sidecars, self.intentions)
        except HqmdError:
            if not (self.manifest and self.intentions):
                raise
            now = self.manifest.newest(place)
            if not is_current(now) and self.intentions.look_again(target for target, _ in job.targets):
                now = self.manifest.newest(place)  # of a run that has ended meanwhile
            if is_current(now):
                return now, True
            refuse_foreign(job, before, self.sidecars, self.intentions)  # raises, unless another run is making it now
        return before, False

    def finish(self, job: Job, result: DepthResult, notes: Mapping[str, str], digest: str | None, **more: Any) -> Done:
        """Write the files of a job and record them; `more` goes into the record, too.

        If one cannot be written, the others are, and are recorded; then its HqmdError is raised.
        """
        result = result._replace(photo=job.source.place.as_posix(), model=self.model.name)
        if self.intentions:
            self.intentions.begun.update(target for target, _ in job.targets)
        remarks, faults = {}, []
        for target, output in job.targets:
            try:
                remarks[target.name] = write_output(output, target, result, self.style)
            except HqmdError as error:
                faults.append(error)
        if not remarks:
            raise faults[0]
        targets = [target for target, _ in job.targets if target.name in remarks]
        notes = {target.name: notes[target.name] for target in targets}
        if result.is_flat:
            remarks = {name: "; ".join(filter(None, (remark, FLAT_NOTE))) for name, remark in remarks.items()}
        hashes = {target.name: file_hash(target) for target in targets} if self.intentions else {}
        record = {**record_of(job, result, notes, remarks, self.settings, digest, hashes), **more}
        write_record(job, record, self.manifest, self.sidecars)
        if self.intentions:
            self.intentions.recorded.update(targets)
        if faults:
            raise faults[0]
        return Done(job, record)

    def keep(self, job: Job, before: Row) -> Done:
        """Leave results that are up to date as they are; add what is missing beside them."""
        manifest = self.manifest if "failed" in before else None
        write_record(job, before, manifest, beside=self.sidecars and not job.sidecar.exists())
        if self.intentions:
            self.intentions.recorded.update(target for target, _ in job.targets)
        return Done(job, before, skipped=True)

    def record_failure(self, job: Job, error: HqmdError) -> None:
        """Add a row with the reason to the manifest, if that can be written."""
        if self.manifest:
            with suppress(HqmdError):
                self.manifest.append({"place": str(job.source.place), "photo": job.source.name, "failed": str(error)})

    def pixels_of(self, path: Path | None) -> int:
        """Count the pixels of a photo that is a file, by its header."""
        return count_pixels(path, self.settings.picture) if path else 0

    def result_of(self, photo: Photo, name: str, is_frame: bool = False) -> DepthResult:
        """Predict the depth of a photo and find its camera; scale the depth if the user measured a distance.

        Raises HqmdError, which begins with `name`, for what is no depth; also for one depth everywhere, unless the
        photo is a frame of a video, in which there may be nothing to see.
        """
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
        camera_factor = intrinsics.metres_factor(height, width) if self.model.follows_camera else 1.0
        camera_error = intrinsics.metres_error
        surely = None if is_frame else self.model.surely  # the errors of photos are not those of a video's frames
        said: tuple[str, ...] = ()
        try:
            if self.model.sees:
                depth_m, intrinsics, said, sure = self.model.see(photo.rgb, intrinsics)
            else:  # without see(), since most photos come this way
                depth_m, sure = surely(photo.rgb) if surely else (self.model.predict(photo.rgb), None)
        except HqmdError as error:
            raise HqmdError(f"{name}: {error}") from error
        if sure and not self.reading:
            sure = sure.with_camera(camera_error)
        require_depth(depth_m, name, self.model.kind)
        flat = is_flat(depth_m)
        if flat and not is_frame and has_content(photo.rgb):
            raise HqmdError(
                f"{name}: the model gives {depth_m.flat[0]:.6g} at every pixel of a photo that shows something; "
                "its weights may be damaged: download or export it again"
            )
        with np.errstate(over="ignore", under="ignore"):  # refused below
            depth_m = depth_m * np.float32(camera_factor)
            reading = self.reading
            factor = reading.metres / reading.predicted(depth_m, intrinsics, SCALE_FLAG) if reading else 1.0
            depth_m = depth_m * np.float32(factor)
        if sure and self.reading:
            sure = sure.measured_at(self.reading.x, self.reading.y, depth_m.shape)
        scaled = "" if (camera_factor, factor) == (1, 1) else f", scaled by {camera_factor * factor:g}"
        require_depth(depth_m, name + scaled, self.model.kind)
        if self.model.kind == "depth":
            require_plausible(depth_m, name + scaled)
        near, far = near_and_far(float(depth_m.min()), float(depth_m.max()), self.model.kind)
        panorama = [PANORAMA_NOTE.format(projection=photo.projection)] if photo.projection else []
        remarks = (*(with_remedy(remark, "--picture N") for remark in photo.remarks), *panorama, *said)
        return DepthResult(
            photo.rgb, depth_m, intrinsics, near, far, factor, self.model.kind, camera_factor, remarks, flat, sure
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


def write_output(output: Output, path: Path, result: DepthResult, style: Style) -> str:
    """Write one kind of file, and return the remark about it."""
    content, remark = output.encode(path, result, style)
    write_bytes(path, content)
    return remark


def refuse_panorama(job: Job, photo: Photo) -> None:
    """Raise HqmdError if a file needs a straight lens, and the photo says that it is a panorama."""
    if photo.projection and (needing := [target for target, output in job.targets if output.needs_camera]):
        raise HqmdError(
            f"{job.source.name}: a panorama ({photo.projection}, by its metadata), so pixels say nothing about "
            f"where points lie, and {printable(needing[0].name)} cannot be written; cut a flat view out of it"
        )


def content_of(source: Source, allow_private: bool) -> BytesIO:
    """Return the bytes of a photo from the web, stdin, or a pipe that the user named."""
    if source.url:
        from hqmd_cli.files.web_photos import fetch_photo  # takes a tenth of a second to import

        return BytesIO(fetch_photo(source.url, allow_private))
    if source.path is None:
        if sys.stdin is None or sys.stdin.closed:
            raise HqmdError("stdin: is closed; send the photo to it, or name a file")
        return BytesIO(read_stream(sys.stdin.buffer, source.name))
    return BytesIO(read_pipe(source.path, source.name))


def has_content(rgb: NDArray[np.uint8]) -> bool:
    """True if a photo (H, W, 3) shows more than one plain colour."""
    pixels = rgb.reshape(-1, 3)
    return int((pixels.max(axis=0) - pixels.min(axis=0)).max()) > CONTENT
