"""Time scoring against the plain loop that depth repositories copy: same maps, same metrics, in one run.

    python benchmarks/scoring.py --data NYU_PAIRS --pictures 654

The plain loop scores picture by picture in numpy, scipy and scikit-image: compute_errors as in AdaBins, BTS and many
others, the edges of Hu et al., the depth boundary errors of iBims-1's script, boundary F1 after Depth Pro's, and
normals by fitting planes. Both loops get their maps ready in memory. Before anything is timed they must agree to 1e-6,
except where the plain loop approximates differently (OTHER_CANNY) or rounding decides if a pixel counts (COUNTED).
"""

import argparse
import platform
import resource
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np
from scipy import ndimage
from skimage.feature import canny

from hqmd_cli.data import open_dataset
from hqmd_cli.data.sample import Sample
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.geometry.camera import find_intrinsics

AGREE = 1e-6
OTHER_CANNY = ("DBEacc", "DBEcomp")  # scikit-image's edges lie up to a pixel from OpenCV's
CANNY_TOLERANCE_PX = 0.5
COUNTED = ("normal11.25", "normal22.5", "normal30")  # in float32 a pixel or two fall on the other side of the limit
COUNTED_TOLERANCE = 1e-4


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
    return {"normalMean": angles.mean(), "normalMedian": np.median(angles), **shares}


def plain_loop(samples, preds, limit=None):
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
        figures |= plain_normals(pred, gt, mask, find_intrinsics(*gt.shape))
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
    judged = PredictionSource(lambda sample: of[id(sample)])
    protocol = find_protocol("eigen-filled")
    return [scored.figures for scored in score_each(judged, Maps(samples[:limit]), protocol, detail=True)]


def disturbed(depth_m: np.ndarray, seed: int) -> np.ndarray:
    """Imitate a network's depth: blurred, and a few percent off with smooth noise."""
    rng = np.random.default_rng(seed)
    noise = ndimage.zoom(rng.normal(0, 0.08, (6, 8)), (80, 80), order=1)
    return (ndimage.gaussian_filter(depth_m, 3) * np.exp(noise) * 1.03).astype(np.float32)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--split", default="all")
    parser.add_argument("--pictures", type=int, default=654)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    dataset = open_dataset(options.data, options.split)
    samples = [dataset[i] for i in range(min(options.pictures, len(dataset)))]
    preds = [disturbed(sample.depth_m, i) for i, sample in enumerate(samples)]
    print(f"{platform.machine()}, Python {platform.python_version()}, numpy {np.__version__}, OpenCV {cv2.__version__}")
    print(f"{dataset.description}: {len(samples)} pictures of {samples[0].depth_m.shape}, eigen-filled, all metrics")

    worst: dict[str, float] = {}
    for plain, ours in zip(plain_loop(samples, preds, 20), hqmd_loop(samples, preds, 20), strict=True):
        assert plain.keys() == ours.keys(), plain.keys() ^ ours.keys()
        for name, value in plain.items():
            if not np.isnan(value):
                worst[name] = max(worst.get(name, 0), abs(value - ours[name]) / max(1, abs(value)))
    for name, difference in sorted(worst.items(), key=lambda item: -item[1]):
        tolerance = CANNY_TOLERANCE_PX if name in OTHER_CANNY else COUNTED_TOLERANCE if name in COUNTED else AGREE
        mark = "" if difference <= tolerance else "   DISAGREE"
        print(f"  {name:14} differs by {difference:.2e} at most (of 1, or of itself if larger){mark}")

    ratios = []
    for _ in range(options.runs):
        times = []
        for loop in (plain_loop, hqmd_loop):
            start = time.perf_counter()
            loop(samples, preds)
            times.append(time.perf_counter() - start)
        ratios.append(times[0] / times[1])
        print(f"plain {times[0]:.1f} s, hqmd {times[1]:.1f} s, ratio {ratios[-1]:.2f}", flush=True)
    print(f"median ratio {statistics.median(ratios):.2f}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    held = sum(
        s.image.nbytes + s.depth_m.nbytes + s.valid.nbytes + p.nbytes for s, p in zip(samples, preds, strict=True)
    )
    print(f"peak memory {peak:.0f} MB, of which the maps {held / 1e6:.0f} MB")


if __name__ == "__main__":
    sys.exit(main())
