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
from hqmd_cli.evaluation.metrics.field_of_view import fov_error
from hqmd_cli.evaluation.metrics.normals import Normals, compare_normals
from hqmd_cli.evaluation.metrics.pixels import (
    Depths,
    abs_rel,
    abs_rel_between,
    bias,
    delta,
    log10,
    rmse,
    rmse_log,
    share_within,
    si_log,
    sq_rel,
)
from hqmd_cli.evaluation.metrics.planes import SMALLEST_SHARE, PlaneErrors, plane_errors
from hqmd_cli.evaluation.metrics.point_cloud import MOST_POINTS, CloudDistances, cloud_distances
from hqmd_cli.evaluation.metrics.relative_normals import DISTANCES_PX, relative_normal_error
from hqmd_cli.evaluation.metrics.spaces import LEAST_FITTED_M, Spaces, in_spaces
from hqmd_cli.evaluation.metrics.uncertainty import INTERVAL, Surely, how_surely
from hqmd_cli.geometry.camera import Intrinsics
from hqmd_cli.inference.uncertainty import Uncertainty
from hqmd_cli.units import Kind

EDGE_THRESHOLDS_M = (0.25, 0.5, 1.0)  # Hu et al.'s paper; the released code has 0.25

Table = Literal["main", "detail", "extra"]  # "extra": in CSV and JSON only
# How a metric pools over the pixels of all pictures: as a mean, as the root of a mean of squares, or not at all.
# Medians, deviations and scores of edges do not pool: they are averaged over pictures under every protocol.
Pool = Literal["mean", "root mean square", "per picture"]
Arrow = Literal["↓", "↑", "→1", "→0.9"]  # lower, higher, nearer to this number is better
Unit = Literal["1", "m", "cm", "px", "degrees"]  # "1": a pure number


@dataclass(frozen=True, eq=False)
class MapPair:
    """A prediction and its truth as a protocol compares them, all (H, W), and the work that several metrics share."""

    pred_m: Depths  # metres, aligned and clipped
    depth_m: Depths  # metres, 0 where there is none
    scored: Mask  # the pixels that count
    camera: Intrinsics | None = None  # None: nothing is known in space
    annotated: Mask | None = None  # edges that people drew, for boundary_errors
    planes: NDArray[np.uint8] | None = None  # that people marked, for plane_errors
    given: Depths | None = None  # as the model gives it, before the protocol's alignment; None: pred_m
    kind: Kind = "depth"  # of `given`
    fov_deg: float | None = None  # that the model sees in the photo; None: it does not tell
    uncertainty: Uncertainty | None = None  # that the model states; None: it states none
    most_points: int = MOST_POINTS  # of each map, for cloud_distances

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
    def normals(self) -> Normals | None:
        """Normals of both maps; None without a camera."""
        return compare_normals(self.pred_m, self.depth_m, self.scored, self.camera) if self.camera else None

    @cached_property
    def cloud(self) -> CloudDistances | None:
        """Distances between the points of both maps; None without a camera."""
        if self.camera is None:
            return None
        return cloud_distances(self.pred_m, self.depth_m, self.scored, self.camera, self.most_points)

    @cached_property
    def flatness(self) -> PlaneErrors | None:
        """Planarity errors; None without planes or a camera."""
        if self.planes is None or self.camera is None:
            return None
        return plane_errors(self.pred_m, self.depth_m, self.scored, self.planes, self.camera)

    @cached_property
    def spaces(self) -> Spaces:
        """AbsRel and delta1 in the three spaces."""
        given = self.pixels[0] if self.given is None else self.given[self.scored].astype(np.float64)
        return in_spaces(given, self.pixels[1], self.kind)

    @cached_property
    def surely(self) -> Surely | None:
        """How good the stated errors are; None if the model states none."""
        if self.uncertainty is None:
            return None
        shape, scale = self.uncertainty.at(self.depth_m.shape), self.uncertainty.scale
        return how_surely(self.pred_m, self.depth_m, self.scored, shape, scale)


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
        if self.arrow.startswith("→"):
            return abs(value - float(self.arrow[1:]))
        return value if self.arrow == "↓" else -value


