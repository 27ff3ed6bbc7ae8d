"""All photos of one command: plan their files, refuse what cannot be written, open the model, and run the jobs."""

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.parallel.thread_pool import run_jobs
from hqmd_cli.prediction.camera_file import read_camera
from hqmd_cli.prediction.manifest import Settings, known_results, open_manifest
from hqmd_cli.prediction.photo_job import Done, PhotoWork, Reading
from hqmd_cli.prediction.plan import Job, plan, refuse_existing, refuse_metres
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import find_sources


@dataclass(frozen=True)
class PhotoRun:
    """The jobs of this process, ready to run."""

    work: PhotoWork
    jobs: list[Job]
    workers: int
    ranks: Ranks
    faults: list[HqmdError]  # sources without a photo

    def outcomes(self) -> Iterator[Done | HqmdError]:
        """Run the jobs and yield what each gave, in their order. Ctrl-C lets the running jobs finish, then goes on."""
        return (outcome for _, outcome in run_jobs(self.jobs, self.work, self.workers))

    def close(self, interrupted: bool) -> None:
        """Join the manifests of all processes. Raises HqmdError if they cannot be written."""
        if self.work.manifest:
            if not interrupted:
                self.ranks.wait_for_all()
            if self.ranks.is_first:
                self.work.manifest.join()


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
) -> PhotoRun:
    """Do everything that comes before the first photo. `open_with` opens the model with so many threads per photo.

    Raises HqmdError if a source, file or option is refused.
    """
    faults: list[HqmdError] = []
    all_jobs = plan(find_sources(sources, destinations, faults.append), destinations, formats)
    if scale_from and len(all_jobs) > 1:
        raise HqmdError("--scale-from: one distance cannot be true of several photos; give one photo")
    if not (skip_existing or overwrite):
        refuse_existing(all_jobs, as_json)
    ranks = Ranks.from_environment()
    manifest = open_manifest(all_jobs, destinations, ranks)
    if manifest and ranks.is_first:
        manifest.join()  # rows that an interrupted run left must not outlive the rows of this run
    ranks.connect()
    jobs = ranks.share(all_jobs)
    workers = max(1, min(len(jobs), os.cpu_count() or 1))
    opened = open_with(1 if workers > 1 else 0)
    refuse_metres(opened.kind, opened.name, all_jobs, style, scale_from)
    sidecars = as_json or (skip_existing and manifest is None)
    recorded = sidecars or manifest is not None
    settings = Settings(
        opened.name,
        opened.digest() if recorded else "",  # hashing takes as long as a small network
        opened.precision,
        opened.sides,
        opened.flips,
        asdict(style),
        fov,
        fx,
        scale_from,
        opened.kind,
        opened.detail_sides,
        read_camera(camera) if camera else None,
    )
    reading = Reading.parse(scale_from) if scale_from else None
    known = known_results(jobs, manifest) if skip_existing else {}
    work = PhotoWork(opened, settings, style, reading, sidecars, manifest, known, overwrite)
    return PhotoRun(work, jobs, workers, ranks, faults if ranks.is_first else [])
