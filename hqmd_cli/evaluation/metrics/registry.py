"""The registry of metrics: what each computes, in which table it stands, and how it is pooled over pixels.

To add a metric of pixels, write a function of (pred_m, depth_m), (T,) metres each, such as those in pixels.py, and add
one entry to METRICS. To add a metric of maps, write a function of whole maps, such as those in boundaries.py, in a file
of its own, and add one entry with `of="maps"` whose `compute` takes a MapPair. Tables, CSV, JSON, `--explain` and the
report follow the registry; tests/evaluation/test_metrics.py wants a value worked out by hand.
"""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.metrics.boundaries import (
    BoundaryErrors,
    EdgeScores,
    Mask,
    boundary_errors,
    boundary_f1,
    edge_scores,
)
from hqmd_cli.evaluation.metrics.normals import normal_angles
from hqmd_cli.evaluation.metrics.pixels import (
    LEAST_FITTED_M,
    Depths,
    abs_rel,
    bias,
    delta,
    fitted,
    log10,
    rmse,
    rmse_log,
    scaled,
    share_within,
    si_log,
    sq_rel,
)
from hqmd_cli.geometry.camera import Intrinsics

EDGE_THRESHOLDS_M = (0.25, 0.5, 1.0)  # Hu et al.'s paper; the released code has 0.25

Table = Literal["main", "detail", "extra"]  # "extra": in CSV and JSON only
# How a metric pools over the pixels of all pictures: as a mean, as the root of a mean of squares, or not at all.
# Medians, deviations and scores of edges do not pool: they are averaged over pictures under every protocol.
Pool = Literal["mean", "root mean square", "per picture"]
Arrow = Literal["↓", "↑", "→1"]  # lower, higher, nearer to 1 is better
Unit = Literal["1", "m", "px", "degrees"]  # "1": a pure number