EIGEN = "Eigen et al. 2014, https://arxiv.org/abs/1406.2283"
WITHIN = "share of pixels with max(d/g, g/d) <"
SAXENA = "Saxena et al. 2009, Make3D"
KITTI = "KITTI depth devkit, evaluate_depth.cpp, https://www.cvlibs.net/datasets/kitti/eval_depth.php"
HU = "Hu et al. 2019, section 4.3, https://arxiv.org/abs/1803.08673, and their released code"
ZHOU = "Zhou et al. 2017, https://arxiv.org/abs/1704.07813, section 4.1"
RANFTL = "Ranftl et al. 2020, https://arxiv.org/abs/1907.01341, section 5; the clamp in disparity is MoGe's"
NATIVE = "of the metres as the model gives them, before any alignment"
SCALED = "once each map is scaled so that its median is the truth's; nothing is clamped"
FITTED = (
    f"once a d + b is fitted to each map: least squares in metres, clamped to {LEAST_FITTED_M:g} m at least; "
    "for a model that gives disparity, a v + b by least squares in 1 / m, clamped to the farthest truth of the picture"
)
KOCH = "Koch et al. 2018, https://arxiv.org/abs/1805.01328, and the script of iBims-1; edges of the truth by Canny"
DEPTH_PRO = "Bochkovskii et al. 2024, Depth Pro, section 3.2, https://arxiv.org/abs/2410.02073"
IBIMS = "Koch et al. 2018, https://arxiv.org/abs/1805.01328, and the script of iBims-1; means over pictures"
IN_PLANES = (
    f"of the planes that people marked, {SMALLEST_SHARE:.0%} of the picture or more, each scaled to its truth's median"
)
WU = "Wu et al. 2025, https://arxiv.org/abs/2510.19814; normals and pairs are hqmd's own, see relative_normals.py"
KNAPITSCH = "Knapitsch et al. 2017, Tanks and Temples, section 5"
IN_SPACE = (
    f"up to {MOST_POINTS} pixels, in every k-th row and column, or all of them where the protocol says so, as points "
    "in space by the camera of the data"
)
MOGE = "MoGe's fov_x, https://github.com/microsoft/MoGe, moge/test/metrics.py"
ILG = "Ilg et al. 2018, https://arxiv.org/abs/1802.07095, section 4"
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


def detail_metric(compute: Callable[[MapPair], float], arrow: Arrow, unit: Unit, formula: str, source: str) -> Metric:
    """A metric of maps in the detail table, which is averaged over pictures."""
    return Metric(compute, "maps", "detail", "per picture", arrow, unit, formula, source)


def normal_metric(arrow: Arrow, unit: Unit, formula: str, summary: Callable[[NDArray[np.float32]], Any]) -> Metric:
    """A summary of the angles between normals in degrees, (K,); NaN where none is known."""

    return detail_metric(
        lambda maps: (
            float(summary(maps.normals.angles_deg)) if maps.normals and maps.normals.angles_deg.size else math.nan
        ),
        arrow,
        unit,
        formula,
        FOUHEY,
    )


def normal_share(limit_deg: float) -> Metric:
    """Share of the normals that are less than `limit_deg` off."""
    formula = f"share of pixels whose normal is less than {limit_deg:g} degrees off"
    return normal_metric("↑", "1", formula, lambda angles_deg: np.mean(angles_deg < limit_deg))


def by_depth(near_m: float, far_m: float) -> Metric:
    """AbsRel of the pixels whose truth lies between two depths."""
    where = f"from {near_m:g} m" + (f" up to {far_m:g} m" if math.isfinite(far_m) else " on")
    compute = partial(abs_rel_between, near_m=near_m, far_m=far_m)
    return Metric(
        compute, "pixels", "detail", "per picture", "↓", "1", f"AbsRel of the pixels with truth {where}", "hqmd"
    )


def of_part(part: str, name: str, arrow: Arrow, unit: Unit, formula: str, source: str) -> Metric:
    """A figure called `name` of a cached property of MapPair that may be None: unknown."""

    return detail_metric(
        lambda maps: math.nan if (found := getattr(maps, part)) is None else float(getattr(found, name)),
        arrow,
        unit,
        formula,
        source,
    )


def f_score(limit_m: float) -> Metric:
    """F-score of points at a distance."""
    formula = f"2 P R / (P + R) of points less than {limit_m:g} m from the nearest of the other map; {IN_SPACE}"
    return detail_metric(
        lambda maps: maps.cloud.f_score(limit_m) if maps.cloud else math.nan, "↑", "1", formula, KNAPITSCH
    )


