"""Compare a model's graph in fp32 and int8 in ONNX Runtime: milliseconds, accuracy on val, megabytes.

    python benchmarks/precision.py MODEL --data PAIRS [--split val] [--threads 2]

int8 is what `hqmd export --precision int8` writes. The time is the median of 20 runs of the bare network at the model's
sides, without opening the file. The accuracy is that of the whole predictor under eigen-filled. Run nothing beside it.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

RUNS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # before anything that makes threads is imported

    import onnx
    import torch

    from hqmd_cli.checkpoints.checkpoint import load_checkpoint
    from hqmd_cli.checkpoints.hub import find_checkpoint
    from hqmd_cli.data import open_dataset
    from hqmd_cli.evaluation.evaluate import evaluate
    from hqmd_cli.evaluation.protocols import find_protocol
    from hqmd_cli.export.onnx_graph import graph_of
    from hqmd_cli.export.quantize import in_int8
    from hqmd_cli.geometry.resize import Preprocess
    from hqmd_cli.inference.engines.onnx import OnnxEngine
    from hqmd_cli.inference.predictor import DepthPredictor

    torch.set_num_threads(args.threads)
    protocol = find_protocol("eigen-filled")
    data = open_dataset(args.data, args.split, protocol.ground_truth, None)
    network, info = load_checkpoint(find_checkpoint(args.model), torch.device("cpu"))
    sides = info.model.shown_sides
    graph = graph_of(network)
    variants: dict[str, Callable[[], object]] = {"fp32": lambda: graph, "int8": lambda: in_int8(graph)}
    pictures = [Preprocess((side, side), info.model.compute.size_multiple)(data[0].image) for side in sides]
    print(f"{args.model} at {sides}, {data.description}, {len(data)} pictures, {args.threads} threads")
    print("| precision | MB | opening, s | ms | RMSE | AbsRel | delta1 | edge F1 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        for name, make in variants.items():
            path = Path(folder, f"{name}.onnx")
            try:
                onnx.save(make(), path)
            except Exception as error:  # such as int8 of a network without matrices
                print(f"| {name}: {error} |")
                continue
            started = time.perf_counter()
            engine = OnnxEngine(path, args.threads)
            opened = time.perf_counter() - started
            times = []
            for _ in range(RUNS + 1):
                started = time.perf_counter()
                for picture in pictures:
                    engine(picture)
                times.append(1000 * (time.perf_counter() - started))
            m = evaluate(DepthPredictor(engine, info.model), data, protocol).metrics
            figures = " | ".join(f"{m[key]:.4f}" for key in ("RMSE", "AbsRel", "delta1", "edgeF1"))
            megabytes, ms = path.stat().st_size / 1e6, statistics.median(times[1:])
            print(f"| {name} | {megabytes:.1f} | {opened:.2f} | {ms:.0f} | {figures} |", flush=True)


if __name__ == "__main__":
    main()
