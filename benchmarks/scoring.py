"""Time scoring against the plain loop that depth repositories copy: same maps, same metrics, in one run.

    python benchmarks/scoring.py --pictures 654 --plain 8            # synthetic rooms; the plain loop scores 8 of them
    python benchmarks/scoring.py --data NYU_PAIRS --pictures 654

The plain loop scores picture by picture in numpy, scipy and scikit-image: compute_errors as in AdaBins, BTS and many
others, the edges of Hu et al., the depth boundary errors of iBims-1's script, boundary F1 after Depth Pro's, normals by
fitting planes, and the formulas of all other metrics as they are written: nearest points by the distances of all pairs,
or with --tree by scipy's search tree.
Both loops get their maps ready in memory, with planes, and a model that states its errors and its field of view. Of
synthetic rooms there are DISTINCT, which repeat. The plain loop takes seconds a picture, so it may score a part of the
pictures, spread evenly; times are then compared by the picture. Before anything is timed they must agree to 1e-6,
except where the plain loop approximates differently (OTHER_CANNY) or rounding decides if a pixel counts (COUNTED).
"""

import argparse
import platform
import resource
import statistics
import sys
import time
from dataclasses import replace
from functools import partial
from itertools import product
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from scipy.spatial import cKDTree
from skimage.feature import canny

from hqmd_cli.data import open_dataset
from hqmd_cli.data.sample import Sample, sample_from
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.metrics.point_cloud import MOST_POINTS
from hqmd_cli.evaluation.prediction_source import PredictionSource, Said
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.geometry.camera import find_intrinsics
from hqmd_cli.inference.uncertainty import Uncertainty

AGREE = 1e-6
OTHER_CANNY = ("DBEacc", "DBEcomp")  # scikit-image's edges lie up to a pixel from OpenCV's
CANNY_TOLERANCE_PX = 0.5
COUNTED = ("normal11.25", "normal22.5", "normal30", "pointF@0.1", "pointF@0.25")  # in float32 one or two are beyond
COUNTED_TOLERANCE = 1e-4
TOLERANCES = {
    **dict.fromkeys(OTHER_CANNY, CANNY_TOLERANCE_PX),
    **dict.fromkeys(COUNTED, COUNTED_TOLERANCE),
}
DISTINCT = 30
SAID = Said(540.0, Uncertainty(0.08, np.linspace(0.02, 0.2, 120 * 160, dtype=np.float32).reshape(120, 160)))


def plain_pixels(pred, gt):
    """Compute the metrics of compute_errors, as repositories copy it, and the others of hqmd."""
    thresh = np.maximum(gt / pred, pred / gt)
    error = np.log(pred) - np.log(gt)
    return {
        "AbsRel": np.mean(np.abs(gt - pred) / gt),
        "SqRel": np.mean((gt - pred) ** 2 / gt),
        "RMSE": np.sqrt(((gt - pred) ** 2).mean()),
        "RMSElog": np.sqrt(((np.log(gt) - np.log(pred)) ** 2).mean()),
        "SILog": np.sqrt(np.mean(error**2) - np.mean(error) ** 2) * 100,
        "log10": np.abs(np.log10(gt) - np.log10(pred)).mean(),
        "delta1": (thresh < 1.25).mean(),
        "delta2": (thresh < 1.25**2).mean(),
        "delta3": (thresh < 1.25**3).mean(),
        "bias": np.median(pred / gt),
        "delta@1.05": (thresh < 1.05).mean(),
        "delta@1.1": (thresh < 1.1).mean(),
    }


def plain_bands(pred, gt):
    """Compute AbsRel in bands of true depth."""
    figures = {}
    for name, near, far in (("Near", 0, 2), ("Middle", 2, 5), ("Far", 5, 20), ("Beyond", 20, np.inf)):
        inside = (gt >= near) & (gt < far)
        figures[f"AbsRel{name}"] = np.mean(np.abs(pred - gt)[inside] / gt[inside]) if inside.any() else np.nan
    return figures