# Side by side in the table of spaces.
SPACES = ("AbsRelNative", "AbsRelScaled", "AbsRelFitted", "delta1Native", "delta1Scaled", "delta1Fitted")

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
    "AbsRelNear": by_depth(0, 2),
    "AbsRelMiddle": by_depth(2, 5),
    "AbsRelFar": by_depth(5, 20),
    "AbsRelBeyond": by_depth(20, math.inf),
    "edgeF1": edge_metric("main", 0.25, "f1"),
    "edgeP@0.25": edge_metric("detail", 0.25, "precision"),
    "edgeR@0.25": edge_metric("detail", 0.25, "recall"),
    "edgeP@0.5": edge_metric("detail", 0.5, "precision"),
    "edgeR@0.5": edge_metric("detail", 0.5, "recall"),
    "edgeF1@0.5": edge_metric("detail", 0.5, "f1"),
    "edgeP@1": edge_metric("detail", 1.0, "precision"),
    "edgeR@1": edge_metric("detail", 1.0, "recall"),
    "edgeF1@1": edge_metric("detail", 1.0, "f1"),
    "DBEacc": of_part(
        "boundary",
        "accuracy_px",
        "↓",
        "px",
        "mean distance from predicted edges to the nearest true one, of those nearer than 10 px",
        KOCH,
    ),
    "DBEcomp": of_part(
        "boundary",
        "completeness_px",
        "↓",
        "px",
        "mean distance from predicted and true edges to the nearest of the other map, 10 px at most",
        KOCH,
    ),
    "boundaryF1": detail_metric(
        lambda maps: boundary_f1(maps.pred_m, maps.depth_m, maps.scored),
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
    "normalRelative": detail_metric(
        lambda maps: relative_normal_error(maps.normals) if maps.normals else math.nan,
        "↓",
        "degrees",
        "mean of |a - b|: the angles between the normals of two pixels, predicted and true; pairs are "
        f"{', '.join(map(str, DISTANCES_PX))} pixels apart",
        WU,
    ),
    "AbsRelNative": of_part("spaces", "abs_rel_native", "↓", "1", f"AbsRel {NATIVE}", "hqmd"),
    "delta1Native": of_part("spaces", "delta1_native", "↑", "1", f"delta1 {NATIVE}", "hqmd"),
    "AbsRelScaled": of_part("spaces", "abs_rel_scaled", "↓", "1", f"AbsRel {SCALED}", ZHOU),
    "delta1Scaled": of_part("spaces", "delta1_scaled", "↑", "1", f"delta1 {SCALED}", ZHOU),
    "AbsRelFitted": of_part("spaces", "abs_rel_fitted", "↓", "1", f"AbsRel {FITTED}", RANFTL),
    "delta1Fitted": of_part("spaces", "delta1_fitted", "↑", "1", f"delta1 {FITTED}", RANFTL),
    "planeFlatness": of_part(
        "flatness",
        "flatness_cm",
        "↓",
        "cm",
        f"standard deviation of the points from a plane through them, {IN_PLANES}",
        IBIMS,
    ),
    "planeAngle": of_part(
        "flatness", "orientation_deg", "↓", "degrees", f"angle between the normals of both planes, {IN_PLANES}", IBIMS
    ),
    "pointF@0.1": f_score(0.1),
    "pointF@0.25": f_score(0.25),
    "Chamfer": of_part(
        "cloud",
        "chamfer_m",
        "↓",
        "m",
        f"mean distance from points to the nearest of the other map, the mean of both directions; {IN_SPACE}",
        "hqmd",
    ),
    "FOVerror": detail_metric(
        lambda maps: fov_error(maps.fov_deg, maps.camera, maps.depth_m.shape[1]),
        "↓",
        "degrees",
        "|difference| of the horizontal field of view that the model sees and the camera's",
        MOGE,
    ),
    "AUSE": of_part(
        "surely",
        "ause",
        "↓",
        "1",
        "area between the errors that are left as the least sure pixels go and those of the best order; log depth, "
        "without the scale's error",
        ILG,
    ),
    "scaleHeld": of_part(
        "surely",
        "scale_held",
        "→0.9",
        "1",
        f"share of the pictures whose scale is within the {INTERVAL:.0%} interval that the model states",
        "hqmd",
    ),
    "shapeHeld": of_part(
        "surely",
        "shape_held",
        "→0.9",
        "1",
        f"share of the pixels within the {INTERVAL:.0%} intervals that the model states, without the scale's error",
        "hqmd",
    ),
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
