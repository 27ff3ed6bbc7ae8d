"""Time tars against a folder of the same photos, and watch the memory.

    python benchmarks/scale.py [--model hqmd-indoor-small] [--photos 200] [--rounds 3]

The photos are copies of one 640 x 480 JPEG. These take turns in one run, each a whole process, start included:
`hqmd predict FOLDER`, the same photos in four tars, and, for the memory, four times as many photos in four tars.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

from predict import make_photo  # beside this file

TARS = 4


class Spent(NamedTuple):
    """What a process took."""

    wall_s: float
    cpu_s: float
    peak_mb: float


def make_tars(folder: Path, photo: Path, photos: int) -> None:
    """Put copies of one photo into tars."""
    folder.mkdir()
    for number in range(TARS):
        with tarfile.open(folder / f"{number:05}.tar", "w") as archive:
            for index in range(number, photos, TARS):
                archive.add(photo, f"{index:05}.jpg")


def run(*arguments: object) -> Spent:
    """Run hqmd and return what it took."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "hqmd_cli", *map(str, arguments)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{' '.join(command)}: exit code {process.returncode}")
    return Spent(time.perf_counter() - began, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hqmd-indoor-small")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        top = Path(made)
        (top / "folder").mkdir()
        photo = top / "photo.jpg"
        make_photo(str(photo))
        for number in range(args.photos):
            (top / "folder" / f"{number:05}.jpg").write_bytes(photo.read_bytes())
        make_tars(top / "tars", photo, args.photos)
        make_tars(top / "more", photo, 4 * args.photos)
        spent: dict[str, list[Spent]] = {"folder": [], "tars": [], "more": []}
        for number in range(args.rounds):
            for name in ("folder", "tars") if number % 2 else ("tars", "folder"):
                source = top / name if name == "folder" else f"{top / name}/*.tar"
                out = top / f"out-{name}-{number}"
                spent[name].append(run("predict", source, "-o", out, "--format", "mm", "--model", args.model))
        spent["more"].append(run("predict", f"{top}/more/*.tar", "-o", top / "out", "--format", "mm", "-m", args.model))
    photos = {"folder": args.photos, "tars": args.photos, "more": 4 * args.photos}
    for name, all_spent in spent.items():
        wall_s, cpu_s, peak_mb = (statistics.median(values) for values in zip(*all_spent, strict=True))
        print(
            f"{name}: {photos[name]} photos, {photos[name] / wall_s:.2f} a second, "
            f"{1000 * cpu_s / photos[name]:.0f} ms of CPU time each, at most {peak_mb:.0f} MB"
        )
    for what in ("wall_s", "cpu_s"):
        pairs = zip(spent["folder"], spent["tars"], strict=True)
        ratios = [getattr(folder, what) / getattr(tars, what) for folder, tars in pairs]
        print(
            f"folder / tars, {what}: median {statistics.median(ratios):.3f} of {[round(ratio, 3) for ratio in ratios]}"
        )


if __name__ == "__main__":
    main()
