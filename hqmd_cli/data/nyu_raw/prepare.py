"""Make a folder of pairs from NYU's raw recordings, with several processes. A stopped run can be continued.

nyu-raw.json        what the pairs are made from; the same folder refuses other settings
rgb/NAME.jpg        the undistorted photo; NAME is SCENE_TIME
depth/NAME.png      16-bit millimetres from that photo's camera, 0 = unknown
train.txt, val.txt  one name per line, written last; no room is in both
"""

import json
import os
import signal
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import cv2

from hqmd_cli.data import NYU_FILE, default_data
from hqmd_cli.data.nyu_raw.kinect import project, undistort
from hqmd_cli.data.nyu_raw.recordings import (
    BrokenFrame,
    Frame,
    find_scenes,
    read_frame,
    sort_scenes,
    spread,
    synchronised,
)
from hqmd_cli.data.pairs import read_names
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import explain_write_errors, write_bytes, write_text
from hqmd_cli.files.checked_json import read_json
from hqmd_cli.files.depth_files import write_depth_mm
from hqmd_cli.files.images import write_jpeg
from hqmd_cli.files.locks import claim
from hqmd_cli.installed import require

METHOD = 1  # increase it if the same frames give other pairs, so that the two are not mixed
NOTE = "nyu-raw.json"
ALL_SCENES, NOT_LISTED = "all", "not listed"
SPLITS = ("train", "val")
JPEG_QUALITY = 95
CHUNK = 8  # frames handed to a process at once


@dataclass(frozen=True)
class Plan:
    """The frames to convert."""

    frames: list[Frame]
    scenes: Mapping[str, str]  # scene -> "train", "val", or the reason why it is in neither
    available: int  # synchronised frames of the scenes in a split
    fill: bool

    def excluded(self) -> dict[str, int]:
        """Count the scenes in no split by reason."""
        return dict(Counter(reason for reason in self.scenes.values() if reason not in SPLITS))


def plan_pairs(raw: Path, number: int, fill: bool, scenes: str | None) -> Plan:
    """Select `number` evenly spaced frames of the recordings in `raw`; `scenes` as in split_scenes.

    Raises HqmdError if there are no recordings, none is in a split, or `fill` lacks its library.
    """
    if fill:
        require("scipy", "filling holes")
    found = find_scenes(raw)
    split_of = split_scenes(scenes, list(found))
    chosen = {scene: folder for scene, folder in found.items() if split_of[scene] in SPLITS}
    if not chosen:
        raise HqmdError(f"{raw}: none of its {len(found)} scenes is one to train on, such as {next(iter(found))}")
    frames = [frame for scene, folder in chosen.items() for frame in synchronised(scene, folder)]
    if not frames:
        raise HqmdError(f"{raw}: no depth frame has a photo of its time; are both r-*.ppm and d-*.pgm unpacked?")
    return Plan(spread(frames, number), split_of, len(frames), fill)


def split_scenes(scenes: str | None, found: list[str]) -> dict[str, str]:
    """Map each scene to its split, or the reason why it has none.

    `scenes` is the labelled .mat (None: the downloaded one), whose rooms decide; a list of names to train on; or "all".
    Raises HqmdError if it is none of these.
    """
    if scenes == ALL_SCENES:
        return dict.fromkeys(found, "train")
    path = Path(scenes) if scenes else find_labelled()
    if path.suffix.lower() == ".mat":
        return sort_scenes(found, path)
    listed = set(read_names(path))
    return {scene: "train" if scene in listed else NOT_LISTED for scene in found}


def find_labelled() -> Path:
    """Return the labelled file that `default_data` finds. Raises HqmdError with the alternatives if there is none."""
    try:
        path = default_data()
    except HqmdError:
        path = Path()
    if path.suffix.lower() != ".mat":
        raise HqmdError(
            f"{NYU_FILE} says which rooms NYU's test pictures show: get it with `hqmd data nyu`, or name it with "
            f"--scenes FILE.mat; --scenes LIST.txt takes scenes by name, --scenes {ALL_SCENES} the test rooms, too"
        )
    return path


