"""Measure the memory of predict: the peak for one large photo, and over a long folder.

    python benchmarks/memory.py [--model hqmd-indoor] [--megapixels 12 100] [--links 2000]

First, for one photo of each size and each kind of output: the peak resident memory of a whole process, as the kernel
counts it (VmHWM). Then, for a folder of --links links to the example photos: resident memory at each tenth of the way.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

EXAMPLES = sorted((Path(__file__).parents[1] / "examples").glob("*.jpg"))
OUTPUTS = ["depth.png", "depth.mm.png", "depth.npy", "depth.tiff", "depth.normals.png", "depth.ply", "depth.glb"]


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "hqmd_cli", "predict", *map(str, arguments), "--overwrite"]


def status_mb(pid: int, key: str) -> float | None:
    """Read a line of /proc/PID/status in megabytes; None if the process has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return next((int(line.split()[1]) * 1024 / 1e6 for line in lines if line.startswith(f"{key}:")), None)


def watched(arguments: list[str], key: str, every: float) -> Iterator[float]:
    """Run a command and yield its memory in megabytes until it ends. Raises RuntimeError if it fails."""
    with subprocess.Popen(arguments, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) as process:
        while process.poll() is None:
            megabytes = status_mb(process.pid, key)
            if megabytes is not None:
                yield megabytes
            time.sleep(every)
        if process.returncode:
            raise RuntimeError(process.stderr.read().decode() if process.stderr else arguments)


def large_photo(path: Path, megapixels: float) -> str:
    """Write an example photo, stretched to 4 : 3; return its size in words."""
    import cv2

    height = round((megapixels * 1e6 * 3 / 4) ** 0.5)
    size = (round(height * 4 / 3), height)
    cv2.imwrite(str(path), cv2.resize(cv2.imread(str(EXAMPLES[0])), size, interpolation=cv2.INTER_CUBIC))
    return f"{size[0]} x {size[1]}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="hqmd-indoor")
    parser.add_argument("--megapixels", type=float, nargs="*", default=[12, 100])
    parser.add_argument("--links", type=int, default=2000)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        for megapixels in args.megapixels:
            size = large_photo(Path(place, "large.jpg"), megapixels)
            for output in OUTPUTS:
                flags = command(f"{place}/large.jpg", "-o", f"{place}/{output}", "--model", args.model)
                peak = max(watched(flags, "VmHWM", 0.01))
                print(f"{args.model}, one photo of {size}, {output}: {peak:.0f} MB at most", flush=True)
                Path(place, output).unlink()
        if args.links:
            folder, out = Path(place, "links"), Path(place, "out")
            folder.mkdir()
            for number in range(args.links):
                (folder / f"{number:05d}.jpg").symlink_to(EXAMPLES[number % len(EXAMPLES)])
            along: dict[int, float] = {}
            for megabytes in watched(command(folder, "-o", out, "--model", args.model), "VmRSS", 0.2):
                tenths = (
                    10 * sum(1 for entry in os.scandir(out) if entry.name.endswith(".png")) // args.links
                    if out.exists()
                    else 0
                )
                along[tenths] = max(along.get(tenths, 0), megabytes)
            print(f"{args.model}, {args.links} links to {len(EXAMPLES)} photos, MB at each tenth of the way:")
            print(", ".join(f"{megabytes:.0f}" for _, megabytes in sorted(along.items())))


if __name__ == "__main__":
    main()
