"""Tell the error of the scale from that of the shape, by how far away a scene is.

    python benchmarks/near_and_far.py MODEL --data PAIRS [PAIRS ...] [--depth-scale N]

For each set, and in it for pictures whose true depth has its median between the edges of a bin: the median of the
ratios of both medians (prediction / truth), AbsRel in metres, and AbsRel once each map is scaled by that ratio. The
last column is the correlation of the logarithm of the ratio with that of the true median. A set is its split val, or
all of it. Focal lengths are the data's own.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

from hqmd_cli import load
from hqmd_cli.data import open_split_or_all
from hqmd_cli.evaluation.metrics.pixels import abs_rel, median_ratio

EDGES_M = (0, 0.7, 1, 1.4, 2, 3, np.inf)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, nargs="+", required=True)
    parser.add_argument("--depth-scale", type=float)
    args = parser.parse_args()
    model = load(args.model)
    print("| set | median depth | pictures | median ratio | AbsRel | AbsRel, scaled | correlation |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for path in args.data:
        data = open_split_or_all(path, "val", "filled", args.depth_scale)
        scores = np.array([row_of(model, data[index]) for index in range(len(data))])
        depth_m, ratio = scores[:, 0], scores[:, 1]
        correlation = np.corrcoef(np.log(ratio), np.log(depth_m))[0, 1]
        print_row(data.description, "all", scores, f"{correlation:.2f}")
        for near, far in itertools.pairwise(EDGES_M):
            inside = (depth_m >= near) & (depth_m < far)
            if inside.any():
                print_row("", f"from {near:g} m" if far == np.inf else f"{near:g} to {far:g} m", scores[inside], "")


def row_of(model, sample):  # type: ignore[no-untyped-def]
    """Return the true median in metres, the ratio of the medians, AbsRel, and AbsRel once scaled."""
    pred_m = model(sample.image, fx=sample.focal_px)[sample.valid]
    depth_m = sample.depth_m[sample.valid]
    to_truth = median_ratio(pred_m, depth_m)
    return np.median(depth_m), 1 / to_truth, abs_rel(pred_m, depth_m), abs_rel(pred_m * to_truth, depth_m)


def print_row(name, bin_m, scores, correlation):  # type: ignore[no-untyped-def]
    ratio, (error, scaled) = np.median(scores[:, 1]), scores[:, 2:].mean(axis=0)
    print(
        f"| {name} | {bin_m} | {len(scores)} | {ratio:.2f} | {error:.3f} | {scaled:.3f} | {correlation} |", flush=True
    )


if __name__ == "__main__":
    main()
