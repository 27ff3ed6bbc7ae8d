"""Which photo goes to which files, decided before anything is computed."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unicodedata import normalize

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.formats import (
    BY_SUFFIX,
    DEFAULT_FORMAT,
    OUTPUTS,
    VIDEO_OUTPUT,
    Output,
    output_for,
)
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import Source
from hqmd_cli.registry import pick
from hqmd_cli.units import IN_WORDS, Kind


@dataclass(frozen=True)
class Job:
    """A photo or video, and the files that its depth goes to."""

    source: Source
    targets: list[tuple[Path, Output]]
    sidecar: Path  # NAME.json beside the first of them

    def notes(self, kind: Kind) -> dict[str, str]:
        """Return what the numbers of each file mean, from a model that gives this kind."""
        return {target.name: output.note_of(kind) for target, output in self.targets}


def plan(sources: Sequence[Source], destinations: Sequence[Path], formats: str | None) -> list[Job]:
    """Decide on every file before anything is computed.

    With one source, a destination with the suffix of an output is a file. Any other destination is a folder, which
    keeps the tree of the photos and gets the comma-separated `formats`. A video gets an .mp4 of its colours if these
    are all; otherwise its frames get these formats each, in a folder of the video's name, and the job names the files
    of the first frame. Raises HqmdError for an unknown format, a format that cannot be written here, and for two
    results in one file or a result over a photo.
    """
    files, folders = sort_destinations(destinations, len(sources))
    if files and sources and sources[0].is_video:
        raise HqmdError(f"{files[0][0]}: the depth of a video goes to one .mp4; give -o NAME.mp4, or a folder")
    if formats is not None and not folders:
        raise HqmdError(f"--format is for folders; the suffix of {files[0][0]} already says what the file holds")
    names = dict.fromkeys(name.strip() for name in (DEFAULT_FORMAT if formats is None else formats).split(","))
    outputs = [pick(OUTPUTS, name, "output format") for name in names]
    jobs = []
    for source in sources:
        wanted, place = outputs, source.place
        if source.is_video and [*names] == [DEFAULT_FORMAT]:
            wanted = [VIDEO_OUTPUT]
        elif source.is_video:
            place = frame_place(place, 1)
        below = [(folder / place.with_suffix(output.suffix), output) for folder in folders for output in wanted]
        targets = [*files, *below]
        jobs.append(Job(source, targets, record_beside(targets[0][0])))
    refuse_collisions(jobs)
    return jobs


def frame_place(place: Path, number: int) -> Path:
    """Return the place of a frame's results below an output folder; numbers begin at 1."""
    return place.with_suffix("") / f"{number:06}{place.suffix}"


def record_beside(target: Path) -> Path:
    """Return NAME.json beside NAME.png or NAME.mm.png."""
    output = output_for(target)
    suffix = output.suffix if output else target.suffix
    return target.with_name(target.name[: len(target.name) - len(suffix)] + ".json")


def sort_destinations(destinations: Sequence[Path], sources: int) -> tuple[list[tuple[Path, Output]], list[Path]]:
    """Split destinations into files, each with the output that its suffix asks for, and folders."""
    files, folders = [], []
    for destination in destinations:
        output = None if destination.is_dir() else output_for(destination)
        if output and destination.name.lower() == output.suffix:
            raise HqmdError(f"{destination}: a suffix alone; give the file a name, such as depth{destination.name}")
        if output and sources > 1:
            raise HqmdError(f"{destination}: one file cannot hold {sources} depth maps; give -o a folder")
        if output:
            files.append((destination, output))
        elif destination.suffix.lower() == VIDEO_OUTPUT.suffix and not destination.is_dir():
            raise HqmdError(f"{destination}: holds one video, and must be named once; give -o a folder")
        elif destination.suffix and not destination.is_dir() and sources == 1:
            raise HqmdError(f"{destination}: no output has this suffix; there are {', '.join(BY_SUFFIX)}, or a folder")
        elif os.path.lexists(destination) and not destination.is_dir():
            raise HqmdError(
                f"{printable(str(destination))}: exists and is not a folder; give -o a folder, or a new name"
            )
        else:
            folders.append(destination)
    return files, folders


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """Raise HqmdError for two results in one file, a result over a photo, or one with the suffix of another output.

    Names that differ only in case or Unicode form are one file on most disks of macOS and Windows, and count as one
    unless the disk is seen to tell them apart.
    """

    @cache  # folders are few; asking the disk about each of 10,000 files would take seconds
    def real(folder: str) -> str:
        return one_form(os.path.realpath(folder))

    def spot(path: Path) -> str:
        """Return one string per file. A file that is a link is not resolved, because writing replaces the link."""
        folder, name = os.path.split(path)
        return os.path.join(real(folder), one_form(name))

    photos = set()
    for job in jobs:
        if path := job.source.path:
            photos.add(spot(path))
            if path.is_symlink():
                photos.add(one_form(os.path.realpath(path)))
    twins: dict[Path, tuple[Job, Path]] = {}  # results whose names differ only in case or Unicode form
    taken: dict[str, tuple[Job, Path]] = {}
    for job in jobs:
        for target, output in job.targets:
            place = spot(target)
            if output_for(target) is not (None if output is VIDEO_OUTPUT else output):
                fault = f"another output has this suffix; rename {job.source.name}"
            elif place in photos:
                fault = f"would overwrite a {'video' if job.source.is_video else 'photo'}; choose another -o"
            elif place not in taken:
                taken[place] = job, target
                continue
            elif taken[place][0] is job:
                fault = "would be written twice; give each -o once"
            else:
                first, similar = twins.get(target, taken[place])
                if similar != target and keeps_case(target.parent):
                    twins[target] = job, target
                    continue
                fault = f"{first.source.name} and {job.source.name} would both be written to it; "
                one_disk = "this disk may take their names for one: rename one, or choose another -o"
                fault += one_disk if similar.name != target.name else "rename one, or run them separately"
            raise HqmdError(f"{printable(str(target))}: {fault}")


