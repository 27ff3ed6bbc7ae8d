"""All photos of one command: plan their files, refuse what cannot be written, open the model, and run the jobs."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.outputs import refuse_over_input
from hqmd_cli.files.photos import require_picture
from hqmd_cli.geometry.camera import require_camera
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.parallel.processes import Ranks, usable_cores
from hqmd_cli.parallel.thread_pool import run_jobs
from hqmd_cli.prediction.earlier_results import EarlierResults
from hqmd_cli.prediction.formats import OUTPUTS
from hqmd_cli.prediction.manifest import Manifest, Settings, known_results, open_manifest
from hqmd_cli.prediction.photo_job import SCALE_FLAG, Done, PhotoWork
from hqmd_cli.prediction.plan import Job, plan, refuse_existing, refuse_metres, refuse_unsure
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import LeftOut, find_sources

if TYPE_CHECKING:
    from hqmd_cli.geometry.reading import Reading
    from hqmd_cli.prediction.intention import Intentions


@dataclass(frozen=True)
class PhotoRun:
    """The jobs of this process, ready to run."""

    work: PhotoWork
    jobs: list[Job]  # photos
    clips: list[Job]  # videos, which come after the photos
    open_for_clips: Callable[[], OpenModel]
    workers: int
    ranks: Ranks
    faults: list[HqmdError]  # sources without a photo
    left_out: LeftOut

    @property
    def given(self) -> int:
        """How many photos and videos this process has to account for, with sources that gave none."""
        return len(self.jobs) + len(self.clips) + len(self.faults)

    def outcomes(self) -> Iterator[Done | HqmdError]:
        """Run the jobs and yield what each gave, in their order. Ctrl-C lets the running jobs finish, then goes on."""
        return (outcome for _, outcome in run_jobs(self.jobs, self.work, self.workers))

    def close(self, interrupted: bool) -> Path | None:
        """Put the manifest in order, and remove this run's intention. Raises HqmdError if that cannot be written.

        Returns the index of the pages, if this run wrote pages into a folder.
        """
        manifest, intentions = self.work.manifest, self.work.intentions
        if manifest and not interrupted:
            self.ranks.wait_for_all()
        if manifest and self.ranks.is_first:
            manifest.join()
        if intentions:
            recorded = dict(manifest.hashes()) if manifest and intentions.dead else {}
            intentions.close(recorded)
        if manifest and self.ranks.is_first and any_page(self.jobs + self.clips):
            from hqmd_cli.prediction.look_index import write_index

            return write_index(manifest)
        return None


def prepare(
    sources: Sequence[str],
    destinations: Sequence[Path],
    formats: str | None,
    open_with: Callable[[int], OpenModel],
    style: Style,
    *,
    fov: float | None,
    fx: float | None,
    camera: Path | None,
    scale_from: str | None,
    as_json: bool,
    skip_existing: bool,
    overwrite: bool,
    allow_private: bool = False,
    picture: int | None = None,
    smooth: bool = False,
) -> PhotoRun:
    """Do everything that comes before the first photo. `open_with` opens the model with so many threads per photo.

    Raises HqmdError if a source, file or option is refused.
    """
    faults: list[HqmdError] = []
    left_out = LeftOut()
    reading = None if scale_from is None else measured(scale_from)
    require_camera(fov, fx, camera)
    lens = camera_in(camera) if camera else None
    found = find_sources(sources, destinations, faults.append, EarlierResults(destinations), left_out, True)
    all_jobs = plan(found, destinations, formats)
    refuse_unfit(all_jobs, scale_from, picture, smooth)
    if not (skip_existing or overwrite):
        refuse_existing(all_jobs, as_json)
    refuse_over_input([job.sidecar for job in all_jobs], [camera, *named_like_records(all_jobs)])
    ranks = Ranks.from_environment()
    manifest = open_manifest(all_jobs, destinations)
    if manifest and any_page(all_jobs) and not overwrite:
        refuse_foreign_index(manifest.folder)
    if manifest and ranks.is_first:
        manifest.join()  # rows that an interrupted run left must not outlive the rows of this run
    ranks.connect()
    jobs = ranks.share(all_jobs)
    photos, clips = [job for job in jobs if not job.source.is_video], [job for job in jobs if job.source.is_video]
    workers = min(len(photos), usable_cores()) if photos[1:] else 1
    for _, output in photos[0].targets if photos else ():
        _ = output.encode  # imports the writer, while the model opens
    opened = open_with(1 if workers > 1 else 0)
    refuse_metres(opened.kind, opened.name, all_jobs, style, scale_from, smooth)
    refuse_unsure(opened, all_jobs, style)
    sidecars = as_json or (skip_existing and manifest is None)
    recorded = sidecars or manifest is not None
    settings = settings_of(opened, recorded, style, (fov, fx, scale_from), lens, picture, smooth)
    intentions = begin(jobs, manifest, settings) if recorded and jobs else None
    known = known_results(jobs, manifest) if skip_existing else {}
    work = PhotoWork(opened, settings, style, reading, sidecars, manifest, intentions, known, overwrite, allow_private)
    for_clips = opened if workers == 1 else None
    mine = faults if ranks.is_first else []
    return PhotoRun(work, photos, clips, lambda: for_clips or open_with(0), workers, ranks, mine, left_out)


def refuse_unfit(jobs: Sequence[Job], scale_from: str | None, picture: int | None, smooth: bool) -> None:
    """Raise HqmdError for an option that is not true of all sources, and a picture that a named file does not hold."""
    if smooth and (photo := next((job.source for job in jobs if not job.source.is_video), None)):
        raise HqmdError(f"--smooth: for videos only, and {photo.name} is a photo; run it separately")
    if scale_from and len(jobs) > 1:
        raise HqmdError("--scale-from: one distance cannot be true of several photos; give one photo")
    for source in (job.source for job in jobs if picture is not None):
        if source.is_video:
            raise HqmdError(f"--picture: for photos only, and {source.name} is a video; run it separately")
        if source.is_named and source.path and source.path.is_file():
            require_picture(source.path, picture or 1)


def named_like_records(jobs: Sequence[Job]) -> list[Path]:
    """List the photos that have the suffix of a record beside a result."""
    paths = (job.source.path for job in jobs)
    return [path for path in paths if path and path.suffix.lower() == ".json"]


def settings_of(
    opened: OpenModel,
    recorded: bool,
    style: Style,
    given: tuple[float | None, float | None, str | None],
    lens: Mapping[str, Any] | None,
    picture: int | None,
    smooth: bool,
) -> Settings:
    """Gather everything besides the photo that decides what a result holds; `given` are fov, fx and scale_from."""
    return Settings(
        opened.name,
        opened.digest() if recorded else "",  # hashing takes as long as a small network
        opened.precision,
        opened.sides,
        opened.flips,
        asdict(style),
        *given,
        opened.kind,
        opened.detail_sides,
        lens,
        picture,
        smooth,
    )


def any_page(jobs: Sequence[Job]) -> bool:
    """True if a job writes a page into a folder."""
    return any(output is OUTPUTS["look"] for job in jobs for _, output in job.targets)


def refuse_foreign_index(folder: Path) -> None:
    """Refuse to replace an index.html; see look_index.py, which most runs do not need."""
    from hqmd_cli.prediction.look_index import refuse_foreign

    refuse_foreign(folder)


def measured(scale_from: str) -> "Reading":
    """Read a measured distance; see reading.py, which most runs do not need."""
    from hqmd_cli.geometry.reading import Reading

    return Reading.parse(scale_from, SCALE_FLAG)


def camera_in(path: Path) -> dict[str, Any]:
    """Read the camera in a file; see camera_file.py, which most runs do not need."""
    from hqmd_cli.prediction.camera_file import read_camera

    return read_camera(path)


def begin(jobs: Sequence[Job], manifest: Manifest | None, settings: Settings) -> "Intentions":
    """Write down what this run will write, before its first result."""
    from hqmd_cli.prediction.intention import Intentions

    intentions = Intentions(manifest.folder if manifest else jobs[0].sidecar.parent)
    intentions.begin([target for job in jobs for target, _ in job.targets], asdict(settings))
    return intentions
