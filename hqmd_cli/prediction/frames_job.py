"""The depth of a video's frames, a file of each format for every frame, with the frame's time stamp in the manifest."""

import os
from dataclasses import dataclass, replace
from typing import Any

from hqmd_cli.depth import near_and_far
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import Photo
from hqmd_cli.files.regular import file_hash
from hqmd_cli.files.video_source import RGB, Video, open_video
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.manifest import Row
from hqmd_cli.prediction.photo_job import Done, PhotoWork, refuse_panorama
from hqmd_cli.prediction.plan import Job, frame_place, record_beside
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.prediction.smoothing import Smoothed
from hqmd_cli.prediction.sources import Source
from hqmd_cli.prediction.video_job import Progress, overlap
from hqmd_cli.units import RANGE_KEYS

TIME_DIGITS = 6  # of a time stamp in seconds: microseconds
INTENDED_AT_ONCE = (1000, 100_000)  # frames: at least, and at most
SPHERICAL = "equirectangular"


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame on its way."""

    rgb: RGB
    job: Job
    time_s: float
    result: DepthResult | None = None  # None: not predicted, since its files are up to date
    before: Row | None = None  # the record of files that are up to date


def predict_frames(work: PhotoWork, model: OpenModel, job: Job, progress: Progress) -> Done:
    """Write the files of every frame that are not up to date, and record them. Raises HqmdError naming the video."""
    path = job.source.path
    assert path is not None
    digest = file_hash(path) if work.intentions and os.path.isfile(path) else None
    steady = Smoothed(model.predict) if work.settings.smooth else None
    with open_video(path) as video:
        run = FramesRun(
            replace(work, model=replace(model, predict=steady or model.predict)), job, video, progress, digest
        )
        overlap(run.read, run.predict, run.write)
    folder = job.targets[0][0].parent
    if video.damaged:
        raise HqmdError(f"{job.source.name}: {video.damaged}; {run.written + run.kept} frames have results")
    if not run.written:
        return Done(job, {}, skipped=True)
    names = ", ".join(output.suffix for _, output in job.targets)
    kept = f", {run.kept} left as they are" if run.kept else ""
    smoothed = [steady.in_words] if steady else []
    remark = "; ".join([f"{run.written} frames{kept}", *video.remarks, *smoothed])
    ends = dict(zip(RANGE_KEYS[model.kind], run.ends, strict=True))
    record: dict[str, Any] = {**ends, "outputs": {folder.name: names}, "remarks": {folder.name: remark}}
    if run.origin:
        record["intrinsics"] = {"origin": run.origin}
    return Done(Job(job.source, [(folder, job.targets[0][1])], job.sidecar), record)


class FramesRun:
    """The three stages of predict_frames, each in a thread of its own, and what they count."""

    def __init__(self, work: PhotoWork, job: Job, video: Video, progress: Progress, digest: str | None) -> None:
        self.work, self.job, self.video, self.progress = work, job, video, progress
        self.digest = digest
        self.number = self.written = self.kept = self.intended = 0
        self.depths: list[float] = []  # the ends of each frame written
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
        self.intend(int(frame.job.source.place.stem))
        before, kept = self.work.earlier(frame.job, frame.job.notes(self.work.model.kind), self.digest)
        if kept:
            if self.work.settings.smooth:  # the frames after it need its depth
                self.work.model(frame.rgb)
            return replace(frame, before=before)
        name = f"{self.job.source.name}, frame {frame.job.source.place.stem.lstrip('0')}"
        photo = Photo(frame.rgb, None, projection=SPHERICAL if self.video.facts.spherical else "")
        refuse_panorama(frame.job, photo)
        return replace(frame, result=self.work.result_of(photo, name, is_frame=True))

    def intend(self, number: int) -> None:
        """Write down which files will come, many frames at a time, before the first of them is written."""
        if self.work.intentions and number > self.intended:
            fewest, most = INTENDED_AT_ONCE
            last = self.intended + min(max(fewest, self.video.frames or 0), most)  # headers may say anything
            numbers = range(self.intended + 1, last + 1)
            self.work.intentions.extend(target for n in numbers for target, _ in self.job_of(n).targets)
            self.intended = last

    def write(self, frame: Frame) -> None:
        """Write the files of a frame, and record them with its time stamp."""
        if frame.result is None:
            assert frame.before is not None
            self.work.keep(frame.job, frame.before)
            self.kept += 1
            return
        stamp = {"frame": int(frame.job.source.place.stem), "time_s": round(frame.time_s, TIME_DIGITS)}
        self.work.finish(frame.job, frame.result, frame.job.notes(self.work.model.kind), self.digest, **stamp)
        self.depths += [frame.result.near, frame.result.far]
        if any(output.needs_camera for _, output in frame.job.targets):
            self.origin = frame.result.intrinsics.origin
        self.written += 1

    @property
    def ends(self) -> tuple[float, float]:
        """The nearest and the farthest value of all frames that were written."""
        return near_and_far(min(self.depths), max(self.depths), self.work.model.kind)