def keeps_case(folder: Path) -> bool:
    """True if names that differ only in case stand for two files in a folder, to judge by one that is there already.

    Of a folder that is new or empty, the ones above it on the same disk tell. False if nothing does.
    """
    place = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.is_dir())
    disk = place.stat().st_dev
    while place.stat().st_dev == disk:
        names = (entry.name for entry in os.scandir(place))
        if name := next((name for name in names if name.swapcase() != name), ""):
            return not (place / name.swapcase()).exists() or not (place / name.swapcase()).samefile(place / name)
        if place == place.parent:
            break
        place = place.parent
    return False


def one_form(path: str) -> str:
    """Map paths that differ only in case or Unicode form to the same string."""
    return normalize("NFC", normalize("NFC", path).casefold())


def refuse_metres(
    kind: Kind, model: str, jobs: Sequence[Job], style: Style, scale_from: str | None, smooth: bool = False
) -> None:
    """Raise HqmdError naming the first file or option that needs metres, if the model does not give metres."""
    if kind == "depth":
        return
    targets = (target for job in jobs for target in job.targets)
    asked = [f"{printable(str(path))} ({output.note})" for path, output in targets if output.needs_metres]
    given = {"--vmin": style.near_m, "--vmax": style.far_m, "--scale-from": scale_from, "--smooth": smooth or None}
    asked += [flag for flag, value in given.items() if value is not None]
    if asked:
        free = ", ".join(name for name, output in OUTPUTS.items() if not output.needs_metres)
        raise HqmdError(
            f"{asked[0]}: needs metres, but {model} gives {IN_WORDS[kind]}; write {free} without --vmin, --vmax, "
            "--scale-from and --smooth, or use a model that gives metres"
        )


def refuse_unsure(model: OpenModel, jobs: Sequence[Job], style: Style) -> None:
    """Raise HqmdError naming what the model cannot give, since it does not know how sure it is.

    Also if --max-uncertainty is given, and no file uses it.
    """
    outputs = [target for job in jobs for target in job.targets]
    asked = [printable(str(path)) for path, output in outputs if output.needs_uncertainty]
    if style.max_uncertainty is not None:
        asked.append("--max-uncertainty")
        if outputs and not any(output.has_points for _, output in outputs):
            raise HqmdError("--max-uncertainty: drops points of .ply, .glb and .html files, and none is asked for")
    if asked:
        model.require_uncertainty(asked[0])


def refuse_existing(jobs: Sequence[Job], sidecars: bool) -> None:
    """Raise HqmdError naming a file that a job would replace."""
    places = (place for job in jobs for place in (*(t for t, _ in job.targets), *([job.sidecar] if sidecars else [])))
    existing = [place for place in places if os.path.lexists(place)]
    if existing:
        more = f", as do {len(existing) - 1} more results" if existing[1:] else ""
        raise HqmdError(
            f"{printable(str(existing[0]))}: exists already{more}; pass --overwrite, or --skip-existing to keep what "
            "the same model and settings made of the same photo"
        )
