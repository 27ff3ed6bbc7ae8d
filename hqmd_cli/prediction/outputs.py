"""The files that predict writes: how colour pictures look, and which photo goes to which file."""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.images import write_image
from hqmd_cli.geometry.surfaces import DEFAULT_EDGE_RTOL
from hqmd_cli.prediction.formats import BY_SUFFIX, DEFAULT_FORMAT, OUTPUTS, Output, output_for
from hqmd_cli.prediction.result import DepthResult
from hqmd_cli.prediction.sources import Source
from hqmd_cli.prediction.writers import write_depth_tiff
from hqmd_cli.registry import pick
from hqmd_cli.units import IN_WORDS, Kind, near_and_far
from hqmd_cli.visualization import COLORMAPS, DEFAULT_COLORMAP
from hqmd_cli.visualization.colormap import colorize, outside_share, side_by_side, with_legend


@dataclass(frozen=True)
class Look:
    """How the user wants results to look. Raises HqmdError for a range, limit or colormap that is none."""

    colormap: str = DEFAULT_COLORMAP
    near_m: float | None = None  # of the colours; None: the photo's nearest depth
    far_m: float | None = None
    legend: bool = False
    side_by_side: bool = False
    edge_rtol: float = DEFAULT_EDGE_RTOL  # see surfaces.py

    def __post_init__(self) -> None:
        pick(COLORMAPS, self.colormap, "colormap")
        for flag, depth_m in (("--vmin", self.near_m), ("--vmax", self.far_m)):
            if depth_m is not None and not 0 <= depth_m < math.inf:
                raise HqmdError(f"{flag} {depth_m:g}: a depth is a number of metres, 0 or more")
        if self.near_m is not None and self.far_m is not None and self.near_m >= self.far_m:
            raise HqmdError(f"--vmin {self.near_m:g} must be less than --vmax {self.far_m:g}")
        if not 0 < self.edge_rtol < math.inf:
            raise HqmdError(f"--edge-rtol {self.edge_rtol:g}: must be positive; {DEFAULT_EDGE_RTOL} is the default")


def painted(
    image: NDArray[np.uint8],
    depth_m: NDArray[np.floating],
    near_m: float,
    far_m: float,
    look: Look,
    kind: Kind = "depth",
) -> NDArray[np.uint8]:
    """The depth of `image` (H, W, 3) in colours from near_m to far_m, with what else `look` asks for, as uint8 RGB."""
    picture = colorize(depth_m, near_m, far_m, look.colormap, kind)
    if look.side_by_side:
        picture = side_by_side(image, picture)
    return with_legend(picture, near_m, far_m, look.colormap, kind) if look.legend else picture


def write_color(path: Path, result: DepthResult, look: Look) -> str:
    """The colourised map; where `look` leaves the range open, it is that of the photo's own depth."""
    kind = result.kind
    nearest_m, farthest_m = near_and_far(float(result.depth_m.min()), float(result.depth_m.max()), kind)
    near_m = nearest_m if look.near_m is None else look.near_m
    far_m = farthest_m if look.far_m is None else look.far_m
    if kind == "depth" and near_m > far_m:
        raise HqmdError(
            f"{path}: no colours from {near_m:g} to {far_m:g} m, for depth is {nearest_m:.2f} to {farthest_m:.2f} m; "
            "give both --vmin and --vmax"
        )
    note = "" if kind == "depth" else f"colours of {IN_WORDS[kind]}"
    write_image(path, painted(result.image, result.depth_m, near_m, far_m, look, kind), note)
    if kind != "depth":
        return f"{note}: near {near_m:.6g}, far {far_m:.6g}"
    outside = outside_share(result.depth_m, near_m, far_m)
    beyond = f"; {outside:.1%} of the pixels lie beyond, shown in the colours of the ends" if outside else ""
    return f"colours from {near_m:.2f} to {far_m:.2f} m{beyond}"


def write_tiff(path: Path, result: DepthResult, look: Look) -> str:
    """The map with what its numbers are."""
    write_depth_tiff(path, result.depth_m, result.kind)
    return ""


@dataclass(frozen=True)
class Job:
    """A photo and the files its depth goes to."""

    source: Source
    targets: list[tuple[Path, Output]]


