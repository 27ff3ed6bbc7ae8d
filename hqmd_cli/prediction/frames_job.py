"""The depth of a video's frames, a file of each format for every frame, with the frame's time stamp in the manifest."""

import os
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import near_and_far, require_depth
from hqmd_cli.errors import HqmdError, explain_model_errors
from hqmd_cli.files.hashes import file_hash
from hqmd_cli.files.video_source import RGB, Video, open_video
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.manifest import is_up_to_date, refuse_foreign
from hqmd_cli.prediction.photo_job import Done, PhotoWork
from hqmd_cli.prediction.plan import Job, frame_place, record_beside
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.prediction.sources import Source
from hqmd_cli.prediction.video_job import Progress, overlap
from hqmd_cli.units import RANGE_KEYS

TIME_DIGITS = 6  # of a time stamp in seconds: microseconds
SPHERICAL = "equirectangular"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame on its way."""

    rgb: RGB
    job: Job
    time_s: float
    depth_m: NDArray[np.float32] | None = None  # None: its results are up to date


def predict_frames(work: PhotoWork, model: OpenModel, job: Job, progress: Progress) -> Done:
    """Write the files of every frame that are not up to date, and record them. Raises HqmdError naming the video."""
    path = job.source.path
    assert path is not None
    digest = file_hash(path) if work.intentions and os.path.isfile(path) else None
    with open_video(path) as video:
        run = FramesRun(work, model, job, video, progress, digest)
        overlap(run.read, run.predict, run.write)
    folder = job.targets[0][0].parent
    if video.damaged:
        raise HqmdError(f"{job.source.name}: {video.damaged}; {run.written + run.kept} frames have results")
    if not run.written:
        return Done(job, {}, skipped=True)
    names = ", ".join(output.suffix for _, output in job.targets)
    kept = f", {run.kept} left as they are" if run.kept else ""
    remark = "; ".join([f"{run.written} frames{kept}", *video.remarks])
    ends = dict(zip(RANGE_KEYS[model.kind], (run.near, run.far), strict=True))
    record: dict[str, Any] = {**ends, "outputs": {folder.name: names}, "remarks": {folder.name: remark}}
    if run.origin:
        record["intrinsics"] = {"origin": run.origin}
    return Done(Job(job.source, [(folder, job.targets[0][1])], job.sidecar), record)


class FramesRun:
    """The three stages of predict_frames, each in a thread of its own, and what they count."""

    def __init__(
        self, work: PhotoWork, model: OpenModel, job: Job, video: Video, progress: Progress, digest: str | None
    ) -> None:
        self.work, self.model, self.job, self.video, self.progress = work, model, job, video, progress
        self.digest = digest
        self.number = self.written = self.kept = 0
        self.near = self.far = 0.0
        self.origin = ""  # of the camera

    def read(self) -> Frame | None:
        """Read the next frame."""
        if (rgb := self.video.read()) is None:
            return None
        self.number += 1
        return Frame(rgb, self.job_of(self.number), self.video.at_s)

    def job_of(self, number: int) -> Job:
        """Return the job of one frame: the files of the first one, with its own number."""
        source = self.job.source
        place = frame_place(source.place, number)
        targets = [(path.with_name(f"{number:06}{output.suffix}"), output) for path, output in self.job.targets]
        return Job(Source(source.path, place, is_video=True), targets, record_beside(targets[0][0]))

    def predict(self, frame: Frame) -> Frame:
        """Predict the depth of a frame, unless its results are up to date."""
        self.progress(self.number, self.video.frames)
        before = self.work.known.get(str(frame.job.source.place), {})
        notes = notes_of(frame.job, self.model)
        if self.digest and before and is_up_to_date(frame.job, before, notes, self.work.settings, self.digest):
            return frame
        if not self.work.overwrite:
            refuse_foreign(frame.job, before, self.work.sidecars, self.work.intentions)
        name = f"{self.job.source.name}, frame {frame.job.source.place.stem.lstrip('0')}"
        with explain_model_errors(name):
            depth_m = self.model.predict(frame.rgb)
        require_depth(depth_m, name, self.model.kind)
        return Frame(frame.rgb, frame.job, frame.time_s, depth_m)

    def write(self, frame: Frame) -> None:
        """Write the files of a frame, and record them with its time stamp."""
        if frame.depth_m is None:
            self.work.keep(frame.job, self.work.known[str(frame.job.source.place)])
            self.kept += 1
            return
        settings, kind = self.work.settings, self.model.kind
        camera = find_intrinsics(*frame.rgb.shape[:2], fov_deg=settings.fov_deg, fx=settings.fx)
        near, far = near_and_far(float(frame.depth_m.min()), float(frame.depth_m.max()), kind)
        projection = SPHERICAL if self.video.facts.spherical else ""
        result = DepthResult(frame.rgb, frame.depth_m, camera, near, far, 1.0, kind, (), projection)
        stamp = {"frame": int(frame.job.source.place.stem), "time_s": round(frame.time_s, TIME_DIGITS)}
        self.work.finish(frame.job, result, notes_of(frame.job, self.model), self.digest, **stamp)
        pick = max if kind == "disparity" else min
        self.near = pick(self.near, near) if self.written else near
        self.far = (min if kind == "disparity" else max)(self.far, far) if self.written else far
        if any(output.needs_camera for _, output in frame.job.targets):
            self.origin = camera.origin
        self.written += 1


def notes_of(job: Job, model: OpenModel) -> dict[str, str]:
    """Return what the numbers of each file mean."""
    return {target.name: output.note_of(model.kind) for target, output in job.targets}
