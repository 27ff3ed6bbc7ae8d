"""A folder of pairs from random rooms, made by several processes and able to go on after a stop.

rooms.json      what the rooms are made from; another seed or other furniture is refused in the same folder
rgb/NAME.jpg    288 x 384 pixels, 63 degrees wide as NYU's photos are; NAME is ROOM-VIEW
depth/NAME.png  16 bit, millimetres, 0 = none
train.txt, val.txt  one name a line, written last; no room is in both
made/ROOM.txt   the names of a finished room's views; empty where it has no good one
furniture.pickle    the catalogue as the processes read it
"""

import json
import signal
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from pathlib import Path

import cv2
import numpy as np

from hqmd_cli.errors import HqmdError
from hqmd_cli.images import write_depth_mm, write_jpeg, write_text
from hqmd_cli.rooms.camera import FARTHEST_M
from hqmd_cli.rooms.catalog import Furniture, fingerprints, prepare_catalogue, read_catalogue
from hqmd_cli.rooms.furnishing import furnish, require_stock
from hqmd_cli.rooms.render import render
from hqmd_cli.rooms.scene import Picture
from hqmd_cli.rooms.vectors import Floats

DRAWING = 1  # raise it whenever the same seed gives other rooms, so that they are not mixed with these
OUTDOORS = frozenset({"grass", "blueSky", "cloudy", "veryCloudy", "boxTree", "pavingStone"})
VAL_EVERY = 40  # a room in so many is kept for validation
JPEG_QUALITY = 92


class Workshop:
    """What one process needs to make rooms: a folder to put them in, and the material."""

    def __init__(self, output: Path, seed: int, catalogue: list[Furniture], pictures: list[Picture]) -> None:
        self.output, self.seed = output, seed
        self.catalogue, self.pictures = catalogue, pictures

    def make(self, number: int) -> list[str]:
        """The names of the views of a room, which is made unless it was before.

        Files appear whole, and the list of them last: a room cut short is made again, with the same pictures.
        """
        made = self.output / "made" / f"{number:05d}.txt"
        if made.exists():
            return made.read_text().split()
        rng = np.random.default_rng((self.seed, number))
        names = []
        for view, (photo, depth_m) in enumerate(render(furnish(rng, self.catalogue, self.pictures), rng)):
            names.append(f"{number:05d}-{view}")
            write_pair(self.output, names[-1], photo, depth_m)
        write_text(made, lines(names))
        return names


def make_rooms(
    output: Path, number: int, furniture: Path, textures: Path, seed: int = 0, workers: int = 2
) -> Iterator[list[str]]:
    """Make rooms 0 to `number` - 1 in the folder `output`, and yield the names of the views of each.

    `furniture` is a folder of .sh3f libraries, `textures` one of .jpg pictures. Same seed, same material and same
    versions of the libraries give the same rooms, whatever the number of workers. What is there is not made again.

    Raises HqmdError when a number is too small, material is missing or unreadable, `output` cannot be written, or holds
    pictures of other origin.
    """
    require_numbers(number, workers, seed)
    libraries = files_in(furniture, "*.sh3f", "furniture libraries")
    papers = [path for path in files_in(textures, "*.jpg", "textures") if path.stem not in OUTDOORS]
    pictures = read_pictures(textures, papers)
    origin = {
        "drawing": DRAWING, "seed": seed, "furniture": fingerprints(libraries), "textures": fingerprints(papers)
    }  # fmt: skip
    claim(output, origin)
    kept = output / "furniture.pickle"
    prepare_catalogue(libraries, kept)
    require_stock(read_catalogue(kept))
    made: list[list[str]] = []
    # Not forked: Embree and OpenCV have threads by now, which a fork would lose while their locks stay locked.
    with ProcessPoolExecutor(workers, get_context("spawn"), start, (output, seed, kept, pictures)) as pool:
        try:
            for names in pool.map(make_one, range(number)):
                made.append(names)
                yield names
        except BrokenProcessPool as error:
            raise HqmdError(
                f"{output}: a worker was ended, perhaps for want of memory; go on with fewer --workers"
            ) from error
    write_splits(output, made)


workshop: Workshop  # of a worker process, from `start` on


def start(output: Path, seed: int, kept: Path, pictures: list[Picture]) -> None:
    """Open the workshop of a worker process."""
    global workshop
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives out the work
    cv2.setNumThreads(1)  # the processes share the cores
    workshop = Workshop(output, seed, read_catalogue(kept), pictures)


def make_one(number: int) -> list[str]:
    """Room `number`, in a worker process."""
    return workshop.make(number)


def require_numbers(number: int, workers: int, seed: int) -> None:
    """Raise HqmdError for what cannot be made."""
    for option, value, least in (("--number", number, 1), ("--workers", workers, 1), ("--seed", seed, 0)):
        if value < least:
            raise HqmdError(f"{option} {value}: must be {least} or more")


def files_in(folder: Path, pattern: str, what: str) -> list[Path]:
    """The files in a folder by name; HqmdError where there are none."""
    found = sorted(folder.glob(pattern))
    if not found:
        raise HqmdError(f"{folder}: no {what} ({pattern}) here; python -m hqmd_cli.rooms --help says how to get them")
    return found


def read_pictures(folder: Path, papers: list[Path]) -> list[Picture]:
    """The textures as (H, W, 3) RGB."""
    if not papers:
        raise HqmdError(f"{folder}: only textures of the outdoors; add some .jpg of floors and walls")
    pictures = []
    for path in papers:
        picture = cv2.imread(str(path))
        if picture is None:
            raise HqmdError(f"{path}: cannot be read as a picture; get it anew, or take it out")
        pictures.append(picture[..., ::-1].astype(np.uint8, copy=False))
    return pictures


def claim(output: Path, origin: dict[str, object]) -> None:
    """Note in the folder what its rooms are made from; HqmdError if it holds pictures made from something else."""
    note = output / "rooms.json"
    held = [output / name for name in ("rgb", "depth", "made", "train.txt", "val.txt") if (output / name).exists()]
    if held and not note.exists():
        raise HqmdError(f"{held[0]}: not from here, as there is no rooms.json beside it; choose another -o")
    if held:
        try:
            noted = dict(json.loads(note.read_text()))
        except (ValueError, TypeError) as error:
            raise HqmdError(f"{note}: damaged, so nobody knows what the rooms are; choose another -o") from error
        changed = [key for key in origin if noted.get(key) != origin[key]]
        if changed:
            raise HqmdError(f"{output}: holds rooms made with other {', '.join(changed)}; choose another -o")
    write_text(note, json.dumps(origin, indent=1) + "\n")


def write_pair(output: Path, name: str, photo: Picture, depth_m: Floats) -> None:
    """rgb/NAME.jpg and depth/NAME.png; depth beyond FARTHEST_M counts as none, as NYU's camera has it."""
    write_depth_mm(output / "depth" / f"{name}.png", np.where(depth_m <= FARTHEST_M, depth_m, 0))
    write_jpeg(output / "rgb" / f"{name}.jpg", photo, JPEG_QUALITY)


def write_splits(output: Path, made: list[list[str]]) -> None:
    """train.txt and val.txt of the rooms' views; by rooms, so that none is seen in training and validation."""
    held_out = [name for names in made[::VAL_EVERY] for name in names]
    rest = [name for number, names in enumerate(made) if number % VAL_EVERY for name in names]
    write_text(output / "val.txt", lines(held_out))
    write_text(output / "train.txt", lines(rest))


def lines(names: Iterable[str]) -> str:
    """One a line."""
    return "".join(f"{name}\n" for name in names)