def plain_spaces(pred, gt):
    """Compute AbsRel and delta1 as predicted, scaled by medians, and after numpy's least squares."""
    design = np.stack([pred, np.ones_like(pred)], axis=1)
    (scale, shift), *_ = np.linalg.lstsq(design, gt, rcond=None)
    spaces = {
        "Native": pred,
        "Scaled": pred * np.median(gt) / np.median(pred),
        "Fitted": np.maximum(scale * pred + shift, 0.001),
    }
    figures = {}
    for name, values in spaces.items():
        figures[f"AbsRel{name}"] = np.mean(np.abs(gt - values) / gt)
        figures[f"delta1{name}"] = (np.maximum(gt / values, values / gt) < 1.25).mean()
    return figures


def of_all_pairs(points, others):
    """Take the least of all distances, 200 points at a time."""
    blocks = (points[i : i + 200] for i in range(0, len(points), 200))
    return np.concatenate([np.sqrt(((block[:, None] - others[None]) ** 2).sum(-1).min(1)) for block in blocks])


def by_tree(points, others):
    """Find the nearest points by scipy's search tree."""
    return cKDTree(others).query(points)[0]


def plain_points(pred, gt, mask, camera, tree):
    """Compute F-scores and Chamfer at the pixels that hqmd takes."""
    every = 1
    while mask[::every, ::every].sum() > MOST_POINTS:
        every += 1
    rows, columns = (index[::every, ::every][mask[::every, ::every]] for index in np.indices(mask.shape))
    clouds = []
    for z in (pred[rows, columns], gt[rows, columns]):
        clouds.append(np.stack([(columns - camera.cx) / camera.fx * z, (rows - camera.cy) / camera.fy * z, z], axis=1))

    nearest = by_tree if tree else of_all_pairs
    from_pred, from_truth = nearest(*clouds), nearest(*clouds[::-1])
    figures = {"Chamfer": (from_pred.mean() + from_truth.mean()) / 2}
    for limit in (0.1, 0.25):
        precision, recall = (from_pred < limit).mean(), (from_truth < limit).mean()
        figures[f"pointF@{limit}"] = 2 * precision * recall / max(precision + recall, 1e-12)
    return figures


def plain_planes(pred, gt, mask, planes, camera):
    """Compute planarity errors by numpy's singular values."""
    rows, columns = np.indices(mask.shape)
    flatness, angles = [], []
    for number in np.unique(planes[mask & (planes > 0)]):
        inside = mask & (planes == number)
        if inside.sum() < 0.05 * mask.size:
            continue
        scale = np.median(gt[inside]) / np.median(pred[inside])
        fits = []
        for z in (pred[inside] * scale, gt[inside]):
            x, y = (columns[inside] - camera.cx) / camera.fx * z, (rows[inside] - camera.cy) / camera.fy * z
            points = np.stack([x, y, z], axis=1)
            points -= points.mean(axis=0)
            normal = np.linalg.svd(points, full_matrices=False)[2][2]
            fits.append((np.std(points @ normal), normal))
        flatness.append(100 * fits[0][0])
        sine = np.linalg.norm(np.cross(fits[0][1], fits[1][1]))
        angles.append(np.degrees(np.arctan2(sine, abs(fits[0][1] @ fits[1][1]))))
    return {
        "planeFlatness": np.mean(flatness) if flatness else np.nan,
        "planeAngle": np.mean(angles) if angles else np.nan,
    }