def plan(sources: Sequence[Source], destinations: Sequence[Path], formats: str | None) -> list[Job]:
    """Decide every file before anything is computed.

    With one source, a destination whose suffix is a kind of output is that file; any other is a folder in which the
    tree is kept, and gets the kinds named in `formats`, separated by commas. Raises HqmdError when a kind is unknown or
    cannot be written here, or two results would go to one file or over a photo.
    """
    files, folders = sort_destinations(destinations, len(sources))
    if formats and not folders:
        raise HqmdError(f"--format is for folders; the suffix of {files[0][0]} says already what it holds")
    names = dict.fromkeys(name.strip() for name in (formats or DEFAULT_FORMAT).split(","))
    kinds = [pick(OUTPUTS, name, "output format") for name in names]
    for kind in (*(kind for _, kind in files), *(kinds if folders else ())):
        kind.check()
    jobs = []
    for source in sources:
        below = [(folder / source.place.with_suffix(kind.suffix), kind) for folder in folders for kind in kinds]
        jobs.append(Job(source, [*files, *below]))
    refuse_collisions(jobs)
    return jobs


def refuse_metres(kind: Kind, model: str, jobs: Sequence[Job], look: Look, scale_from: str | None) -> None:
    """Refuse what claims metres of a model that gives none. Raises HqmdError naming the file or the option."""
    if kind == "depth":
        return
    targets = (target for job in jobs for target in job.targets)
    asked = [f"{printable(str(path))} ({wanted.note})" for path, wanted in targets if wanted.needs_metres]
    given = {"--vmin": look.near_m, "--vmax": look.far_m, "--scale-from": scale_from}
    asked += [flag for flag, value in given.items() if value is not None]
    if asked:
        free = ", ".join(name for name, output in OUTPUTS.items() if not output.needs_metres)
        raise HqmdError(
            f"{asked[0]}: needs metres, and {model} gives {IN_WORDS[kind]}; write {free} without --vmin, --vmax and "
            "--scale-from, or take a model of metres"
        )


def sort_destinations(destinations: Sequence[Path], sources: int) -> tuple[list[tuple[Path, Output]], list[Path]]:
    """Files, each with the kind of output that its suffix asks for, and folders."""
    files, folders = [], []
    for destination in destinations:
        kind = None if destination.is_dir() else output_for(destination)
        if kind and sources > 1:
            raise HqmdError(f"{destination}: one file cannot hold {sources} depth maps; give -o a folder")
        if kind:
            files.append((destination, kind))
        elif destination.suffix and not destination.is_dir() and sources == 1:
            raise HqmdError(f"{destination}: no output has this suffix; there are {', '.join(BY_SUFFIX)}, or a folder")
        else:
            folders.append(destination)
    return files, folders


def refuse_collisions(jobs: Sequence[Job]) -> None:
    """No two results in one file, none over a photo, none under the suffix of another kind.

    Names that differ in case or in the Unicode form of their letters only are one file on macOS and Windows, and count
    as one everywhere: results are carried from one system to another.
    """

    @cache  # of folders there are few; to ask the disk about each file would take seconds
    def real(folder: str) -> str:
        return one_form(os.path.realpath(folder))

    def spot(path: Path) -> str:
        """Where a file is written: one text a file. Not through a link that it may be: writing replaces the link."""
        folder, name = os.path.split(path)
        return os.path.join(real(folder), one_form(name))

    photos = set()
    for job in jobs:
        if path := job.source.path:
            photos.add(spot(path))
            if path.is_symlink():
                photos.add(one_form(os.path.realpath(path)))
    taken: dict[str, Job] = {}
    for job in jobs:
        for target, kind in job.targets:
            place = spot(target)
            if output_for(target) is not kind:
                fault = f"this suffix is that of another kind of output; rename {job.source.name}"
            elif place in photos:
                fault = "would overwrite a photo; choose another -o"
            elif place not in taken:
                taken[place] = job
                continue
            elif taken[place] is job:
                fault = "would be written twice; give each -o once"
            else:
                both = f"{taken[place].source.name} and {job.source.name}"
                fault = f"{both} would both be written to it; rename one, or run them apart"
            raise HqmdError(f"{printable(str(target))}: {fault}")


def one_form(path: str) -> str:
    """The same for paths that a file system may take for one: letter case and Unicode form do not count."""
    return normalize("NFC", normalize("NFC", path).casefold())
