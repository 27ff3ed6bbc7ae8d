"""Measure how long a user waits: whole processes, in turn, against a bare `import torch, torchvision`.

    python benchmarks/predict.py [--runs 5] [--threads 2]

Prints the median wall time of each command, and the median of its ratio to the import in the same round.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "astronaut.jpg"
BASE = "import torch, torchvision"


def wall_seconds(command: list[str], threads: int) -> float:
    """Run one whole process and return its wall time."""
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": str(threads)})
    return time.perf_counter() - started


def make_photo(path: str) -> None:
    """Write a photo of 640 x 480, the size of NYU's."""
    import cv2

    image = cv2.imread(str(EXAMPLE))
    cv2.imwrite(path, cv2.resize(image[: image.shape[1] * 3 // 4], (640, 480)))


def processor() -> str:
    """Return the processor's name if the system states it, or else the machine type."""
    info = Path("/proc/cpuinfo")
    names = (
        [line.partition(":")[2].strip() for line in info.read_text().splitlines() if "model name" in line]
        if info.exists()
        else []
    )
    return names[0] if names else platform.processor() or platform.machine()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    hqmd = [sys.executable, "-m", "hqmd_cli"]
    with tempfile.TemporaryDirectory() as folder:
        photo = f"{folder}/photo.jpg"
        make_photo(photo)
        out = ["-o", f"{folder}/depth.png", "--overwrite"]
        commands = {
            BASE: [sys.executable, "-c", BASE],
            "hqmd --help": [*hqmd, "--help"],
            "hqmd predict PHOTO": [*hqmd, "predict", photo, *out],
            "hqmd predict PHOTO --size fast": [*hqmd, "predict", photo, *out, "--size", "fast"],
            "hqmd-indoor-small": [*hqmd, "predict", photo, *out, "--model", "hqmd-indoor-small"],
        }
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(args.runs + 1):
            for name, command in commands.items():
                took = wall_seconds(command, args.threads)
                if turn:  # the first round warms the disk cache
                    seconds[name].append(took)
    packages = ", ".join(f"{name} {version(name)}" for name in ("hqmd", "torch", "torchvision"))
    print(
        f"{processor()}, {args.threads} threads, Python {platform.python_version()}, {packages}, a photo of 640 x 480"
    )
    for name, took in seconds.items():
        ratio = statistics.median(t / base for t, base in zip(took, seconds[BASE], strict=True))
        print(f"{name:30} median {statistics.median(took):6.2f} s, {ratio:5.2f} x the import")


if __name__ == "__main__":
    main()
