"""A folder of pairs from NYU's raw recordings, made by several processes and able to go on after a stop.

nyu-raw.json    what the pairs are made from; other wishes are refused in the same folder
rgb/NAME.jpg    the photo without its lens's distortion
depth/NAME.png  16 bit, millimetres, 0 = none, as that photo's camera sees it; NAME is SCENE_TIME
train.txt, val.txt  one name a line, written last; no room is in both
"""

import json
import signal
from collections import Counter
from collections.abc import Container, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from multiprocessing import get_context
from pathlib import Path

import cv2

from hqmd_cli.data import NYU_FILE, default_data
from hqmd_cli.data.nyu_raw.kinect import project, straighten
from hqmd_cli.data.nyu_raw.recordings import BrokenFrame, Frame, find_scenes, frames_of, read_frame, sort_scenes, spread
from hqmd_cli.data.pairs import read_names
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_text
from hqmd_cli.files.depth_files import write_depth_mm
from hqmd_cli.files.images import write_jpeg

METHOD = 1  # raise it whenever the same frames give other pairs, so that they are not mixed with these
NOTE = "nyu-raw.json"
ALL_SCENES, NOT_LISTED = "all", "not listed"
SPLITS = ("train", "val")
JPEG_QUALITY = 95
AT_A_TIME = 8  # frames that a process is given


@dataclass(frozen=True)
class Plan:
    """What is to be made."""

    frames: list[Frame]
    scenes: Mapping[str, str]  # -> "train", "val", or why it is in neither
    available: int  # frames of the scenes in a split, synchronised
    fill: bool

    def left_out(self) -> dict[str, int]:
        """Why scenes are in no split -> how many."""
        return dict(Counter(why for why in self.scenes.values() if why not in SPLITS))


def plan_pairs(raw: Path, number: int, fill: bool, scenes: str | None) -> Plan:
    """Choose so many frames of a folder of recordings, evenly; `scenes` is as sort_by says.

    Raises HqmdError when there are no recordings, none is in a split, or `fill` lacks its library.
    """
    if fill and find_spec("scipy") is None:
        raise HqmdError("filling holes is computed by scipy, which is not here; pip install 'hqmd[fill]'")
    found = find_scenes(raw)
    split_of = sort_by(scenes, list(found))
    chosen = {scene: folder for scene, folder in found.items() if split_of[scene] in SPLITS}
    if not chosen:
        raise HqmdError(f"{raw}: none of its {len(found)} scenes is one to train on, such as {next(iter(found))}")
    frames = list(frames_of(chosen))
    if not frames:
        raise HqmdError(f"{raw}: no depth frame has a photo of its time; are both r-*.ppm and d-*.pgm unpacked?")
    return Plan(spread(frames, number), split_of, len(frames), fill)


def sort_by(scenes: str | None, found: list[str]) -> dict[str, str]:
    """Scene -> its split, or why it has none.

    `scenes` is the labelled .mat, by whose rooms they are sorted (None: the one that default_data finds), a list of
    names to train on, or "all". Raises HqmdError when it is none of these.
    """
    if scenes == ALL_SCENES:
        return dict.fromkeys(found, "train")
    path = Path(scenes) if scenes else labelled_file()
    if path.suffix.lower() == ".mat":
        return sort_scenes(found, path)
    listed = set(read_names(path))
    return {scene: "train" if scene in listed else NOT_LISTED for scene in found}


def labelled_file() -> Path:
    """The labelled file where it is found by itself. Raises HqmdError saying what else there is."""
    try:
        path = default_data()
    except HqmdError:
        path = Path()
    if path.suffix.lower() != ".mat":
        raise HqmdError(
            f"which rooms NYU's test pictures are from is written in {NYU_FILE}: get it by `hqmd data nyu`, or name it "
            f"with --scenes FILE.mat; --scenes LIST.txt takes scenes by name, --scenes {ALL_SCENES} the test rooms, too"
        )
    return path


