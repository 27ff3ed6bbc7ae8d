"""Judge the distances that look.html measures: how often is the true one within the 90 % interval?

    python benchmarks/distances.py MODEL --data PAIRS [--split val] [--depth-scale N] [--pairs 200]

Draws pairs of random pixels with known depth from every picture, and compares their distance in space with the true
one. The camera is the data's own, or NYU's. The error follows page/measure.js (`distance`).
"""

import argparse
from pathlib import Path

import numpy as np

from hqmd_cli.data import open_split_or_all
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.geometry.surfaces import unproject
from hqmd_cli.inference.open import OpenOptions, open_model

WITHIN_90 = 1.645  # standard deviations
BINS = 5


def distances(a: np.ndarray, b: np.ndarray, scale: float, shape: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Return the distances of points (N, 3), and the ends that 9 of 10 lie within, as (3, N).

    `scale` is the relative error of all depth together, `shape` those of each point's own depth (N,) and (N,).
    """
    apart = a - b
    length = np.linalg.norm(apart, axis=1)
    along = [np.einsum("nc,nc->n", apart, points) / np.maximum(length, 1e-9) for points in (a, b)]
    parts = ((length, scale), (along[0], shape[0]), (along[1], shape[1]))
    low, high = (np.sqrt(sum((d * np.expm1(side * WITHIN_90 * e)) ** 2 for d, e in parts)) for side in (-1, 1))
    return np.stack([length, np.maximum(0, length - low), length + high])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="val")
    parser.add_argument("--depth-scale", type=float)
    parser.add_argument("--pairs", type=int, default=200)
    args = parser.parse_args()

    model, rng = open_model(args.model, OpenOptions()), np.random.default_rng(0)
    model.require_uncertainty("distances")
    assert model.surely
    dataset = open_split_or_all(args.data, args.split, "filled", args.depth_scale)
    found = []
    for sample in (dataset[i] for i in range(len(dataset))):
        depth_m, sure = model.surely(sample.image)
        camera = find_intrinsics(*depth_m.shape, fx=sample.focal_px)
        depth_m = depth_m * np.float32(sample.camera_factor)
        first, second = rng.choice(np.flatnonzero(sample.valid), (2, args.pairs))
        points, truth = (unproject(each, camera).reshape(-1, 3) for each in (depth_m, sample.depth_m))
        errors = sure.at(depth_m.shape).ravel()
        said = distances(points[first], points[second], sure.scale, (errors[first], errors[second]))
        found.append(np.vstack([said, np.linalg.norm(truth[first] - truth[second], axis=1)]))
    length, low, high, true = np.concatenate(found, axis=1)
    within = (low <= true) & (true <= high)
    print(f"{len(dataset)} pictures, {true.size:,} distances of {np.median(true):.2f} m in the median")
    relative = np.median(np.abs(length - true) / np.maximum(true, 1e-3))
    print(f"median error {relative:.1%}; {within.mean():.1%} lie in the 90 % interval")
    for part in np.array_split(np.argsort(length), BINS):
        print(f"  measured as {length[part].min():.2f} to {length[part].max():.2f} m: {within[part].mean():.1%}")


if __name__ == "__main__":
    main()
