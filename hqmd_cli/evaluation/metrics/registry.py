"""The metrics of the paper's section 4.2, the bias, and how well edges are kept: one pure function each.

`pred_m` and `depth_m` are (T,) arrays in metres, the valid pixels of one picture; all positive and finite, which
evaluate.py has checked before. Formulas: d the prediction, g the truth, sums over the T pixels. Edges need the
neighbours of a pixel, so their metrics take whole maps (H, W) and the mask of the pixels that count. Further metrics of
whole maps are in boundaries.py.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import BoundaryErrors, Mask, boundary_errors, boundary_f1
from hqmd_cli.evaluation.metrics.edges import EdgeScores, edge_f1, edge_scores
from hqmd_cli.evaluation.metrics.normals import normal_angles
from hqmd_cli.evaluation.metrics.pixels import Depths, abs_rel, bias, delta, log10, rmse, rmse_log, si_log, sq_rel
from hqmd_cli.geometry.camera import Intrinsics


@dataclass(frozen=True)
class Metric:
    """A metric, which way is good, and where it is from."""

    compute: Callable[..., float]  # (pred_m, depth_m) of pixels, or (pred_m, depth_m, scored) of maps
    arrow: str  # "↓" lower is better, "↑" higher is better, "→1" nearer to 1 is better
    unit: str  # "m", "px", "degrees"; "1" for a pure number
    formula: str  # d the prediction, g the truth
    source: str

    def badness(self, value: float) -> float:
        """Lower is better, for every metric: what a ranking sorts by."""
        return {"↓": value, "↑": -value, "→1": abs(value - 1)}[self.arrow]


EIGEN = "Eigen et al. 2014, https://arxiv.org/abs/1406.2283"


HU = "Hu et al. 2019, section 4.3, https://arxiv.org/abs/1803.08673, and their released code"


PIXEL_METRICS = {
    "AbsRel": Metric(abs_rel, "↓", "1", "mean of |d - g| / g", EIGEN),
    "log10": Metric(log10, "↓", "1", "mean of |log10 d - log10 g|", "Saxena et al. 2009, Make3D"),
    "RMSE": Metric(rmse, "↓", "m", "root of the mean of (d - g)^2", EIGEN),
    "RMSElog": Metric(rmse_log, "↓", "1", "root of the mean of (ln d - ln g)^2", EIGEN),
    "delta1": Metric(partial(delta, power=1), "↑", "1", "share of pixels with max(d/g, g/d) < 1.25", EIGEN),
    "delta2": Metric(partial(delta, power=2), "↑", "1", "share of pixels with max(d/g, g/d) < 1.25^2", EIGEN),
    "delta3": Metric(partial(delta, power=3), "↑", "1", "share of pixels with max(d/g, g/d) < 1.25^3", EIGEN),
    "bias": Metric(bias, "→1", "1", "median of d/g", "hqmd"),
}


EXTRA_PIXEL_METRICS = {  # computed like PIXEL_METRICS; not among the columns of the tables
    "SqRel": Metric(sq_rel, "↓", "m", "mean of (d - g)^2 / g", EIGEN),
    "SILog": Metric(
        si_log,
        "↓",
        "1",
        "100 times the standard deviation of ln d - ln g",
        "KITTI depth devkit, evaluate_depth.cpp, https://www.cvlibs.net/datasets/kitti/eval_depth.php",
    ),
}


MAP_METRICS = {
    "edgeF1": Metric(
        partial(edge_f1, threshold_m=0.25),  # the threshold of Hu et al.'s released code
        "↑",
        "1",
        "2 P R / (P + R) of the pixels whose Sobel gradient is longer than 0.25 m",
        HU,
    ),
}


METRICS = PIXEL_METRICS | MAP_METRICS


EDGE_THRESHOLDS_M = (0.25, 0.5, 1.0)  # Hu et al.'s paper


@dataclass(frozen=True, eq=False)
class MapPair:
    """A prediction and its truth, and what several metrics need of them, worked out once."""

    pred_m: Depths  # (H, W)
    depth_m: Depths  # (H, W)
    scored: Mask  # (H, W)
    camera: Intrinsics | None = None  # normals are not known without
    annotated: Mask | None = None  # (H, W) edges that people drew, for boundary_errors

    @cached_property
    def edges(self) -> dict[float, EdgeScores]:
        """Threshold in metres -> scores."""
        scores = edge_scores(self.pred_m, self.depth_m, self.scored, *EDGE_THRESHOLDS_M)
        return dict(zip(EDGE_THRESHOLDS_M, scores, strict=True))

    @cached_property
    def boundary(self) -> BoundaryErrors:
        """Distances between edges."""
        return boundary_errors(self.pred_m, self.depth_m, self.scored, self.annotated)

    @cached_property
    def angles_deg(self) -> NDArray[np.float32]:
        """(K,) degrees between normals; K is 0 where none is known."""
        if self.camera is None:
            return np.empty(0, np.float32)
        return normal_angles(self.pred_m, self.depth_m, self.scored, self.camera)

    def share_within(self, limit_deg: float) -> float:
        """Share of the angles below a limit, NaN of none."""
        return float(np.mean(self.angles_deg < limit_deg)) if self.angles_deg.size else math.nan


def edge_metric(threshold_m: float, part: Literal["precision", "recall", "f1"]) -> Metric:
    """One of the EdgeScores at one of EDGE_THRESHOLDS_M."""
    formula = {
        "precision": "P = share of predicted edge pixels that are true ones",
        "recall": "R = share of true edge pixels that were predicted",
        "f1": "2 P R / (P + R)",
    }[part]
    of_what = f"; edges where the Sobel gradient is longer than {threshold_m:g} m"
    return Metric(lambda maps: getattr(maps.edges[threshold_m], part), "↑", "1", formula + of_what, HU)


def share_metric(limit_deg: float) -> Metric:
    """Share of normals within a limit."""
    formula = f"share of pixels whose normal is less than {limit_deg:g} degrees off"
    return Metric(lambda maps: maps.share_within(limit_deg), "↑", "1", formula, FOUHEY)


KOCH = "Koch et al. 2018, https://arxiv.org/abs/1805.01328, and the script of iBims-1; edges of the truth by Canny"


DEPTH_PRO = "Bochkovskii et al. 2024, Depth Pro, section 3.2, https://arxiv.org/abs/2410.02073"


FOUHEY = "Fouhey et al. 2013, Data-Driven 3D Primitives; normals by planes fitted to 7 x 7 pixels of depth"


DETAIL_METRICS = {  # compute takes a MapPair; edgeF1 at .25 is in pixels.py
    "edgeP@0.25": edge_metric(0.25, "precision"),
    "edgeR@0.25": edge_metric(0.25, "recall"),
    "edgeP@0.5": edge_metric(0.5, "precision"),
    "edgeR@0.5": edge_metric(0.5, "recall"),
    "edgeF1@0.5": edge_metric(0.5, "f1"),
    "edgeP@1": edge_metric(1.0, "precision"),
    "edgeR@1": edge_metric(1.0, "recall"),
    "edgeF1@1": edge_metric(1.0, "f1"),
    "DBEacc": Metric(
        lambda maps: maps.boundary.accuracy_px,
        "↓",
        "px",
        "mean distance from predicted edges to the nearest true one, of those nearer than 10 px",
        KOCH,
    ),
    "DBEcomp": Metric(
        lambda maps: maps.boundary.completeness_px,
        "↓",
        "px",
        "mean distance from predicted and true edges to the nearest of the other map, 10 px at most",
        KOCH,
    ),
    "boundaryF1": Metric(
        lambda maps: boundary_f1(maps.pred_m, maps.depth_m, maps.scored),
        "↑",
        "1",
        "F1 of neighbours with d(j) / d(i) > 1 + t / 100, mean over t = 5 .. 25 weighted by 1 + t / 100",
        DEPTH_PRO,
    ),
    "normalMean": Metric(
        lambda maps: float(np.mean(maps.angles_deg, dtype=np.float64)) if maps.angles_deg.size else math.nan,
        "↓",
        "degrees",
        "mean angle between the normals of prediction and truth",
        FOUHEY,
    ),
    "normalMedian": Metric(
        lambda maps: float(np.median(maps.angles_deg)) if maps.angles_deg.size else math.nan,
        "↓",
        "degrees",
        "median angle between the normals of prediction and truth",
        FOUHEY,
    ),
    "normal11.25": share_metric(11.25),
    "normal22.5": share_metric(22.5),
    "normal30": share_metric(30.0),
}


def detail_scores(
    pred_m: Depths,
    depth_m: Depths,
    scored: Mask,
    camera: Intrinsics | None = None,
    annotated: Mask | None = None,
) -> dict[str, float]:
    """All DETAIL_METRICS of one picture, by name; those of normals are NaN without a camera."""
    maps = MapPair(pred_m, depth_m, scored, camera, annotated)
    return {name: metric.compute(maps) for name, metric in DETAIL_METRICS.items()}
