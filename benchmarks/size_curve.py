"""Measure accuracy and time of models by the side at which they see a photo.

    python benchmarks/size_curve.py MODEL... --data PAIRS [--split val] [--sides 192 224 256 288 224,288] [--threads 2]

For every model and side (or several sides, averaged): the time of a photo from uint8 to metres, RMSE with its interval,
AbsRel, delta1 and edge F1 under eigen-filled, calibrated for that side as `hqmd calibrate` does. The time is the median
over the first photos of the split; run nothing beside it. `--flips no yes` also averages with the mirrored photo.
`-o FILE.png` also draws RMSE over milliseconds.
"""

import argparse
import os
import platform
import statistics
import time
from pathlib import Path

TIMED_PHOTOS = 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--sides", nargs="+", default=["192", "224", "256", "288", "224,288"])
    parser.add_argument("--flips", nargs="+", choices=("no", "yes"), default=["no"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("-o", "--output", type=Path)
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(args.threads)  # before anything that makes threads is imported

    from dataclasses import replace

    import cv2

    from hqmd_cli.checkpoints.checkpoint import read_info
    from hqmd_cli.checkpoints.hub import ONNX_FILES, find_checkpoint
    from hqmd_cli.commands.options import parse_sides
    from hqmd_cli.config.view import View
    from hqmd_cli.data import open_dataset
    from hqmd_cli.evaluation.calibration import best_power, depth_pairs
    from hqmd_cli.evaluation.evaluate import evaluate
    from hqmd_cli.evaluation.prediction_source import model_source
    from hqmd_cli.evaluation.protocols import find_protocol
    from hqmd_cli.inference.engines.onnx import OnnxEngine
    from hqmd_cli.inference.engines.select import graph_for
    from hqmd_cli.inference.predictor import DepthPredictor

    cv2.setNumThreads(args.threads)
    protocol = find_protocol("eigen-filled")
    data = open_dataset(args.data, args.split, protocol.ground_truth, None)
    images = [data[i].image for i in range(min(TIMED_PHOTOS, len(data)))]
    print(f"{data.description}, {len(data)} pictures, {protocol.name}; {platform.machine()}, {args.threads} threads")
    print("| model | side | flip | ms a photo | RMSE | AbsRel | delta1 | edge F1 |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    curves: dict[str, list[tuple[float, float]]] = {}
    for model in args.models:
        folder = find_checkpoint(model)
        graph = folder / ONNX_FILES[graph_for(folder, "auto") or "fp32"]
        engine, settings = OnnxEngine(graph, args.threads), read_info(folder).model
        for flip in (choice == "yes" for choice in args.flips):
            for side in args.sides:
                view = View(parse_sides(side), flip, edge_share=settings.view.edge_share)
                as_trained = model_source(DepthPredictor(engine, replace(settings, view=view)))
                power = best_power(list(depth_pairs(as_trained, data, protocol)), protocol.clip_m)
                view = replace(view, power=power)
                shown = DepthPredictor(engine, replace(settings, view=view))
                bias = evaluate(shown, data, protocol).metrics["bias"]
                predict = DepthPredictor(engine, replace(settings, view=replace(view, calibration=1 / bias)))
                predict(images[0])
                took = []
                for image in images:
                    started = time.perf_counter()
                    predict(image)
                    took.append(1000 * (time.perf_counter() - started))
                result = evaluate(predict, data, protocol)
                low, high = result.intervals["RMSE"]
                m = result.metrics
                ms = statistics.median(took)
                curves.setdefault(f"{model}{', flip' if flip else ''}", []).append((ms, m["RMSE"]))
                print(
                    f"| {model} | {side} | {'yes' if flip else 'no'} | {ms:.0f} | {m['RMSE']:.3f} ({low:.3f} to "
                    f"{high:.3f}) | {m['AbsRel']:.3f} | {m['delta1']:.3f} | {m['edgeF1']:.3f} |",
                    flush=True,
                )
    if args.output:
        draw(curves, args.output)


def draw(curves: dict[str, list[tuple[float, float]]], path: Path) -> None:
    """Draw RMSE over milliseconds, one line per model."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.add_subplot(xlabel="ms a photo", ylabel="RMSE [m]", xscale="log")
    for name, points in curves.items():
        axes.plot(*zip(*points, strict=True), marker="o", label=name)
    axes.legend()
    figure.savefig(path)


if __name__ == "__main__":
    main()
