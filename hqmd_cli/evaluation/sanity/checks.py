"""What predictions give away about themselves beside the truth: disparities, another unit, mirrored or swapped maps.

Scoring such predictions gives plausible numbers that mean nothing, so they are looked at first. A single poor map
proves little, a whole set does: `fault` and `diagnose` speak of one map, `Examination` of a set.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.prediction_folder import PredictionFolder
from hqmd_cli.evaluation.sanity.pairing import Thumbnails, explain_copies, explain_order
from hqmd_cli.evaluation.sanity.values import (
    Range,
    explain_levels,
    explain_odd_units,
    explain_range,
    explain_rays,
    spearman,
    spread_along_rays,
)
from hqmd_cli.units import Kind

EARLY = 10  # pictures after which a set that is wrong shows it
LOOKED_AT_PIXELS = 5000  # of a map, evenly spaced: ranks of more would say the same
FEWEST_PIXELS = 30  # with truth; a rank correlation of fewer is chance
CLEAR_RANK = 0.5  # rank correlation from which a reading of a map is taken for more than chance
CLEAR_MARGIN = 0.25  # and how much better than the maps as they are another reading must fit
FEW_MARGIN, FEW = 0.35, 10  # the same of fewer maps, where chance may turn one of a poor network
MOST = 0.75  # share of a set's maps that must fit better when turned: else it is chance, as with other pictures' maps

# How many times too large or small depth is when its unit was mistaken.
FACTORS = {
    1000.0: "millimetres",
    5000.0: "TUM's 1/5000 m",
    256.0: "KITTI's 1/256 m",
    100.0: "centimetres",
    25.5: "8 bits over 10 m",
    10.0: "decimetres",
    0.001: "kilometres, or metres divided by 1000 once too often",
    1 / 256: "metres divided by 256 once too often",
    0.01: "metres divided by 100 once too often",
    0.1: "depth in units of 10 m",
}
FACTOR_TOLERANCE = 1.3  # a metric model is seldom further off than this over a set
HONEST_RATIO = 4.0  # chosen, not measured: an indoor model on streets may be further off, and is then told of a unit

# Logarithms of metres: measured on NYU's val, ln of three models' maps has a gap of -.01 to .10 and a spread of .68 to
# .93; the maps themselves 1.5 to 2.0 and 2.0 to 2.6, and those of the good two divided by 2 to 3 a spread above 1.
LOG_GAP = 0.4  # a depth that is half the truth everywhere has .5 at 1 m, and more elsewhere
LOG_SPREAD = 0.95
LOG_RATIO = 0.75  # ln z / z is .37 at most
SAME, SAME_SHARE = 0.001, 0.99  # millimetres are rounded to half of one


@dataclass(frozen=True)
class Evidence:
    """How a prediction relates to the truth. NaN where there is too little truth to tell."""

    ranks: dict[str, float]  # reading -> rank correlation of the map so read with the truth
    ratio: float  # median of prediction / truth
    log_gap: float  # median of prediction - ln truth: 1 or more of an honest depth (z - ln z), 0 of its logarithm
    log_spread: float  # how that varies, over how ln prediction - ln truth does: below 1 of logarithms
    same: float  # share of the pixels where it is the truth to SAME
    along_rays: float  # see mishaps.spread_along_rays
    levels: float  # how many different values
    true_levels: float  # and of the truth


UNKNOWN = dict.fromkeys((f.name for f in fields(Evidence) if f.name != "ranks"), np.nan)


def fault(pred: NDArray[np.floating], kind: Kind = "depth", flat: bool = False) -> str | None:
    """Why a map, (H, W), is no prediction whatever the truth; None where it is one. `flat`: one depth everywhere is."""
    if bad := np.count_nonzero(~np.isfinite(pred)):
        return (
            f"{bad / pred.size:.1%} of the pixels are NaN or infinite; fill them, or leave the picture out of the data"
        )
    if pred.min() == pred.max() and not flat:
        return f"the prediction is {pred.min():g} everywhere; look at how it was written"
    if kind == "depth" and (low := np.count_nonzero(pred <= 0)):
        return (
            f"{low / pred.size:.1%} of the depths are 0 or less, {pred.min():g} the lowest; fill holes, or, where "
            "these are no metres, pass --pred-kind relative or disparity"
        )
    return None


def diagnose(
    pred: NDArray[np.floating],
    depth_m: NDArray[np.floating],
    valid: NDArray[np.bool_],
    kind: Kind = "depth",
    units_per_metre: float = 1.0,
) -> str | None:
    """What is suspicious about a prediction, with the remedy; None where nothing is or the truth is too sparse to tell.

    All are (H, W); depth_m is in metres and counts where valid; pred is in metres after division by `units_per_metre`,
    or for the other kinds as stored. Raises HqmdError when the sizes differ.
    """
    if pred.shape != depth_m.shape:
        raise HqmdError(f"the prediction is {pred.shape}, the truth {depth_m.shape}; one pixel must be one pixel")
    if (broken := fault(pred, kind)) is not None:
        return broken
    evidence = measure(pred, depth_m, valid, kind)
    return (
        explain_reading(evidence.ranks, kind)
        or explain_logarithms(evidence, kind)
        or explain_unit(evidence.ratio, kind, units_per_metre)
    )


def measure(
    pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_], kind: Kind
) -> Evidence:
    """The evidence of one map, on at most LOOKED_AT_PIXELS of it."""
    places = np.flatnonzero(valid)
    places = places[:: max(1, places.size // LOOKED_AT_PIXELS)]
    truth = depth_m.ravel()[places]
    views = {"as stored": pred, **turned(pred)}
    if places.size < FEWEST_PIXELS:
        return Evidence(dict.fromkeys([*views, "inverted"], np.nan), **UNKNOWN)
    sign = -1 if kind == "disparity" else 1  # what grows with distance has a positive rank correlation
    ranks = {view: sign * spearman(values.ravel()[places], truth) for view, values in views.items()}
    ranks["inverted"] = -ranks["as stored"]
    values, log_truth = pred.ravel()[places], np.log(truth)
    log_ratio = np.log(values) - log_truth if values.min() > 0 else np.full_like(log_truth, np.nan)
    return Evidence(
        ranks,
        ratio=float(np.median(values / truth)),
        log_gap=float(np.median(values - log_truth)),
        log_spread=spread_as_logarithm(values - log_truth, log_ratio),
        same=float(np.mean(np.abs(values / truth - 1) <= SAME)),
        along_rays=spread_along_rays(log_ratio, places, pred.shape),
        levels=len(np.unique(values)),
        true_levels=len(np.unique(truth)),
    )


def turned(pred: NDArray[np.floating]) -> dict[str, NDArray[np.floating]]:
    """A map as it would have to be where somebody has turned it: how -> (H, W)."""
    ways = {"mirrored": pred[:, ::-1], "upside down": pred[::-1], "turned by 180 degrees": pred[::-1, ::-1]}
    if pred.shape[0] == pred.shape[1]:  # of others, the size tells
        ways |= {"turned to the left": np.rot90(pred, -1), "turned to the right": np.rot90(pred)}
    return ways


def explain_reading(ranks: dict[str, float], kind: Kind, count: int = 1) -> str | None:
    """Which other reading fits clearly better, by the ranks of a map, or medians of `count`; None where none does."""
    margin = CLEAR_MARGIN if count >= FEW else FEW_MARGIN
    stored, inverted = ranks["as stored"], ranks["inverted"]
    flipped, flipped_rank = max(
        ((reading, rank) for reading, rank in ranks.items() if reading not in ("as stored", "inverted")),
        key=lambda item: item[1],
        default=("", -np.inf),
    )
    best = max(inverted, flipped_rank)
    if best >= CLEAR_RANK and best >= stored + margin:
        if inverted == best:
            looks, remedy = ("depths", "depth or relative") if kind == "disparity" else ("disparities", "disparity")
            # In the numbers' own terms: the sign under which a disparity is expected to fit is taken back.
            rank = -stored if kind == "disparity" else stored
            return f"Spearman {rank:.2f} against the truth: these look like {looks}; pass --pred-kind {remedy}"
        return (
            f"rank correlation {stored:.2f} with the truth, but {flipped_rank:.2f} when {flipped}: the maps are "
            f"{flipped}; turn them back before they are written"
        )
    return None


def spread_as_logarithm(gap: NDArray[np.floating], log_ratio: NDArray[np.floating]) -> float:
    """(T,) v - ln t and ln v - ln t of values v and metres t -> the spread of the former over that of the latter."""
    of_depths = float(np.std(log_ratio))
    return float(np.std(gap)) / of_depths if of_depths else np.nan  # NaN, too, where a value has no logarithm


def explain_logarithms(evidence: Evidence, kind: Kind) -> str | None:
    """Whether depths are the logarithms of some; None where they are not."""
    looks_so = abs(evidence.log_gap) <= LOG_GAP and evidence.ratio <= LOG_RATIO and evidence.log_spread <= LOG_SPREAD
    if kind != "depth" or not looks_so:
        return None
    return (
        f"the median of prediction - ln(truth) is {evidence.log_gap:.2f}, that of prediction / truth "
        f"{evidence.ratio:.2f}: these look like logarithms of metres; write exp of them"
    )


def explain_sameness(names: list[str], shares: list[float]) -> str | None:
    """Which predictions are the truth itself: of a model not even one is. `shares` are of pixels that are the SAME."""
    same = [name for name, share in zip(names, shares, strict=True) if share >= SAME_SHARE]  # NaN is not
    if not same:
        return None
    return (
        f"{len(same)} of {len(names)} predictions, such as that for {same[0]}, are the truth to {SAME:.1%} nearly "
        "everywhere: these maps are the truth itself, whose score says nothing of a model"
    )


def explain_unit(ratio: float, kind: Kind, units_per_metre: float) -> str | None:
    """Which unit a median of prediction / truth gives away, with the remedy; None for one that a model may have."""
    if kind != "depth" or np.isnan(ratio) or 1 / HONEST_RATIO <= ratio <= HONEST_RATIO:
        return None
    finding = f"the median of prediction / truth is {ratio:.4g}"
    nearest = min(FACTORS, key=lambda factor: abs(np.log(ratio / factor)))
    if max(ratio / nearest, nearest / ratio) <= FACTOR_TOLERANCE:
        return f"{finding}: these look like {FACTORS[nearest]}; pass --pred-scale {units_per_metre * nearest:g}"
    return (
        f"{finding}, which is no unit that is known here; state it with --pred-scale, or, where these are no metres, "
        "pass --pred-kind relative"
    )


class Examination:
    """A set of predictions beside their truths, looked at one after the other; `complaints` speaks of the set.

    Memory: 18 KB a picture.
    """

    def __init__(self, kind: Kind = "depth", units_per_metre: float = 1.0) -> None:
        self.kind, self.units_per_metre = kind, units_per_metre
        self.names: list[str] = []
        self.evidence: list[Evidence] = []
        self.thumbnails = Thumbnails()
        self.ranges: list[Range] = []
        self.true_ranges: list[Range] = []
        self.fingerprints: list[tuple[int, int]] = []  # of each map and its truth

    def add(
        self, name: str, pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_]
    ) -> None:
        """One picture, as for `diagnose`. Raises HqmdError naming it for a map that is no prediction at all."""
        if (complaint := fault(pred, self.kind)) is not None:
            raise HqmdError(f"{name}: {complaint}")
        self.names.append(name)
        self.evidence.append(measure(pred, depth_m, valid, self.kind))
        self.thumbnails.add(-pred if self.kind == "disparity" else pred, depth_m, valid)
        self.ranges.append((float(pred.min()), float(pred.max())))
        self.true_ranges.append((float(depth_m[valid].min()), float(depth_m[valid].max())) if valid.any() else (0, 0))
        self.fingerprints.append((hash(pred.tobytes()), hash(self.thumbnails.truths[-1].tobytes())))

    def complaints(self) -> list[str]:
        """What is suspicious about the set as a whole, a sentence each; empty where nothing is."""
        told = [item for item in self.evidence if not np.isnan(item.ratio)]
        if not told:
            return []
        # Medians: a few odd pictures neither raise an alarm over a sound set nor hide one over a faulty one.
        typical = typical_of(told)
        misread = explain_reading(typical.ranks, self.kind, len(told)) or explain_logarithms(typical, self.kind)
        if misread is not None:
            return [misread]  # such maps fit no truth, so their order cannot be told
        copied = explain_copies(self.names, self.fingerprints)
        found = [*self.about_metres(typical, bool(copied))] if self.kind == "depth" else []
        found += [copied or explain_order(self.names, self.thumbnails)]
        return [complaint for complaint in found if complaint is not None]

    def about_metres(self, typical: Evidence, copied: bool) -> list[str | None]:
        """What only depth in metres can be wrong in."""
        stretched = None if copied else explain_range(self.ranges, self.true_ranges)  # copies have one range, too
        return [
            explain_sameness(self.names, [item.same for item in self.evidence]),
            stretched or explain_unit(typical.ratio, self.kind, self.units_per_metre),
            explain_levels(typical.levels, typical.true_levels),
            explain_odd_units(self.names, [item.ratio for item in self.evidence]),
            explain_rays([item.along_rays for item in self.evidence]),
        ]


def typical_of(evidence: list[Evidence]) -> Evidence:
    """The median of each of their numbers; of a turned reading only where MOST of the maps fit better so."""
    ranks = {
        reading: np.array([item.ranks[reading] for item in evidence])
        for reading in evidence[0].ranks
        if all(reading in item.ranks for item in evidence)  # square maps have more
    }
    better = {reading: float(np.mean(values > ranks["as stored"])) for reading, values in ranks.items()}
    return Evidence(
        {
            reading: float(np.median(values))
            for reading, values in ranks.items()
            if reading in ("as stored", "inverted") or better[reading] >= MOST
        },
        **{name: float(np.median([getattr(item, name) for item in evidence])) for name in UNKNOWN},
    )


class Watched:
    """A folder of predictions that is examined while it is read for scoring: reading it all takes as long as the look.

    `watched(sample)` is as of PredictionFolder, and raises HqmdError naming the picture for a map that is none.
    `on_early` is called once, after the first EARLY pictures, where these are suspicious.
    """

    def __init__(
        self, predictions: PredictionFolder, dataset: Dataset, on_early: Callable[[], object] = lambda: None
    ) -> None:
        self.predictions, self.dataset, self.on_early = predictions, dataset, on_early
        self.examination = Examination(predictions.kind, predictions.units_per_metre)
        self.seen: set[str] = set()

    def __call__(self, sample: Sample) -> NDArray[np.float32]:
        pred = self.look(sample)
        if len(self.seen) == EARLY and self.examination.complaints():
            self.on_early()
        return pred

    def look(self, sample: Sample) -> NDArray[np.float32]:
        """The map, examined when it is seen for the first time."""
        pred = self.predictions(sample)
        if sample.name not in self.seen:
            self.seen.add(sample.name)
            self.examination.add(sample.name, pred, sample.depth_m, sample.valid)
        return pred

    def complaints(self) -> list[str]:
        """What is suspicious about the whole set, a sentence each; pictures that were not asked for are read now."""
        for index, name in enumerate(self.dataset.names):
            if name not in self.seen:
                self.look(self.dataset[index])
        return self.examination.complaints()
