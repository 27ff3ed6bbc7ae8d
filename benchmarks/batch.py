"""Measure if a CPU gains by computing several pictures at once: milliseconds a picture, by size of the batch.

    python benchmarks/batch.py MODEL [--threads 2] [--batches 1 2 4 8]

Runs the ONNX Runtime session that predict would open, on random pictures at the model's size for 640 x 480 photos.
"""

import argparse
import statistics
import time

ROUNDS = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batches", type=int, nargs="+", default=[1, 2, 4, 8])
    args = parser.parse_args()

    import numpy as np

    from hqmd_cli.checkpoints.checkpoint import read_info
    from hqmd_cli.checkpoints.hub import ONNX_FILES, find_checkpoint
    from hqmd_cli.geometry.resize import Preprocess
    from hqmd_cli.inference.engines.onnx import OnnxEngine
    from hqmd_cli.inference.engines.select import graph_for

    folder = find_checkpoint(args.model)
    config = read_info(folder).model
    graph = ONNX_FILES[graph_for(folder, "auto") or "fp32"]
    session = OnnxEngine(folder / graph, args.threads).session
    side = config.shown_sides[0]
    size = Preprocess((side, side), config.compute.size_multiple).working_size(480, 640)
    pictures = np.random.default_rng(0).integers(0, 255, (max(args.batches), *size, 3), dtype=np.uint8)
    took: dict[int, list[float]] = {batch: [] for batch in args.batches}
    for turn in range(ROUNDS + 1):
        for batch in args.batches:
            started = time.perf_counter()
            session.run(None, {"rgb": pictures[:batch]})
            if turn:  # the first round allocates
                took[batch].append(1000 * (time.perf_counter() - started) / batch)
    shown = ", ".join(f"{batch}: {statistics.median(times):.1f} ms" for batch, times in took.items())
    print(f"{args.model} ({graph}) at {size}, {args.threads} threads, a picture in a batch of {shown}")


if __name__ == "__main__":
    main()
