"""Time a folder of photos end to end: hqmd against the bare network, and against another program.

    python benchmarks/folder.py MODEL [--photos 200] [--threads 2] [--against COMMAND]

The photos are links to one 640 x 480 JPEG. These take turns in one run: `hqmd predict FOLDER -o OUT` as a whole
process, start included; the model's ONNX Runtime session in a loop on a ready picture, once for each photo; and, with
--against, COMMAND, in which {folder} and {out} are replaced. --size, --side and --backend are passed on to hqmd.
"""

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from predict import make_photo  # beside this file

BARE = """
import sys, time, numpy as np, onnxruntime
path, sizes, photos, threads = sys.argv[1], sys.argv[2].split(","), *map(int, sys.argv[3:])
options = onnxruntime.SessionOptions()
options.intra_op_num_threads = threads
session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
rng = np.random.default_rng(0)
pictures = [rng.integers(0, 255, (1, *map(int, size.split("x")), 3), dtype=np.uint8) for size in sizes]
for picture in pictures:
    session.run(None, {"rgb": picture})
started = time.perf_counter()
for _ in range(photos):
    for picture in pictures:
        session.run(None, {"rgb": picture})
print(time.perf_counter() - started)
"""


def make_folder(folder: Path, photos: int) -> None:
    """Fill a new folder with links to one photo."""
    folder.mkdir()
    make_photo(str(folder / ".photo.jpg"))
    for number in range(photos):
        (folder / f"{number:05d}.jpg").symlink_to(folder / ".photo.jpg")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--photos", type=int, default=200)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--against")
    parser.add_argument("--size", default="default", help="passed on to hqmd predict")
    parser.add_argument("--side", type=int, help="passed on to hqmd predict")
    parser.add_argument(
        "--backend", default="auto", help="passed on to hqmd predict; the bare session is always ONNX Runtime"
    )
    args = parser.parse_args()

    from hqmd_cli.checkpoints.checkpoint import read_info
    from hqmd_cli.checkpoints.hub import ONNX_FILES, find_checkpoint
    from hqmd_cli.config.view import side_views
    from hqmd_cli.geometry.resize import Preprocess
    from hqmd_cli.inference.engines.select import graph_for

    checkpoint = find_checkpoint(args.model)
    config = read_info(checkpoint).model.at_size(args.size)
    if args.side:
        config = config.with_settings(predict_sides=(args.side,))
    graph = checkpoint / ONNX_FILES[graph_for(checkpoint, "auto") or "fp32"]
    sides = [side for side, views in side_views(config.shown_sides, config.view.flip) for _ in views]
    sizes = [Preprocess((side, side), config.compute.size_multiple).working_size(480, 640) for side in sides]
    env = {**os.environ, "OMP_NUM_THREADS": str(args.threads)}

    def seconds(command: list[str]) -> float:
        started = time.perf_counter()
        subprocess.run(command, check=True, capture_output=True, env=env)
        return time.perf_counter() - started

    took: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place, "photos")
        make_folder(folder, args.photos)
        for turn in range(args.rounds):
            out = f"{place}/out{turn}"
            ours = [sys.executable, "-m", "hqmd_cli", "predict", str(folder), "-o", out, "--model", str(checkpoint)]
            ours += ["--side", str(args.side)] if args.side else ["--size", args.size]
            ours += ["--backend", args.backend]
            took.setdefault("hqmd predict", []).append(seconds(ours))
            bare = [sys.executable, "-c", BARE, str(graph)]
            bare += [",".join(f"{height}x{width}" for height, width in sizes), str(args.photos), str(args.threads)]
            loop = subprocess.run(bare, check=True, capture_output=True, text=True, env=env)
            took.setdefault("bare session", []).append(float(loop.stdout))
            if args.against:
                other = shlex.split(args.against.format(folder=folder, out=f"{place}/other{turn}"))
                took.setdefault("the other", []).append(seconds(other))
    print(f"{args.model} ({graph.name}), {args.photos} photos of 640 x 480 seen at {sizes}, {args.threads} threads")
    best = {name: args.photos / min(times) for name, times in took.items()}
    for name, rate in best.items():
        print(f"{name:14} {rate:6.1f} photos a second, hqmd is {best['hqmd predict'] / rate:.2f} x that")


if __name__ == "__main__":
    main()