def plain_surely(pred, gt, mask):
    """Compute AUSE and the shares within their intervals, step by step."""
    places = np.flatnonzero(mask)
    places = places[:: -(-len(places) // 2000)]
    off = np.log(pred.ravel()[places] / gt.ravel()[places])
    shape_off = off - np.median(off)
    stated = SAID.uncertainty.at(mask.shape).ravel()[places]
    errors, order = np.abs(shape_off), np.lexsort((np.random.default_rng(0).random(len(places)), stated))
    curve = []
    for step in range(1, 21):
        left = -(-len(places) * step // 20)
        curve.append(errors[order[:left]].mean() - np.sort(errors)[:left].mean())
    return {
        "AUSE": np.mean(curve) / errors.mean(),
        "scaleHeld": float(abs(np.median(off)) <= 1.645 * SAID.uncertainty.scale),
        "shapeHeld": (errors <= 1.645 * stated).mean(),
    }


def plain_edges(pred, gt, mask):
    """Compute precision, recall and F1 of Sobel edges, threshold by threshold."""
    whole = ndimage.binary_erosion(mask, np.ones((3, 3)))
    figures = {}
    for threshold, name in ((0.25, "0.25"), (0.5, "0.5"), (1.0, "1")):
        found, true = (
            (np.hypot(ndimage.sobel(z, 0, mode="mirror"), ndimage.sobel(z, 1, mode="mirror")) > threshold) & whole
            for z in (pred, gt)
        )
        hits = (found & true).sum()
        empty = found.sum() + true.sum() == 0
        figures[f"edgeP@{name}"] = 1.0 if empty else hits / max(found.sum(), 1)
        figures[f"edgeR@{name}"] = 1.0 if empty else hits / max(true.sum(), 1)
        figures[f"edgeF1@{name}"] = 1.0 if empty else 2 * hits / (found.sum() + true.sum())
    figures["edgeF1"] = figures.pop("edgeF1@0.25")
    return figures


def plain_boundaries(pred, gt, mask):
    """Compute depth boundary errors as in iBims-1's script: Canny, and a distance transform of each map's edges."""
    holes = ndimage.distance_transform_edt(~mask, return_distances=False, return_indices=True)
    edges = []
    for z in (pred, gt):
        filled = z[tuple(holes)]
        scaled = (filled - filled.min()) / (filled.max() - filled.min())
        edges.append(canny(scaled, sigma=np.sqrt(2), low_threshold=0.15, high_threshold=0.3, mode="nearest"))
    whole = ndimage.binary_erosion(mask, np.ones((3, 3)))
    if not (edges[1] & whole).any():
        return {"DBEacc": np.nan, "DBEcomp": np.nan}
    to_true = ndimage.distance_transform_edt(~edges[1])[edges[0] & whole]
    near = to_true[to_true < 10]
    if near.size == 0:
        return {"DBEacc": 10.0, "DBEcomp": 10.0}
    to_found = ndimage.distance_transform_edt(~edges[0])[edges[1] & whole]
    return {"DBEacc": near.mean(), "DBEcomp": np.minimum(np.concatenate([to_true, to_found]), 10).mean()}


def plain_contours(pred, gt, mask):
    """Compute boundary F1: for each ratio the four directions of occlusion, as masks."""
    ratios = np.linspace(1.05, 1.25, 10)
    scores = []
    for ratio in ratios:
        hits = found_all = true_all = 0
        for here, there in ((np.s_[:, :-1], np.s_[:, 1:]), (np.s_[:-1], np.s_[1:])):
            both = mask[here] & mask[there]
            for a, b in ((here, there), (there, here)):
                found = (pred[b] / pred[a] > ratio) & both
                true = (gt[b] / gt[a] > ratio) & both
                hits += (found & true).sum()
                found_all += found.sum()
                true_all += true.sum()
        scores.append(2 * hits / (found_all + true_all) if found_all + true_all else 1.0)
    return {"boundaryF1": (ratios * scores).sum() / ratios.sum()}


def plain_normals(pred, gt, mask, camera):
    """Compute angles between normals of planes fitted to 7 x 7 pixels of 1 / z, away from jumps of the truth."""
    from hqmd_cli.geometry.surfaces import on_jumps  # which pixels count is no metric of its own

    chosen = ndimage.binary_erosion(~on_jumps(np.where(mask, gt, 0)), np.ones((7, 7)))
    rows, columns = np.mgrid[: gt.shape[0], : gt.shape[1]]
    ramp = np.arange(-3, 4) / 28
    vectors = []
    for z in (pred, gt):
        inverse = 1 / np.where(mask, z, 1)
        mean = ndimage.uniform_filter(inverse, 7, mode="mirror")
        across = ndimage.correlate1d(ndimage.uniform_filter1d(inverse, 7, 0, mode="mirror"), ramp, 1, mode="mirror")
        down = ndimage.correlate1d(ndimage.uniform_filter1d(inverse, 7, 1, mode="mirror"), ramp, 0, mode="mirror")
        normal = np.stack(
            [
                across * camera.fx,
                down * camera.fy,
                mean - across * (columns - camera.cx) - down * (rows - camera.cy),
            ],
            -1,
        )
        vectors.append(normal / np.linalg.norm(normal, axis=-1, keepdims=True))
    sine = np.linalg.norm(np.cross(vectors[0], vectors[1]), axis=-1)
    angles = np.degrees(np.arctan2(sine, (vectors[0] * vectors[1]).sum(-1)))[chosen]
    shares = {f"normal{limit}": (angles < limit).mean() for limit in (11.25, 22.5, 30)}
    bent = []
    for distance, (down, right) in product((8, 16, 32), ((0, 1), (1, 0), (1, 1), (1, -1))):
        v, u = (index.ravel() for index in np.mgrid[: gt.shape[0] : 8, : gt.shape[1] : 8])
        w, x = v + down * distance, u + right * distance
        inside = (w < gt.shape[0]) & (x >= 0) & (x < gt.shape[1])
        v, u, w, x = (index[inside] for index in (v, u, w, x))
        both = chosen[v, u] & chosen[w, x]
        one, other = (
            np.degrees(
                np.arctan2(
                    np.linalg.norm(np.cross(field[v, u], field[w, x]), axis=-1), (field[v, u] * field[w, x]).sum(-1)
                )
            )
            for field in vectors
        )
        bent.append(np.abs(one - other)[both])
    relative = np.concatenate(bent).mean()
    return {"normalMean": angles.mean(), "normalMedian": np.median(angles), "normalRelative": relative, **shares}


def plain_loop(samples, preds, limit=None, tree=False):
    """Score all metrics under eigen-filled in float64, one picture after the other."""
    rows = []
    for sample, pred in list(zip(samples, preds, strict=True))[:limit]:
        gt, pred = sample.depth_m.astype(np.float64), pred.astype(np.float64)
        pred = np.clip(pred, 1e-3, 10)
        mask = sample.valid & (gt > 1e-3) & (gt < 10)
        crop = np.zeros(mask.shape, bool)
        crop[45:471, 41:601] = True
        mask &= crop
        figures = plain_pixels(pred[mask], gt[mask])
        figures |= plain_edges(pred, gt, mask)
        figures |= plain_boundaries(pred, gt, mask)
        figures |= plain_contours(pred, gt, mask)
        camera = find_intrinsics(*gt.shape)
        figures |= plain_normals(pred, gt, mask, camera)
        figures |= plain_bands(pred[mask], gt[mask]) | plain_spaces(pred[mask], gt[mask])
        figures |= plain_points(pred, gt, mask, camera, tree) | plain_planes(pred, gt, mask, sample.planes, camera)
        figures |= plain_surely(pred, gt, mask)
        seen, true = (np.degrees(2 * np.arctan(gt.shape[1] / 2 / fx)) for fx in (SAID.focal_px, camera.fx))
        figures["FOVerror"] = abs(seen - true)
        rows.append(figures)
    return rows


class Maps:
    """A dataset of samples in memory."""

    def __init__(self, samples: list[Sample]) -> None:
        self.samples, self.ground_truth, self.description = samples, "filled", "maps in memory"
        self.names = [sample.name for sample in samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def hqmd_loop(samples, preds, limit=None):
    """Score all metrics under eigen-filled with hqmd."""
    of = {id(sample): pred for sample, pred in zip(samples, preds, strict=True)}
    judged = PredictionSource(lambda sample: of[id(sample)], tells=lambda sample: (of[id(sample)], SAID))
    protocol = find_protocol("eigen-filled")
    return [scored.figures for scored in score_each(judged, Maps(samples[:limit]), protocol, detail=True)]


def disturbed(depth_m: np.ndarray, seed: int) -> np.ndarray:
    """Imitate a network's depth: blurred, and a few percent off with smooth noise."""
    rng = np.random.default_rng(seed)
    noise = ndimage.zoom(rng.normal(0, 0.08, (6, 8)), (80, 80), order=1)
    return (ndimage.gaussian_filter(depth_m, 3) * np.exp(noise) * 1.03).astype(np.float32)


def room(seed: int) -> Sample:
    """Draw a room: floor, ceiling, walls, and boxes in front of them, 480 x 640."""
    rng = np.random.default_rng(seed)
    camera = find_intrinsics(480, 640)
    rows, columns = np.indices((480, 640))
    rays = np.stack([(columns - camera.cx) / camera.fx, (rows - camera.cy) / camera.fy, np.ones((480, 640))], -1)
    normals = np.array([[0, 1, 0], [0, -1, 0], [1, 0, 0], [-1, 0, 0], [0, 0, 1]]) + rng.normal(0, 0.1, (5, 3))
    reach = np.array([1.3, 1.4, 2.0, 2.2, 5.0]) * rng.uniform(0.8, 1.4, 5)
    facing = rays @ normals.T
    depths = np.where(facing > 0, reach / np.maximum(facing, 1e-9), np.inf)
    depth_m, planes = depths.min(-1), (1 + depths.argmin(-1)).astype(np.uint8)
    for _ in range(6):
        top, left = rng.integers(80, 380), rng.integers(60, 520)
        box = np.s_[top : top + rng.integers(40, 120), left : left + rng.integers(40, 140)]
        depth_m[box], planes[box] = np.minimum(depth_m[box], rng.uniform(1, 3)), 0
    noisy = depth_m * np.exp(rng.normal(0, 0.002, depth_m.shape))
    image = np.zeros((480, 640, 3), np.uint8)
    return replace(sample_from(f"room {seed}", image, noisy.astype(np.float32)), planes=planes)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, help="pairs of 480 x 640; without, synthetic rooms")
    parser.add_argument("--split", default="all")
    parser.add_argument("--pictures", type=int, default=654)
    parser.add_argument("--plain", type=int, help="how many of them the plain loop scores in a run; default: all")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--tree", action="store_true", help="the plain loop finds nearest points by scipy's tree")
    parser.add_argument("--checked", type=int, default=20, help="pictures on which both must agree")
    options = parser.parse_args()
    if options.data:
        dataset = open_dataset(options.data, options.split)
        distinct = [dataset[i] for i in range(min(options.pictures, len(dataset)))]
        distinct = [replace(sample, planes=np.zeros(sample.depth_m.shape, np.uint8)) for sample in distinct]
    else:
        distinct = [room(seed) for seed in range(min(options.pictures, DISTINCT))]
    maps = [disturbed(sample.depth_m, i) for i, sample in enumerate(distinct)]
    which = [i % len(distinct) for i in range(options.pictures if not options.data else len(distinct))]
    samples, preds = [distinct[i] for i in which], [maps[i] for i in which]
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, OpenCV {cv2.__version__}")
    source = options.data or f"{DISTINCT} synthetic rooms, repeated"
    print(f"{source}: {len(samples)} pictures of {samples[0].depth_m.shape}, eigen-filled, all metrics")

    worst: dict[str, float] = {}
    checked = min(options.checked, len(samples))
    for plain, ours in zip(
        plain_loop(samples, preds, checked, options.tree), hqmd_loop(samples, preds, checked), strict=True
    ):
        assert plain.keys() == ours.keys(), plain.keys() ^ ours.keys()
        for name, value in plain.items():
            if not np.isnan(value):
                worst[name] = max(worst.get(name, 0), abs(value - ours[name]) / max(1, abs(value)))
    for name, difference in sorted(worst.items(), key=lambda item: -item[1]):
        tolerance = TOLERANCES.get(name, AGREE)
        mark = "" if difference <= tolerance else "   DISAGREE"
        print(f"  {name:14} differs by {difference:.2e} at most (of 1, or of itself if larger){mark}")

    spread = np.linspace(0, len(samples) - 1, min(options.plain or len(samples), len(samples))).round().astype(int)
    parts = [(partial(plain_loop, tree=options.tree), spread), (hqmd_loop, range(len(samples)))]
    print(f"in a run the plain loop scores {len(spread)} of the {len(samples)} pictures, hqmd all; seconds a picture:")
    ratios = []
    for _ in range(options.runs):
        times = []
        for loop, of in parts:
            start, busy = time.perf_counter(), time.process_time()
            loop([samples[i] for i in of], [preds[i] for i in of])
            times.append(((time.perf_counter() - start) / len(of), (time.process_time() - busy) / len(of)))
        (plain_s, plain_busy_s), (ours_s, ours_busy_s) = times
        ratios.append(plain_s / ours_s)
        print(
            f"plain {plain_s:.3f}, hqmd {ours_s:.3f}, ratio {ratios[-1]:.2f}; time of the processors "
            f"{plain_busy_s:.3f} and {ours_busy_s:.3f}, ratio {plain_busy_s / ours_busy_s:.2f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    held = sum(
        s.image.nbytes + s.depth_m.nbytes + s.valid.nbytes + p.nbytes for s, p in zip(distinct, maps, strict=True)
    )
    print(f"peak memory {peak:.0f} MB, of which the maps {held / 1e6:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