def make_pairs(plan: Plan, raw: Path, output: Path, workers: int) -> Iterator[tuple[Frame, str]]:
    """Make what is not there yet; yields each frame with "", or with what is wrong with it, and leaves that one out.

    Raises HqmdError when `output` cannot be written, or holds pairs of other origin.
    """
    claim(output, plan, raw)
    there = names_in(output / "rgb") & names_in(output / "depth")
    missing = [frame for frame in plan.frames if frame.name not in there]
    yield from ((frame, "") for frame in plan.frames if frame.name in there)
    make = partial(make_pair, output=output, fill=plan.fill)
    if workers == 1:
        yield from ((frame, make(frame)) for frame in missing)
        return
    # Not forked: OpenCV has threads by now, which a fork would lose while their locks stay locked.
    with ProcessPoolExecutor(workers, get_context("spawn"), start) as pool:
        try:
            yield from zip(missing, pool.map(make, missing, chunksize=AT_A_TIME), strict=True)
        except BrokenProcessPool as error:
            raise HqmdError(
                f"{output}: a worker was ended, perhaps for want of memory; go on with fewer --workers"
            ) from error


def start() -> None:
    """Set up a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the process that gives out the work
    cv2.setNumThreads(1)  # the processes share the cores


def make_pair(frame: Frame, output: Path, fill: bool) -> str:
    """One pair, each file whole or not there; returns what is wrong with the frame, if anything is."""
    try:
        raw_depth, raw_photo = read_frame(frame)
    except BrokenFrame as error:
        return str(error)
    photo, depth_m = straighten(raw_photo), project(raw_depth)
    if not depth_m.any():
        return f"{frame.folder}/{frame.depth}: the sensor measured nothing"
    if fill:
        from hqmd_cli.data.nyu_raw.hole_filling import fill as fill_holes

        depth_m = fill_holes(depth_m, photo)
    write_jpeg(output / "rgb" / f"{frame.name}.jpg", photo, JPEG_QUALITY)
    write_depth_mm(output / "depth" / f"{frame.name}.png", depth_m)
    return ""


def names_in(folder: Path) -> set[str]:
    """The names of the files in a folder, without suffix; those that are being written begin with a dot."""
    return {file.stem for file in folder.iterdir() if not file.name.startswith(".")} if folder.is_dir() else set()


def claim(output: Path, plan: Plan, raw: Path) -> None:
    """Note in the folder what its pairs are made from; HqmdError if it holds some made from something else."""
    origin = {
        "method": METHOD,
        "recordings": raw.resolve().name,
        "frames": f"{len(plan.frames)} of {plan.available}",
        "scenes": dict(plan.scenes),
        "filled": plan.fill,
    }
    note = output / NOTE
    held = next((place for place in ("rgb", "depth", "train.txt", "val.txt") if (output / place).exists()), None)
    if held and not note.exists():
        raise HqmdError(f"{output / held}: not from here, as there is no {NOTE} beside it; choose another -o")
    if note.exists():
        try:
            noted = dict(json.loads(note.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise HqmdError(f"{note}: damaged, so nobody knows what the pairs are; choose another -o") from error
        if changed := [key for key in origin if noted.get(key) != origin[key]]:
            raise HqmdError(f"{output}: holds pairs made with other {', '.join(changed)}; choose another -o")
    write_text(note, json.dumps(origin, indent=1) + "\n")


def write_splits(plan: Plan, output: Path, left_out: Container[str]) -> dict[str, int]:
    """train.txt and val.txt of the frames that were not left out; how many names each has."""
    names: dict[str, list[str]] = {split: [] for split in SPLITS}
    for frame in plan.frames:
        if frame.name not in left_out:
            names[plan.scenes[frame.scene]].append(frame.name)
    for split, its_names in names.items():
        if its_names:
            write_text(output / f"{split}.txt", "".join(f"{name}\n" for name in its_names))
    return {split: len(its_names) for split, its_names in names.items() if its_names}
