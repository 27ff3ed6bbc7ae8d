"""What predict can write: a kind of file by name, and the kind that a path asks for by its suffix."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.images import write_depth_mm, write_depth_npy, write_image
from hqmd_cli.pictures import colorize


@dataclass(frozen=True)
class Output:
    """One kind of file."""

    suffix: str
    write: Callable[[Path, NDArray[np.float32]], None]  # path, (H, W) metres
    note: str  # for the summary: what its numbers mean


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


def plan(photos: Iterable[tuple[Path, Path]], destinations: list[Path], kinds: list[str]) -> list[Job]:
    """Decide every file before anything is computed.

    `photos` are paths with their place below the source. With one photo, a destination whose suffix is a kind of
    output is that file; any other destination is a folder in which the tree is kept. Raises HqmdError when a kind
    is unknown, or two results would go to one file or over a photo.
    """
    outputs = []
    for kind in kinds:
        if kind not in OUTPUTS:
            raise HqmdError(f"no output format {kind!r}; there are: {', '.join(OUTPUTS)}")
        outputs.append(OUTPUTS[kind])
    photos = list(photos)
    jobs = []
    for photo, place in photos:
        targets = []
        for destination in destinations:
            named = output_for(destination)
            if named and not destination.is_dir():
                if len(photos) > 1:
                    raise HqmdError(f"{destination}: one file cannot hold {len(photos)} depth maps; give -o a folder")
                targets.append((destination, named))
            elif destination.suffix and not destination.is_dir() and len(photos) == 1:
                suffixes = ", ".join(output.suffix for output in OUTPUTS.values())
                raise HqmdError(f"{destination}: no output has this suffix; there are {suffixes}, or give a folder")
            else:
                targets += [(destination / place.with_suffix(output.suffix), output) for output in outputs]
        jobs.append(Job(photo, targets))
    refuse_collisions(jobs)
    return jobs


def refuse_collisions(jobs: list[Job]) -> None:
    """No two results in one file, no result over a photo."""
    photos = {job.photo.resolve() for job in jobs}
    taken: dict[Path, Path] = {}
    for job in jobs:
        for target, _ in job.targets:
            place = target.resolve()
            if place in photos:
                raise HqmdError(f"{target}: would overwrite a photo; choose another -o")
            if place in taken:
                raise HqmdError(
                    f"{taken[place]} and {job.photo} would both be written to {target}; rename one, or run them apart"
                )
            taken[place] = job.photo
