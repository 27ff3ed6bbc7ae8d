"""Raw recordings of NYU Depth V2 as published: SCENE/d-TIME-TICKS.pgm and SCENE/r-TIME-TICKS.ppm, 640 x 480.

Depth and photos were recorded at different times and are not aligned; `hqmd data nyu-raw` makes pairs of them
(prepare.py). The .pgm files are little-endian, against the rule of the format.
"""

import os
import re
from collections.abc import Iterable, Sequence
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
from hqmd_cli.files.regular import read_regular

FRAMES = "SCENE/d-TIME-TICKS.pgm and r-TIME-TICKS.ppm"
FRAME_NAME = re.compile(r"([dr])-(\d+\.\d+)-\d+\.(pgm|ppm)")
PGM_HEADER = re.compile(rb"P5\s+(\d+)\s+(\d+)\s+65535\s")
PART_OF_ROOM = re.compile(r"(?<=\d)[a-z]$")  # basement_0001a and basement_0001b are recordings of one room
# Reasons why a scene is in no split.
TESTED_ON, IN_BOTH, UNKNOWN = "rooms of test pictures", "rooms in train and val", "rooms without labelled pictures"
LARGEST_GAP_S = 0.1  # between depth and photo; both cameras record 20 to 30 frames a second, so more is a gap


class BrokenFrame(HqmdError):
    """A frame that cannot be used. The official recordings have some, which must not stop the others."""


class Frame(NamedTuple):
    """A depth frame and the photo nearest to it in time."""

    scene: str
    folder: str
    depth: str  # name of the file in `folder`
    photo: str  # name of the file in `folder`

    @property
    def name(self) -> str:
        """Name of the pair: the scene, and the time of the depth frame."""
        return f"{self.scene}_{self.depth.split('-')[1].replace('.', '-')}"


class NyuRaw(FileDataset):
    """Raw recordings, which cannot be opened: the error says how to make pairs of them."""

    layout = f"{FRAMES}, to be prepared by `hqmd data nyu-raw`"
    split_help = "make pairs of the recordings first: hqmd data nyu-raw"

    @staticmethod
    def recognises(path: Path) -> bool:
        """True if a frame lies in `path`, or up to two folders below."""
        below = folders_in(path)
        return any(map(has_frames, [path, *below, *(folder for parent in below for folder in folders_in(parent))]))

    @staticmethod
    def splits(path: Path) -> NoReturn:
        """Raise HqmdError with the command that makes pairs."""
        raise HqmdError(
            f"{path}: raw recordings, whose depth is not aligned to photos; make pairs of them: "
            f"hqmd data nyu-raw {path} -o pairs"
        )


def folders_in(folder: Path) -> list[Path]:
    """List the folders in a folder; an empty list if it cannot be read."""
    try:
        return [Path(entry.path) for entry in os.scandir(folder) if entry.is_dir()]
    except OSError:
        return []


def has_frames(folder: Path) -> bool:
    """True if a frame is among the first 100 files. Other folders may have many files, recordings have only frames."""
    try:
        return any(FRAME_NAME.fullmatch(entry.name) for entry in islice(os.scandir(folder), 100))
    except OSError:
        return False


def is_frame(name: str, kind: str) -> bool:
    """True for the file name of a depth frame (`kind` "d") or a photo ("r")."""
    match = FRAME_NAME.fullmatch(name)
    return match is not None and match[1] == kind


def seconds_of(name: str) -> float:
    """Return the time in a file name: "d-1294439278.998029-3106702323.pgm" -> 1294439278.998029."""
    return float(name.split("-")[1])


def find_scenes(path: Path) -> dict[str, Path]:
    """Map scenes to their folders, sorted by name. Raises HqmdError if there are none, or two have one name."""
    scenes: dict[str, Path] = {}
    for folder in sorted(Path(here) for here, _, names in os.walk(path) if any(is_frame(name, "d") for name in names)):
        scene = folder.resolve().name
        if scene in scenes:
            raise HqmdError(f"{folder} and {scenes[scene]}: two scenes of one name; keep one of them")
        scenes[scene] = folder
    if not scenes:
        raise HqmdError(f"{path}: no recordings here; unpack NYU's raw archives so that there are {FRAMES}")
    return dict(sorted(scenes.items()))


def synchronised(scene: str, folder: Path) -> list[Frame]:
    """Pair each depth frame of a scene with the photo nearest in time, as get_synched_frames.m of NYU's toolbox does.

    Of two photos at the same distance the later one is taken. Depth frames without a photo within LARGEST_GAP_S are
    left out.
    """
    names = [file.name for file in folder.iterdir()]
    depths, photos = (sorted((name for name in names if is_frame(name, kind)), key=seconds_of) for kind in "dr")
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


def spread(frames: Sequence[Frame], number: int) -> list[Frame]:
    """Return `number` evenly spaced frames, or all if there are fewer."""
    if number >= len(frames):
        return list(frames)
    return [frames[(2 * i + 1) * len(frames) // (2 * number)] for i in range(number)]


def sort_scenes(scenes: Iterable[str], labelled: Path) -> dict[str, str]:
    """Map each scene to "train", "val", or the reason why it is in neither, by the official split of `labelled`.

    A room is in a split if all its labelled pictures are. So no room of test or validation pictures is trained on.
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
    """Remove the letter of a part: "basement_0001a" -> "basement_0001"."""
    return PART_OF_ROOM.sub("", scene)


def read_frame(frame: Frame) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Read raw depth (480, 640) and photo (480, 640, 3). Raises BrokenFrame naming the file."""
    try:
        photo = read_image(Path(frame.folder, frame.photo))
    except HqmdError as error:
        raise BrokenFrame(str(error)) from error
    if photo.shape != (HEIGHT, WIDTH, 3):
        raise BrokenFrame(f"{frame.folder}/{frame.photo}: {photo.shape[1]} x {photo.shape[0]}, not {WIDTH} x {HEIGHT}")
    return read_raw_depth(Path(frame.folder, frame.depth)), photo


def read_raw_depth(path: Path) -> NDArray[np.uint16]:
    """Read the numbers of the sensor, (480, 640), 0..2047. Raises BrokenFrame for a truncated file or another kind."""
    try:
        content = read_regular(path)
    except OSError as error:
        raise BrokenFrame(f"{path}: cannot be read: {error.strerror}") from error
    except HqmdError as error:  # a pipe
        raise BrokenFrame(str(error)) from error
    header = PGM_HEADER.match(content)
    if header is None or (int(header[1]), int(header[2])) != (WIDTH, HEIGHT):
        raise BrokenFrame(f"{path}: not a 16-bit PGM of {WIDTH} x {HEIGHT}")
    if (found := len(content) - header.end()) != (whole := 2 * WIDTH * HEIGHT):
        raise BrokenFrame(f"{path}: {found} bytes of depth, a complete frame has {whole}")
    raw: NDArray[Any] = np.frombuffer(content, "<u2", offset=header.end()).reshape(HEIGHT, WIDTH)
    if (largest := raw.max()) > LARGEST_RAW:
        raise BrokenFrame(f"{path}: {largest} is beyond the Kinect's largest number, {LARGEST_RAW}")
    return raw.astype(np.uint16)
