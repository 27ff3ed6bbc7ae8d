"""Count how often a job switches between the package's files: the trips that its reader has to make.

    python benchmarks/trips.py                  # every job: files entered, switches, returns to a file already left
    python benchmarks/trips.py photo --list     # one job, each stop with the functions that are entered there

Each job is a real command. It runs once to warm up, so that neither imports nor first-time caches count, and once under
`sys.setprofile`. A trip starts when the job's function is entered and ends when it returns.

- A stop is an entry into a function of hqmd_cli, and a switch is a stop in another file than the stop before it.
  Returns to the caller don't count, nor do functions of other packages. So switches = files - 1 + returns.
- A generator counts each time it goes on. An `__init__` that `dataclass` writes counts in the file of its class.
- Lambdas and comprehensions don't count: they stand inside a function, and Python 3.12 calls no comprehension.

At commit 6e49211, when the modules lay side by side in one folder, this found (files / switches / returns):

    photo 21 / 60 / 40    validation 41 / 261 / 221    picture 21 / 58 / 38
    colors 21 / 52 / 32   example 6 / 6 / 1            mirrored 18 / 67 / 50

At commit 4eed14a, with the modules in rooms:

    photo 17 / 26 / 10    validation 46 / 124 / 79     picture 20 / 34 / 15
    colors 15 / 23 / 9    example 8 / 8 / 1            mirrored 18 / 39 / 22

At commit 370d56c, when every file was recognised, limited and locked by a function of its own:

    photo 25 / 69 / 45    validation 51 / 222 / 172    picture 26 / 69 / 44
    colors 21 / 52 / 32   example 14 / 41 / 28         mirrored 24 / 77 / 54

Since then, the same checks made in one step for each file and each result:

    photo 20 / 28 / 9     validation 50 / 129 / 80     picture 22 / 35 / 14
    colors 17 / 24 / 8    example 12 / 18 / 7          mirrored 21 / 41 / 21

The review of 6e49211 had counted the same for photo and example, and 42 / 261 / 220 for validation. Its evaluated
picture made 67 switches; which settings it had is not known, and of those that were tried only `mirrored` has as many.
"""

import argparse
import io
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from types import FrameType

import numpy as np
from PIL import Image

import hqmd_cli
from hqmd_cli.app import main as hqmd

PACKAGE = Path(hqmd_cli.__file__).parent
PHOTO = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
MODEL = "hqmd-indoor-small"
RECIPE = """
model = {backbone = "test_efficientnet", size = [48, 64], output_stride = 32, aspp_channels = 16, fuse_channels = 16}
training = {batch_size = 2, epochs = 4, lr = 0.01}
"""


@dataclass(frozen=True)
class Job:
    """A command, and the function at which the trip starts: the first of these names that the command enters."""

    functions: tuple[str, ...]
    command: str  # {out} is a new place for each run


PREDICT = f"predict {PHOTO} -m {MODEL} -o"
EVALUATE = f"evaluate -m {MODEL} --data {{frames}} --split val"
TRAIN = "train --data {pairs} --recipe {recipe} --backbone-weights none --workers 0 --device cpu -o {out}"
PHOTO_JOB = ("PhotoWork.do", "PhotoJob.do", "PhotoWork.__call__", "PhotoJob.__call__")
JOBS = {
    "photo": Job(PHOTO_JOB, f"{PREDICT} {{depths}} --json --overwrite"),  # into a folder that has a manifest
    "colors": Job(PHOTO_JOB, f"{PREDICT} {{out}}.png"),  # nothing but the picture in colours
    "picture": Job(("score_each",), f"{EVALUATE} --protocol eigen-filled --no-detail"),  # the data's check included
    "detail": Job(("score_each",), f"{EVALUATE} --protocol eigen-filled --detail"),  # and all metrics
    "mirrored": Job(("score_each",), f"{EVALUATE} --protocol densedepth --no-detail"),  # predicts each photo twice
    "validation": Job(("validate",), TRAIN),
    "example": Job(("TrainSet.__getitem__",), TRAIN),
}


@dataclass(frozen=True)
class Stop:
    """A function that was entered."""

    file: str  # below hqmd_cli/
    function: str


