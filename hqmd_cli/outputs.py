"""What predict can write: a kind of file by name, and the kind that a path asks for by its suffix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.images import write_depth_mm, write_depth_npy, write_image
from hqmd_cli.pictures import colorize
from hqmd_cli.registry import pick


@dataclass(frozen=True)
class Output:
    """One kind of file."""

    suffix: str
    write: Callable[[Path, NDArray[np.float32]], None]  # path, (H, W) metres
    note: str  # for the summary: what its numbers mean


DEFAULT_FORMAT = "color"


def write_color(path: Path, depth_m: NDArray[np.float32]) -> None:
    """The colourised map; its range is the picture's own, from the nearest to the farthest pixel."""
    write_image(path, colorize(depth_m, float(depth_m.min()), float(depth_m.max())))


OUTPUTS = {
    "color": Output(".png", write_color, "colours from near (bright) to far (dark)"),
    "mm": Output(".mm.png", write_depth_mm, "16-bit PNG in millimetres"),
    "npy": Output(".npy", write_depth_npy, "float32 metres"),
}


def output_for(path: Path) -> Output | None:
    """The kind that a path's suffix asks for, the longest suffix first; None for anything else."""
    by_length = sorted(OUTPUTS.values(), key=lambda output: -len(output.suffix))
    return next((output for output in by_length if path.name.lower().endswith(output.suffix)), None)


@dataclass(frozen=True)
class Job:
    """A photo and the files its depth goes to."""

    photo: Path
    targets: list[tuple[Path, Output]]


def plan(photos: Iterable[tuple[Path, Path]], destinations: list[Path], formats: str | None) -> list[Job]:
    """Decide every file before anything is computed.

    `photos` are paths with their place below the source. With one photo, a destination whose suffix is a kind of
    output is that file; any other is a folder in which the tree is kept, and gets the kinds named in `formats`,
    separated by commas. Raises HqmdError when a kind is unknown, or two results would go to one file or over a photo.
    """
    photos = list(photos)
    files, folders = sort_destinations(destinations, len(photos))
    if formats and not folders:
        raise HqmdError(f"--format is for folders; the suffix of {files[0][0]} says already what it holds")
    kinds = [pick(OUTPUTS, kind, "output format") for kind in (formats or DEFAULT_FORMAT).split(",")]
    jobs = []
    for photo, place in photos:
        below = [(folder / place.with_suffix(kind.suffix), kind) for folder in folders for kind in kinds]
        jobs.append(Job(photo, [*files, *below]))
    refuse_collisions(jobs)
    return jobs


def sort_destinations(destinations: list[Path], photos: int) -> tuple[list[tuple[Path, Output]], list[Path]]:
    """Files, each with the kind of output that its suffix asks for, and folders."""
    files, folders = [], []
    for destination in destinations:
        kind = None if destination.is_dir() else output_for(destination)
        if kind and photos > 1:
            raise HqmdError(f"{destination}: one file cannot hold {photos} depth maps; give -o a folder")
        if kind:
            files.append((destination, kind))
        elif destination.suffix and not destination.is_dir() and photos == 1:
            suffixes = ", ".join(output.suffix for output in OUTPUTS.values())
            raise HqmdError(f"{destination}: no output has this suffix; there are {suffixes}, or give a folder")
        else:
            folders.append(destination)
    return files, folders


def refuse_collisions(jobs: list[Job]) -> None:
    """No two results in one file, none over a photo, none under the suffix of another kind."""
    photos = {job.photo.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        for target, kind in job.targets:
            place = target.resolve()
            if output_for(target) is not kind:
                raise HqmdError(f"{target}: this suffix is that of another kind of output; rename {job.photo}")
            if place in photos:
                raise HqmdError(f"{target}: would overwrite a photo; choose another -o")
            if place in taken:
                raise HqmdError(
                    f"{taken[place]} and {job.photo} would both be written to {target}; rename one, or run them apart"
                )
            taken[place] = job.photo