@dataclass(frozen=True, eq=False)
class MapPair:
    """A prediction and its truth as a protocol compares them, all (H, W), and the work that several metrics share."""

    pred_m: Depths  # metres, aligned and clipped
    depth_m: Depths  # metres, 0 where there is none
    scored: Mask  # the pixels that count
    camera: Intrinsics | None = None  # None: normals are unknown
    annotated: Mask | None = None  # edges that people drew, for boundary_errors

    @cached_property
    def pixels(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Prediction and truth of the scored pixels, (T,) metres each."""
        return self.pred_m[self.scored].astype(np.float64), self.depth_m[self.scored].astype(np.float64)

    @cached_property
    def edges(self) -> dict[float, EdgeScores]:
        """Scores of edge pixels by threshold in metres."""
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


@dataclass(frozen=True)
class Metric:
    """A metric and how to read it."""

    compute: Callable[..., float]  # of="pixels": (pred_m, depth_m), (T,) metres; of="maps": a MapPair; NaN: unknown
    of: Literal["pixels", "maps"]
    table: Table
    pool: Pool
    arrow: Arrow
    unit: Unit
    formula: str  # d the prediction, g the truth
    source: str

    def badness(self, value: float) -> float:
        """Turn a value into one of which less is better, whatever the metric: rankings sort by it."""
        return {"↓": value, "↑": -value, "→1": abs(value - 1)}[self.arrow]


EIGEN = "Eigen et al. 2014, https://arxiv.org/abs/1406.2283"
WITHIN = "share of pixels with max(d/g, g/d) <"
SAXENA = "Saxena et al. 2009, Make3D"
KITTI = "KITTI depth devkit, evaluate_depth.cpp, https://www.cvlibs.net/datasets/kitti/eval_depth.php"
HU = "Hu et al. 2019, section 4.3, https://arxiv.org/abs/1803.08673, and their released code"
ZHOU = "Zhou et al. 2017, https://arxiv.org/abs/1704.07813, section 4.1"
RANFTL = "Ranftl et al. 2020, https://arxiv.org/abs/1907.01341, section 5, in depth in place of disparity"
SCALED = "once each map is scaled so that its median is the truth's"
FITTED = f"of a d + b, by least squares in metres for each map, {LEAST_FITTED_M:g} m at least"
KOCH = "Koch et al. 2018, https://arxiv.org/abs/1805.01328, and the script of iBims-1; edges of the truth by Canny"
DEPTH_PRO = "Bochkovskii et al. 2024, Depth Pro, section 3.2, https://arxiv.org/abs/2410.02073"
FOUHEY = "Fouhey et al. 2013, Data-Driven 3D Primitives; normals by planes fitted to 7 x 7 pixels of depth"


def edge_metric(table: Table, threshold_m: float, part: Literal["precision", "recall", "f1"]) -> Metric:
    """One of the EdgeScores at one of EDGE_THRESHOLDS_M."""
    formula = {
        "precision": "P = share of predicted edge pixels that are true ones",
        "recall": "R = share of true edge pixels that were predicted",
        "f1": "2 P R / (P + R)",
    }[part]
    formula += f"; edges where the Sobel gradient is longer than {threshold_m:g} m"
    return Metric(
        lambda maps: getattr(maps.edges[threshold_m], part), "maps", table, "per picture", "↑", "1", formula, HU
    )


def normal_metric(arrow: Arrow, unit: Unit, formula: str, summary: Callable[[NDArray[np.float32]], Any]) -> Metric:
    """A summary of the angles between normals in degrees, (K,); NaN where none is known."""
    return Metric(
        lambda maps: float(summary(maps.angles_deg)) if maps.angles_deg.size else math.nan,
        "maps",
        "detail",
        "per picture",
        arrow,
        unit,
        formula,
        FOUHEY,
    )


def normal_share(limit_deg: float) -> Metric:
    """Share of the normals that are less than `limit_deg` off."""
    formula = f"share of pixels whose normal is less than {limit_deg:g} degrees off"
    return normal_metric("↑", "1", formula, lambda angles_deg: np.mean(angles_deg < limit_deg))


def after_fit(
    fit: Callable[[Depths, Depths], Depths],
    metric: Callable[[Depths, Depths], float],
    arrow: Arrow,
    formula: str,
    source: str,
) -> Metric:
    """A metric of pixels, after a fit of each picture to its truth."""
    return Metric(lambda d, g: metric(fit(d, g), g), "pixels", "detail", "per picture", arrow, "1", formula, source)


# In the order of the columns. The fields of Metric: compute, of, table, pool, arrow, unit, formula, source.
METRICS: dict[str, Metric] = {
    "AbsRel": Metric(abs_rel, "pixels", "main", "mean", "↓", "1", "mean of |d - g| / g", EIGEN),
    "log10": Metric(log10, "pixels", "main", "mean", "↓", "1", "mean of |log10 d - log10 g|", SAXENA),
    "RMSE": Metric(rmse, "pixels", "main", "root mean square", "↓", "m", "root of the mean of (d - g)^2", EIGEN),
    "RMSElog": Metric(
        rmse_log, "pixels", "main", "root mean square", "↓", "1", "root of the mean of (ln d - ln g)^2", EIGEN
    ),
    "delta1": Metric(partial(delta, power=1), "pixels", "main", "mean", "↑", "1", f"{WITHIN} 1.25", EIGEN),
    "delta2": Metric(partial(delta, power=2), "pixels", "main", "mean", "↑", "1", f"{WITHIN} 1.25^2", EIGEN),
    "delta3": Metric(partial(delta, power=3), "pixels", "main", "mean", "↑", "1", f"{WITHIN} 1.25^3", EIGEN),
    "bias": Metric(bias, "pixels", "main", "per picture", "→1", "1", "median of d/g", "hqmd"),
    "SqRel": Metric(sq_rel, "pixels", "extra", "mean", "↓", "m", "mean of (d - g)^2 / g", EIGEN),
    "SILog": Metric(
        si_log, "pixels", "extra", "per picture", "↓", "1", "100 times the standard deviation of ln d - ln g", KITTI
    ),
    "delta@1.05": Metric(
        partial(share_within, limit=1.05), "pixels", "detail", "mean", "↑", "1", f"{WITHIN} 1.05", "hqmd"
    ),
    "delta@1.1": Metric(
        partial(share_within, limit=1.1), "pixels", "detail", "mean", "↑", "1", f"{WITHIN} 1.1", "hqmd"
    ),
    "AbsRelScaled": after_fit(scaled, abs_rel, "↓", f"AbsRel {SCALED}", ZHOU),
    "delta1Scaled": after_fit(scaled, partial(delta, power=1), "↑", f"delta1 {SCALED}", ZHOU),
    "AbsRelFitted": after_fit(fitted, abs_rel, "↓", f"AbsRel {FITTED}", RANFTL),
    "delta1Fitted": after_fit(fitted, partial(delta, power=1), "↑", f"delta1 {FITTED}", RANFTL),
    "edgeF1": edge_metric("main", 0.25, "f1"),
    "edgeP@0.25": edge_metric("detail", 0.25, "precision"),
    "edgeR@0.25": edge_metric("detail", 0.25, "recall"),
    "edgeP@0.5": edge_metric("detail", 0.5, "precision"),
    "edgeR@0.5": edge_metric("detail", 0.5, "recall"),
    "edgeF1@0.5": edge_metric("detail", 0.5, "f1"),
    "edgeP@1": edge_metric("detail", 1.0, "precision"),
    "edgeR@1": edge_metric("detail", 1.0, "recall"),
    "edgeF1@1": edge_metric("detail", 1.0, "f1"),
    "DBEacc": Metric(
        lambda maps: maps.boundary.accuracy_px,
        "maps",
        "detail",
        "per picture",
        "↓",
        "px",
        "mean distance from predicted edges to the nearest true one, of those nearer than 10 px",
        KOCH,
    ),
    "DBEcomp": Metric(
        lambda maps: maps.boundary.completeness_px,
        "maps",
        "detail",
        "per picture",
        "↓",
        "px",
        "mean distance from predicted and true edges to the nearest of the other map, 10 px at most",
        KOCH,
    ),
    "boundaryF1": Metric(
        lambda maps: boundary_f1(maps.pred_m, maps.depth_m, maps.scored),
        "maps",
        "detail",
        "per picture",
        "↑",
        "1",
        "F1 of neighbours with d(j) / d(i) > 1 + t / 100, mean over t = 5 .. 25 weighted by 1 + t / 100",
        DEPTH_PRO,
    ),
    "normalMean": normal_metric(
        "↓", "degrees", "mean angle between the normals of prediction and truth", partial(np.mean, dtype=np.float64)
    ),
    "normalMedian": normal_metric(
        "↓", "degrees", "median angle between the normals of prediction and truth", np.median
    ),
    "normal11.25": normal_share(11.25),
    "normal22.5": normal_share(22.5),
    "normal30": normal_share(30.0),
}

MAIN_METRICS = {name: metric for name, metric in METRICS.items() if metric.table == "main"}
DETAIL_METRICS = {name: metric for name, metric in METRICS.items() if metric.table == "detail"}
BASIC_METRICS = {name: metric for name, metric in METRICS.items() if metric.table != "detail"}  # always measured


def measure(maps: MapPair, metrics: Mapping[str, Metric]) -> dict[str, float]:
    """Compute metrics of one picture; NaN where one is unknown."""
    return {
        name: metric.compute(*maps.pixels) if metric.of == "pixels" else metric.compute(maps)
        for name, metric in metrics.items()
    }