class Tracer:
    """A profile function that notes the stops of every trip from `start` on; without one, of everything."""

    def __init__(self, start: str | None = None) -> None:
        self.start = start
        self.trips: list[list[Stop]] = [] if start else [[]]
        self.root: FrameType | None = None  # of the trip that is under way
        self.thread = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event == "return" and frame is self.root:
            self.root = None
        if event != "call" or not frame.f_globals.get("__name__", "").startswith("hqmd_cli"):
            return
        function = frame.f_code.co_qualname
        if function.endswith(">"):  # <module>, <lambda>, <listcomp>
            return
        if function.startswith("__create_fn__."):  # what dataclass calls the methods that it writes
            function = f"{type(frame.f_locals['self']).__qualname__}.{frame.f_code.co_name}"
        if self.start == function and self.root is None:
            self.root, self.thread = frame, threading.get_ident()
            self.trips.append([])
        if self.start is None or (self.root and self.thread == threading.get_ident()):
            file = Path(frame.f_globals["__file__"]).relative_to(PACKAGE).as_posix()
            self.trips[-1].append(Stop(file, function))

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Trace this thread, and those that are started meanwhile."""
        threading.setprofile(self)
        sys.setprofile(self)
        try:
            yield
        finally:
            sys.setprofile(None)
            threading.setprofile(None)


def run(command: list[str], tracer: Tracer) -> None:
    """Run an hqmd command within this process, quietly. Raises SystemExit with its output where it fails."""
    sys.argv, output = ["hqmd", *command], io.StringIO()
    try:
        with redirect_stdout(output), redirect_stderr(output), tracer.watching():
            hqmd()
    except SystemExit as end:
        if end.code:
            sys.exit(f"hqmd {' '.join(command)}\n{output.getvalue()}")


def trip_of(job: Job, folder: Path, places: dict[str, Path]) -> list[Stop]:
    """The stops of a job; of several trips, such as one for each picture, that with the most switches."""
    commands = [job.command.format(out=folder / out, **places).split() for out in ("warm-up", "traced")]
    run(commands[0], everything := Tracer())
    entered = {stop.function for stop in everything.trips[0]}
    start = next((function for function in job.functions if function in entered), None)
    if start is None:
        sys.exit(f"{job.command}: enters none of {', '.join(job.functions)}; write the new name into JOBS")
    run(commands[1], traced := Tracer(start))
    return max(traced.trips, key=lambda trip: len(by_file(trip)))


def by_file(trip: list[Stop]) -> list[tuple[str, list[str]]]:
    """The files in the order in which they are entered, each with the functions until the next switch."""
    return [(file, [stop.function for stop in same]) for file, same in groupby(trip, lambda stop: stop.file)]


def write_pairs(folder: Path, size: tuple[int, int]) -> None:
    """Write six photos of a floor with their depth in millimetres: four to train on and two to validate on."""
    rng = np.random.default_rng(0)
    names = {"train": ["a1", "a2", "a3", "a4"], "val": ["b1", "b2"]}
    for kind in ("rgb", "depth"):
        (folder / kind).mkdir(parents=True)
    for split, of_split in names.items():
        (folder / f"{split}.txt").write_text("\n".join(of_split) + "\n")
        for name in of_split:
            depth_m = np.repeat(np.linspace(4.5, 1.8, size[0])[:, None], size[1], axis=1)
            light = 255 * (1 - depth_m / 6)[..., None] + rng.normal(0, 2, (*size, 3))
            Image.fromarray(light.round().astype(np.uint8)).save(folder / "rgb" / f"{name}.jpg")
            Image.fromarray((1000 * depth_m).astype(np.uint16)).save(folder / "depth" / f"{name}.png")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("jobs", nargs="*", metavar="JOB", help=f"{', '.join(JOBS)}; none: all")
    parser.add_argument("--list", action="store_true", help="print every stop")
    args = parser.parse_args()
    if unknown := set(args.jobs) - JOBS.keys():
        parser.error(f"no job named {', '.join(unknown)}; there are: {', '.join(JOBS)}")

    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        places = {name: folder / name for name in ("pairs", "frames", "depths", "recipe")}
        write_pairs(places["pairs"], (48, 64))
        write_pairs(places["frames"], (480, 640))
        places["recipe"].write_text(RECIPE)
        for name in args.jobs or JOBS:
            stops = by_file(trip_of(JOBS[name], folder / name, places))
            files = len({file for file, _ in stops})
            print(f"{name:10} {files:4} files {len(stops) - 1:4} switches {len(stops) - files:4} returns", flush=True)
            for file, functions in stops if args.list else ():
                print(f"    {file:28} {', '.join(dict.fromkeys(functions))}")


if __name__ == "__main__":
    main()
