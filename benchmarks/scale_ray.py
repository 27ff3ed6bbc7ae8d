"""Time tars by the local engine and by Ray, in turn in one run.

    python benchmarks/scale_ray.py [--photos 2000] [--tars 20] [--rounds 1] [--model hqmd-indoor-small] [--size fast]

The photos are copies of one 640 x 480 JPEG. Each run is `hqmd predict` as a whole process, start included. CPU seconds
and memory are sums over its process and all that it started, looked at four times a second; memory is that after a
quarter of the time, and the peak. Below a run by Ray stand the CPU seconds of each kind of process. `--units 2000`
measures instead how many idle units a second Ray hands out.
"""

import argparse
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter
from functools import partial
from importlib.metadata import version
from pathlib import Path

import psutil

from predict import make_photo  # beside this file

KINDS = {  # what is in the command line of a process -> what it is
    "raylet/raylet": "raylet",  # first, for its own command line names the others
    "gcs_server": "GCS",
    "parallel.guarded": "photos",
    "hqmd_cli": "driver",
    "ray::": "actors",
    "default_worker": "actors",
}


def kind_of(command: str) -> str:
    """Return the entry of KINDS that a command line fits, else the name of its script, or "others"."""
    kind = next((kind for word, kind in KINDS.items() if word in command), None)
    return kind or next((Path(word).stem for word in command.split() if word.endswith(".py")), "others")


def measured(command: list[str]) -> tuple[float, Counter[str], list[float]]:
    """Run a command; return its seconds, the CPU seconds of each kind of process, and the megabytes at each look."""
    began, cpu, memory = time.perf_counter(), {}, []
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    root = psutil.Process(process.pid)
    while process.poll() is None:
        now = 0.0
        for each in [root, *root.children(recursive=True)]:
            try:
                times = each.cpu_times()
                cpu[each.pid] = kind_of(" ".join(each.cmdline())), times.user + times.system
                now += each.memory_info().rss / 1e6
            except psutil.Error:  # it has ended
                continue
        memory.append(now)
        time.sleep(0.25)
    if process.returncode:
        sys.exit(f"exit code {process.returncode}")
    kinds = Counter[str]()
    for kind, seconds in cpu.values():
        kinds[kind] += seconds
    return time.perf_counter() - began, kinds, memory


def units_a_second(units: int) -> float:
    """Units that do nothing, from the first to the last outcome."""
    from hqmd_cli.parallel.ray_actors import Actors, outcomes

    done = outcomes(partial(partial, int), [0] * units, Actors(number=2))
    next(done)
    began = time.perf_counter()
    return sum(1 for _ in done) / (time.perf_counter() - began)


def compare(args: argparse.Namespace, folder: Path) -> None:
    """Run both engines in turn, and print what they took."""
    make_photo(str(folder / "photo.jpg"))
    for number in range(args.tars):
        with tarfile.open(folder / f"{number:05}.tar", "w") as archive:
            for index in range(number, args.photos, args.tars):
                archive.add(folder / "photo.jpg", f"{index:06}.jpg")
    size = (folder / "photo.jpg").stat().st_size
    print(f"{args.photos} photos of {size / 1e3:.0f} kB, {args.tars} tars, {args.model} {args.size}")
    out, times = folder / "out", {"local": [], "ray": []}
    for _ in range(args.rounds):
        for engine, spent in times.items():
            command = [sys.executable, "-m", "hqmd_cli", "predict", str(folder / "*.tar"), "-o", str(out), "--model"]
            command += [args.model, "--size", args.size, "--format", "mm", "--engine", engine]
            seconds, cpu, memory = measured(command)
            written = sum(path.stat().st_size for path in out.rglob("*.tar"))
            shutil.rmtree(out)
            spent.append(seconds)
            print(
                f"{engine:5} {seconds:7.1f} s, {args.photos / seconds:6.2f} photos a second, CPU "
                f"{1000 * cpu.total() / args.photos:.0f} ms each, {written / args.photos / 1e3:.0f} kB out; "
                f"{memory[len(memory) // 4]:.0f} MB, at most {max(memory):.0f} MB",
                flush=True,
            )
            if engine == "ray":
                print("      CPU seconds:", ", ".join(f"{kind} {each:.1f}" for kind, each in cpu.most_common()))
    print(f"ray / local {statistics.median(times['local']) / statistics.median(times['ray']):.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--photos", type=int, default=2000)
    parser.add_argument("--tars", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--model", default="hqmd-indoor-small")
    parser.add_argument("--size", default="fast")
    parser.add_argument("--units", type=int, default=0)
    args = parser.parse_args()
    about = f"{platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.0f}"
    print(about, *(f"{name} {version(name)}" for name in ("onnxruntime", "numpy", "ray")), sep=", ")
    if args.units:
        print(f"Ray alone: {units_a_second(args.units):.0f} units a second")
        return
    with tempfile.TemporaryDirectory(dir=".") as folder:
        compare(args, Path(folder))


if __name__ == "__main__":
    main()
