"""Turn one photo into its results. Every engine calls `answer`, on any machine.

Its answer depends on the photo, the model and the settings alone, and its bytes are those of `hqmd predict`.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.atomic import explain_read_errors
from hqmd_cli.files.photos import count_pixels, read_photo
from hqmd_cli.inference.open import OpenOptions, open_model
from hqmd_cli.prediction.formats import OUTPUTS, Output
from hqmd_cli.prediction.manifest import finite_json, record_of
from hqmd_cli.prediction.photo_job import PhotoWork, refuse_panorama
from hqmd_cli.prediction.photo_run import settings_of
from hqmd_cli.prediction.plan import Job, refuse_metres, refuse_unsure
from hqmd_cli.prediction.result import FLAT_NOTE, DepthResult, Style
from hqmd_cli.prediction.sources import Source
from hqmd_cli.registry import pick
from hqmd_cli.scale.samples import Sample

Row = dict[str, Any]


class Answer(NamedTuple):
    """What became of one photo."""

    row: Row  # of the manifest
    members: tuple[tuple[str, bytes], ...] = ()  # name below the output, or in the tar -> content; none if it failed


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what is written for a photo; can be sent to other processes."""

    model: str
    options: OpenOptions
    formats: tuple[str, ...]
    style: Style
    fov: float | None = None
    fx: float | None = None
    camera: Mapping[str, Any] | None = None  # as camera_file.read_camera gives it
    picture: int | None = None
    sidecars: bool = False  # True: NAME.json beside loose results; tars have it anyway
    allow_private: bool = False

    def open(self, threads: int) -> "Work":
        """Open the model with so many threads per photo. Raises HqmdError if it cannot give what is asked for."""
        outputs = tuple(pick(OUTPUTS, name, "output format") for name in self.formats)
        opened = open_model(self.model, replace(self.options, threads=threads))
        asked = [job_of("NAME", opened.kind, outputs)]
        refuse_metres(opened.kind, opened.name, asked, self.style, None)
        refuse_unsure(opened, asked, self.style)
        given = self.fov, self.fx, None
        settings = settings_of(opened, True, self.style, given, self.camera, self.picture, False)
        photos = PhotoWork(opened, settings, self.style, None, self.sidecars, None, None, {}, True, self.allow_private)
        return Work(photos, outputs)


@dataclass(frozen=True)
class Work:
    """An opened model, and what to write of its depth; for any number of threads of one process."""

    photos: PhotoWork
    outputs: tuple[Output, ...]

    @property
    def settings_sha256(self) -> str:
        """A hash of all that decides a result besides its photo."""
        said = [asdict(self.photos.settings), [output.suffix for output in self.outputs], self.photos.sidecars]
        return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def job_of(key: str, infix: str, outputs: tuple[Output, ...]) -> Job:
    """Name the files of one photo: KEY.depth.mm.png and so on in a tar; KEY.mm.png without an infix."""
    stem = f"{key}.{infix}" if infix else key
    return Job(
        Source(Path(key), Path(key)), [(Path(stem + output.suffix), output) for output in outputs], Path(f"{key}.json")
    )


def answer(sample: Sample, work: Work) -> Answer:
    """Do one photo. What is wrong with it is said in the row; only a bug raises anything."""
    try:
        with explain_read_errors(sample.name):
            content = sample.fetched(work.photos.allow_private)
            with work.photos.budget.taken(count_pixels(BytesIO(content), work.photos.settings.picture)):
                return encoded(sample, content, work)
    except HqmdError as error:
        return failed(sample, str(error))


def failed(sample: Sample, why: str) -> Answer:
    """Return the row of a photo without a result."""
    return Answer({"key": printable(sample.key), "photo": sample.name, "error": why})


def encoded(sample: Sample, content: bytes, work: Work) -> Answer:
    """Predict the depth of a photo and encode it. Raises HqmdError naming the photo."""
    photos, in_tar = work.photos, sample.entry is None
    job = job_of(sample.key, photos.model.kind if in_tar else "", work.outputs)
    job = replace(job, source=Source(Path(sample.name), Path(sample.name)))
    photo = read_photo(BytesIO(content), sample.name, photos.settings.picture)
    refuse_panorama(job, photo)
    result = photos.result_of(photo, sample.name)._replace(photo=sample.name, model=photos.model.name)
    files, remarks = {}, {}
    for target, output in job.targets:
        files[target.as_posix()], remark = output.encode(target, result, photos.style)
        remarks[target.name] = "; ".join(filter(None, (remark, FLAT_NOTE if result.is_flat else "")))
    hashes = {Path(name).name: hashlib.sha256(made).hexdigest() for name, made in files.items()}
    notes = {target.name: output.note_of(result.kind) for target, output in job.targets}
    digest = hashlib.sha256(content).hexdigest()
    record = record_of(job, result, notes, remarks, photos.settings, digest, hashes)
    if in_tar or photos.sidecars:
        files[job.sidecar.as_posix()] = (finite_json(record, job.sidecar, indent=2) + "\n").encode()
    members = tuple((name, bytes(made)) for name, made in files.items())
    return Answer(row_of(sample, record, result, members), members)


def row_of(sample: Sample, record: Row, result: DepthResult, members: tuple[tuple[str, bytes], ...]) -> Row:
    """Describe a result in a row of the manifest."""
    return {
        "key": printable(sample.key),
        "photo": sample.name,
        "error": "",
        "state": sample.entry.version if sample.entry else "",
        "photo_sha256": record["photo_sha256"],
        "unit": record["unit"],
        "near": result.near,
        "far": result.far,
        "outputs": [printable(name) for name, _ in members],
        "sizes": [len(content) for _, content in members],
        "record": finite_json(record, Path(sample.name)),
    }
