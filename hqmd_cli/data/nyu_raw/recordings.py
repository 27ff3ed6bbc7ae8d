"""The raw recordings of NYU Depth V2, as published: SCENE/d-TIME-TICKS.pgm and SCENE/r-TIME-TICKS.ppm, 640 x 480.

Depth and photos were recorded each at its own times, and unaligned: `hqmd data nyu-raw` makes pairs of them
(prepare.py). A .pgm is big-endian by its format's rule, but was written the other way round.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.nyu import official_splits, scenes_of
from hqmd_cli.data.nyu_raw.kinect import HEIGHT, LARGEST_RAW, WIDTH
from hqmd_cli.data.sample import FileDataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.photos import read_image

FRAMES = "SCENE/d-TIME-TICKS.pgm and r-TIME-TICKS.ppm"
FRAME_NAME = re.compile(r"([dr])-(\d+\.\d+)-\d+\.(pgm|ppm)")
PGM_HEADER = re.compile(rb"P5\s+(\d+)\s+(\d+)\s+65535\s")
PART_OF_ROOM = re.compile(r"(?<=\d)[a-z]$")  # basement_0001a and basement_0001b are recordings of one room
# Why a scene is in no split.
TESTED_ON, IN_BOTH, UNKNOWN = "rooms of test pictures", "rooms in train and val", "rooms without labelled pictures"
LARGEST_GAP_S = 0.1  # between depth and photo; both cameras took some 20 to 30 a second, so that more is a hole


class BrokenFrame(HqmdError):
    """A frame that cannot be used: there are some in the official recordings, and the others are to go on."""


class Frame(NamedTuple):
    """A depth frame and the photo nearest to it in time."""

    scene: str
    folder: str
    depth: str  # file names in it
    photo: str

    @property
    def name(self) -> str:
        """What the pair is called: the scene, and when the depth was taken."""
        return f"{self.scene}_{time_of(self.depth).replace('.', '-')}"


class NyuRaw(FileDataset):
    """Raw recordings, which cannot be opened: the error says how to make pairs of them."""

    layout = f"{FRAMES}, to be prepared by `hqmd data nyu-raw`"
    split_help = "make pairs of the recordings first: hqmd data nyu-raw"

    @staticmethod
    def recognises(path: Path) -> bool:
        """By a frame in it, or in a folder of it, or one further down."""
        below = folders_in(path)
        return any(map(has_frames, [path, *below, *(folder for above in below for folder in folders_in(above))]))

    @staticmethod
    def splits(path: Path) -> NoReturn:
        """There are none before the pairs are made."""
        raise HqmdError(
            f"{path}: raw recordings, whose depth is not aligned to photos; make pairs of them: "
            f"hqmd data nyu-raw {path} -o pairs"
        )


def find_scenes(path: Path) -> dict[str, Path]:
    """Scene -> its folder, sorted. Raises HqmdError when there is none, or one twice."""
    scenes: dict[str, Path] = {}
    for folder in sorted(Path(here) for here, _, names in os.walk(path) if any(is_frame(name, "d") for name in names)):
        scene = folder.resolve().name
        if scene in scenes:
            raise HqmdError(f"{folder} and {scenes[scene]}: two scenes of one name; keep one of them")
        scenes[scene] = folder
    if not scenes:
        raise HqmdError(f"{path}: no recordings here; unpack NYU's raw archives so that there are {FRAMES}")
    return dict(sorted(scenes.items()))


def folders_in(folder: Path) -> list[Path]:
    """Its folders; none where it cannot be listed."""
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []


def has_frames(folder: Path) -> bool:
    """Whether there is a frame among the first few files: recordings are nothing else, other folders may be long."""
    try:
        return any(is_frame(entry.name, "d") or is_frame(entry.name, "r") for entry in islice(os.scandir(folder), 100))
    except OSError:
        return False


def synchronised(scene: str, folder: Path) -> list[Frame]:
    """The scene's depth frames in time, each with the photo nearest to it, as get_synched_frames.m of NYU's toolbox.

    Of two photos as near the later one is taken. Frames without a photo within LARGEST_GAP_S are left out.
    """
    names = [file.name for file in folder.iterdir()]
    depths, photos = (sorted((n for n in names if is_frame(n, kind)), key=seconds_of) for kind in "dr")
    if not photos:
        return []
    photo_s = np.array([seconds_of(photo) for photo in photos])
    frames = []
    for depth in depths:
        time_s = seconds_of(depth)
        after = int(np.searchsorted(photo_s, time_s).clip(0, len(photos) - 1))
        before = max(after - 1, 0)
        nearest = before if abs(photo_s[before] - time_s) < abs(photo_s[after] - time_s) else after
        if abs(photo_s[nearest] - time_s) <= LARGEST_GAP_S:
            frames.append(Frame(scene, str(folder), depth, photos[nearest]))
    return frames


def is_frame(name: str, kind: str) -> bool:
    """Whether a file is a depth frame ("d") or a photo ("r")."""
    match = FRAME_NAME.fullmatch(name)
    return match is not None and match[1] == kind


def time_of(name: str) -> str:
    """ "d-1294439278.998029-3106702323.pgm" -> "1294439278.998029"."""
    return name.split("-")[1]


def seconds_of(name: str) -> float:
    """The same as a number."""
    return float(time_of(name))


def spread(frames: Sequence[Frame], number: int) -> list[Frame]:
    """So many of the frames, evenly over all of them; all where there are no more."""
    if number >= len(frames):
        return list(frames)
    return [frames[(2 * i + 1) * len(frames) // (2 * number)] for i in range(number)]


def sort_scenes(scenes: Iterable[str], labelled: Path) -> dict[str, str]:
    """Scene -> "train", "val" or why it is in neither, by the official split of the labelled file.

    A room belongs to a split where all its labelled pictures do; letters at the end of a scene's name are parts of one
    room. So nothing is learned from rooms that are tested on, nor from those that models are chosen on.
    """
    labels = scenes_of(labelled)
    splits = official_splits()
    rooms = {split: {room_of(labels[frame - 1]) for frame in splits[split]} for split in ("train", "val", "test")}
    result = {}
    for scene in scenes:
        found = [split for split, its_rooms in rooms.items() if room_of(scene) in its_rooms]
        result[scene] = TESTED_ON if "test" in found else found[0] if len(found) == 1 else IN_BOTH if found else UNKNOWN
    return result


def room_of(scene: str) -> str:
    """ "basement_0001a" -> "basement_0001"."""
    return PART_OF_ROOM.sub("", scene)


def read_frame(frame: Frame) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Raw depth (480, 640) and photo (480, 640, 3) as they were recorded. Raises BrokenFrame naming the file."""
    try:
        photo = read_image(Path(frame.folder, frame.photo))
    except HqmdError as error:
        raise BrokenFrame(str(error)) from error
    if photo.shape != (HEIGHT, WIDTH, 3):
        raise BrokenFrame(f"{frame.folder}/{frame.photo}: {photo.shape[1]} x {photo.shape[0]}, not {WIDTH} x {HEIGHT}")
    return read_raw_depth(Path(frame.folder, frame.depth)), photo


def read_raw_depth(path: Path) -> NDArray[np.uint16]:
    """The sensor's numbers, (480, 640), 0..2047. Raises BrokenFrame when the file is cut off or no frame of it."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise BrokenFrame(f"{path}: cannot be read: {error.strerror}") from error
    header = PGM_HEADER.match(content)
    if header is None or (int(header[1]), int(header[2])) != (WIDTH, HEIGHT):
        raise BrokenFrame(f"{path}: no 16-bit PGM of {WIDTH} x {HEIGHT}")
    if (found := len(content) - header.end()) != (whole := 2 * WIDTH * HEIGHT):
        raise BrokenFrame(f"{path}: {found} bytes of depth, a whole frame has {whole}")
    raw: NDArray[Any] = np.frombuffer(content, "<u2", offset=header.end()).reshape(HEIGHT, WIDTH)
    if (largest := raw.max()) > LARGEST_RAW:
        raise BrokenFrame(f"{path}: {largest} is none of the Kinect's numbers, which end at {LARGEST_RAW}")
    return raw.astype(np.uint16)


def frames_of(scenes: dict[str, Path]) -> Iterator[Frame]:
    """The frames of all scenes, one after the other."""
    for scene, folder in scenes.items():
        yield from synchronised(scene, folder)
