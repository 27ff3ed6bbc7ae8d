"""One video of a folder from file to file: the colours of its depth, with a record like a photo's."""

import os
from dataclasses import asdict

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.regular import file_hash
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.formats import VIDEO_OUTPUT
from hqmd_cli.prediction.frames_job import predict_frames
from hqmd_cli.prediction.manifest import Row, write_record
from hqmd_cli.prediction.photo_job import Done, PhotoWork
from hqmd_cli.prediction.plan import Job
from hqmd_cli.prediction.video_job import Progress, VideoReport, predict_in_style
from hqmd_cli.units import RANGE_KEYS, UNITS


def do_clip(work: PhotoWork, model: OpenModel, job: Job, progress: Progress) -> Done | HqmdError:
    """Do one video; return the error of one that cannot be done, which also goes into the manifest."""
    try:
        if work.reading:
            raise HqmdError(
                f"{job.source.name}: --scale-from is for one photo; a distance does not hold for all frames"
            )
        if work.style.max_uncertainty is not None or any(output.needs_uncertainty for _, output in job.targets):
            raise HqmdError(f"{job.source.name}: uncertainty is known for photos only; leave it out for videos")
        do = predict_clip if job.targets[0][1] is VIDEO_OUTPUT else predict_frames
        return do(work, model, job, progress)
    except HqmdError as error:
        work.record_failure(job, error)
        return error


def predict_clip(work: PhotoWork, model: OpenModel, job: Job, progress: Progress) -> Done:
    """Write the video of each target, unless it is up to date, and record it. Raises HqmdError naming the video."""
    path = job.source.path
    assert path is not None
    targets = [target for target, _ in job.targets]
    notes = job.notes(model.kind)
    digest = file_hash(path) if work.intentions and os.path.isfile(path) else None
    before, kept = work.earlier(job, notes, digest)
    if kept:
        return work.keep(job, before)
    if work.intentions:
        work.intentions.begun.update(targets)
    for target in targets:
        report = predict_in_style(path, target, model, work.style, progress, work.settings.smooth)
    hashes = {target.name: file_hash(target) for target in targets} if work.intentions else {}
    record = record_of_clip(work, model, job, report, notes, digest, hashes)
    write_record(job, record, work.manifest, work.sidecars)
    if work.intentions:
        work.intentions.recorded.update(targets)
    if report.damaged:
        raise HqmdError(f"{job.source.name}: {report.damaged}; its depth is written as far as that")
    return Done(job, record)


def record_of_clip(
    work: PhotoWork,
    model: OpenModel,
    job: Job,
    report: VideoReport,
    notes: dict[str, str],
    digest: str | None,
    hashes: dict[str, str],
) -> Row:
    """Describe the depth of a video as plain data."""
    near_key, far_key = RANGE_KEYS[model.kind]
    remark = "; ".join([f"{report.frames} frames, {report.fps:g} a second", *report.notes])
    return {
        "photo": job.source.name,
        "unit": UNITS[model.kind],
        near_key: report.near_m,
        far_key: report.far_m,
        "range": report.range_origin,
        "frames": report.frames,
        "fps": report.fps,
        "damaged": report.damaged,
        "outputs": notes,
        "outputs_sha256": hashes,
        "remarks": dict.fromkeys(notes, remark),
        "settings": asdict(work.settings),
        "photo_sha256": digest,
    }