def make_pairs(plan: Plan, raw: Path, output: Path, workers: int) -> Iterator[tuple[Frame, str]]:
    """Make the pairs that do not exist yet; yield each frame with the reason why it is left out, or an empty string.

    Raises HqmdError if `output` cannot be written, holds other pairs, or is in use by another process.
    """
    with explain_write_errors(output):
        output.mkdir(parents=True, exist_ok=True)
    with claim(output):
        yield from make_missing(plan, raw, output, workers)


def make_missing(plan: Plan, raw: Path, output: Path, workers: int) -> Iterator[tuple[Frame, str]]:
    """Do the work of make_pairs in a folder that this process holds."""
    note_origin(output, plan, raw)
    existing = names_in(output / "rgb") & names_in(output / "depth")
    missing = [frame for frame in plan.frames if frame.name not in existing]
    yield from ((frame, "") for frame in plan.frames if frame.name in existing)
    make = partial(make_pair, output=output, fill=plan.fill)
    if workers == 1:
        yield from ((frame, make(frame)) for frame in missing)
        return
    # Spawned: a fork would copy the locks of OpenCV's threads, but not the threads that release them.
    with ProcessPoolExecutor(workers, get_context("spawn"), start_worker) as pool:
        try:
            yield from zip(missing, pool.map(make, missing, chunksize=CHUNK), strict=True)
        except BrokenProcessPool as error:
            raise HqmdError(
                f"{output}: a worker process was killed, perhaps for lack of memory; continue with fewer --workers"
            ) from error


def start_worker() -> None:
    """Set up a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the main process
    cv2.setNumThreads(1)  # the processes share the cores


def make_pair(frame: Frame, output: Path, fill: bool) -> str:
    """Make one pair, each file complete or absent; return the reason why the frame is left out, or an empty string."""
    try:
        raw_depth, raw_photo = read_frame(frame)
    except BrokenFrame as error:
        return str(error)
    photo, depth_m = undistort(raw_photo), project(raw_depth)
    if not depth_m.any():
        return f"{frame.folder}/{frame.depth}: the sensor measured nothing"
    if fill:
        from hqmd_cli.data.nyu_raw.hole_filling import fill as fill_holes

        depth_m = fill_holes(depth_m, photo)
    write_jpeg(output / "rgb" / f"{frame.name}.jpg", photo, JPEG_QUALITY)
    write_depth_mm(output / "depth" / f"{frame.name}.png", depth_m)
    return ""


def names_in(folder: Path) -> set[str]:
    """Return the stems of the files in a folder. Files that are being written begin with a dot and do not count."""
    return {file.stem for file in folder.iterdir() if not file.name.startswith(".")} if folder.is_dir() else set()


def note_origin(output: Path, plan: Plan, raw: Path) -> None:
    """Write down what the pairs are made from. Raises HqmdError if the folder holds pairs made from anything else."""
    origin = {
        "method": METHOD,
        "recordings": raw.resolve().name,
        "frames": f"{len(plan.frames)} of {plan.available}",
        "scenes": dict(plan.scenes),
        "filled": plan.fill,
    }
    note = output / NOTE
    if note.exists():
        try:
            noted = read_json(note, dict)
        except (OSError, ValueError) as error:
            raise HqmdError(f"{note}: damaged, so the origin of the pairs is unknown; choose another -o") from error
        if changed := [key for key in origin if noted.get(key) != origin[key]]:
            raise HqmdError(f"{output}: holds pairs made with other {', '.join(changed)}; choose another -o")
    elif held := next((part for part in ("rgb", "depth", "train.txt", "val.txt") if (output / part).exists()), None):
        raise HqmdError(
            f"{output / held}: not made by this command, as there is no {NOTE} beside it; choose another -o"
        )
    write_text(note, json.dumps(origin, indent=1) + "\n")


def write_splits(plan: Plan, output: Path, left_out: Container[str]) -> dict[str, int]:
    """Write train.txt and val.txt without the frames in `left_out`; return the number of names in each."""
    counts = {}
    for split in SPLITS:
        in_split = [frame.name for frame in plan.frames if plan.scenes[frame.scene] == split]
        if names := [name for name in in_split if name not in left_out]:
            write_bytes(output / f"{split}.txt", os.fsencode("".join(f"{name}\n" for name in names)))
            counts[split] = len(names)
    return counts
