"""Find predictions that were written wrongly: as disparities, in another unit, mirrored or swapped maps.

Scores of such predictions are plausible numbers without meaning. `explain_invalid` and `diagnose` check one map,
`Examination` checks a set, which proves more: a single map may just be a poor prediction.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
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

PIXELS = 5000  # of a map, evenly spaced; more would not change the ranks
FEWEST_PIXELS = 30  # with truth; a rank correlation of fewer is chance
CLEAR_RANK = 0.5  # least rank correlation for a reading of a map to be more than chance
CLEAR_MARGIN = 0.25  # by which another reading must fit better than the maps as stored
FEW_MARGIN, FEW = 0.35, 10  # the margin for fewer maps than FEW, where a poor network may fit better turned by chance
MOST = 0.75  # share of a set's maps that must fit better when turned; fewer is chance, as with maps of other pictures

# The factor by which depth is wrong -> the unit that was mistaken for metres.
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
FACTOR_TOLERANCE = 1.3  # a metric model is seldom further off over a set
HONEST_RATIO = 4.0  # chosen, not measured: an indoor model on streets may be further off, and then gets a complaint

# Logarithms of metres: on NYU's val, ln of three models' maps has a gap of -.01 to .10 and a spread of .68 to .93; the
# maps themselves have 1.5 to 2.0 and 2.0 to 2.6; the maps of the two good models divided by 2 to 3 a spread above 1.
LOG_GAP = 0.4  # a depth that is half the truth everywhere has .5 at 1 m, and more elsewhere
LOG_SPREAD = 0.95
LOG_RATIO = 0.75  # ln z / z is .37 at most
SAME, SAME_SHARE = 0.001, 0.99  # millimetres are rounded to half of one


@dataclass(frozen=True)
class Evidence:
    """How a prediction relates to the truth; NaN if there is too little truth."""

    ranks: dict[str, float]  # reading, such as "mirrored" -> rank correlation with the truth
    ratio: float  # median of prediction / truth
    log_gap: float  # median of prediction - ln truth: 1 or more for a depth (z - ln z), 0 for its logarithm
    log_spread: float  # spread of prediction - ln truth over that of ln prediction - ln truth: below 1 for logarithms
    same: float  # share of the pixels where prediction and truth differ by SAME at most
    along_rays: float  # see values.spread_along_rays
    levels: float  # number of different values
    true_levels: float  # number of different values of the truth


UNKNOWN = dict.fromkeys((f.name for f in fields(Evidence) if f.name != "ranks"), np.nan)


def explain_invalid(pred: NDArray[np.floating], kind: Kind = "depth", accept_flat: bool = False) -> str | None:
    """Say why an (H, W) map cannot be a prediction, whatever the truth; None if it can.

    accept_flat: accept the same depth everywhere.
    """
    if bad := np.count_nonzero(~np.isfinite(pred)):
        return (
            f"{bad / pred.size:.1%} of the pixels are NaN or infinite; fill them, or leave the picture out of the data"
        )
    if pred.min() == pred.max() and not accept_flat:
        return f"the prediction is {pred.min():g} everywhere; check how it was written"
    if kind == "depth" and (low := np.count_nonzero(pred <= 0)):
        return (
            f"{low / pred.size:.1%} of the depths are 0 or less, the lowest is {pred.min():g}; fill holes, or, if "
            "these are not metres, pass --pred-kind relative or disparity"
        )
    return None


def diagnose(
    pred: NDArray[np.floating],
    depth_m: NDArray[np.floating],
    valid: NDArray[np.bool_],
    kind: Kind = "depth",
) -> str | None:
    """Say what is suspicious about one prediction, with the remedy; None if nothing is, or the truth is too sparse.

    All maps are (H, W); depth_m is in metres where valid; pred is in metres, or as stored for the other kinds. Raises
    HqmdError if the sizes differ.
    """
    if pred.shape != depth_m.shape:
        raise HqmdError(f"the prediction is {pred.shape}, the truth {depth_m.shape}; their sizes must be the same")
    if (complaint := explain_invalid(pred, kind)) is not None:
        return complaint
    evidence = measure(pred, depth_m, valid, kind)
    return (
        explain_reading(evidence.ranks, kind)
        or explain_logarithms(evidence, kind)
        or explain_unit(evidence.ratio, kind, units_per_metre=1)
    )


def measure(
    pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_], kind: Kind
) -> Evidence:
    """Relate one map to its truth, at about PIXELS pixels."""
    places = np.flatnonzero(valid)
    places = places[:: max(1, places.size // PIXELS)]
    truth = depth_m.ravel()[places]
    views = {"as stored": pred, **turned(pred)}
    if places.size < FEWEST_PIXELS:
        return Evidence(dict.fromkeys([*views, "inverted"], np.nan), **UNKNOWN)
    sign = -1 if kind == "disparity" else 1  # disparity falls with distance
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
    """Undo the ways in which a map may have been turned: way -> (H, W)."""
    ways = {"mirrored": pred[:, ::-1], "upside down": pred[::-1], "turned by 180 degrees": pred[::-1, ::-1]}
    if pred.shape[0] == pred.shape[1]:  # other maps lying on their side have another size than the truth
        ways |= {"turned to the left": np.rot90(pred, -1), "turned to the right": np.rot90(pred)}
    return ways


def explain_reading(ranks: dict[str, float], kind: Kind, count: int = 1) -> str | None:
    """Say which other reading fits clearly better, by the ranks of a map, or medians of `count`; None if none does."""
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
            # For the reader, the correlation of the numbers as stored, without the sign of `measure`.
            rank = -stored if kind == "disparity" else stored
            return f"Spearman {rank:.2f} against the truth: these look like {looks}; pass --pred-kind {remedy}"
        return (
            f"rank correlation {stored:.2f} with the truth, but {flipped_rank:.2f} when {flipped}: the maps are "
            f"{flipped}; turn them back before they are written"
        )
    return None


def spread_as_logarithm(gap: NDArray[np.floating], log_ratio: NDArray[np.floating]) -> float:
    """Divide the spread of v - ln t by the spread of ln v - ln t, (T,) each, of values v and metres t."""
    of_depths = float(np.std(log_ratio))
    return float(np.std(gap)) / of_depths if of_depths else np.nan  # NaN as well if a value has no logarithm


def explain_logarithms(evidence: Evidence, kind: Kind) -> str | None:
    """Say that depths look like logarithms of metres; None if they do not."""
    alike = abs(evidence.log_gap) <= LOG_GAP and evidence.ratio <= LOG_RATIO and evidence.log_spread <= LOG_SPREAD
    if kind != "depth" or not alike:
        return None
    return (
        f"the median of prediction - ln(truth) is {evidence.log_gap:.2f}, of prediction / truth "
        f"{evidence.ratio:.2f}: these look like logarithms of metres; write exp of them"
    )


def explain_sameness(names: list[str], shares: list[float]) -> str | None:
    """Say which predictions are the truth itself; None if none is. `shares` are of pixels that are the SAME."""
    same = [name for name, share in zip(names, shares, strict=True) if share >= SAME_SHARE]  # NaN is not
    if not same:
        return None
    return (
        f"{len(same)} of {len(names)} predictions, such as that for {same[0]}, are the truth to {SAME:.1%} nearly "
        "everywhere: these maps are the truth itself, whose score says nothing of a model"
    )


def explain_unit(ratio: float, kind: Kind, units_per_metre: float) -> str | None:
    """Name the unit that a median of prediction / truth suggests, with the remedy; None if a model may have it."""
    if kind != "depth" or np.isnan(ratio) or 1 / HONEST_RATIO <= ratio <= HONEST_RATIO:
        return None
    finding = f"the median of prediction / truth is {ratio:.4g}"
    nearest = min(FACTORS, key=lambda factor: abs(np.log(ratio / factor)))
    if max(ratio / nearest, nearest / ratio) <= FACTOR_TOLERANCE:
        return f"{finding}: these look like {FACTORS[nearest]}; pass --pred-scale {units_per_metre * nearest:g}"
    return (
        f"{finding}, which fits no unit that hqmd knows; state it with --pred-scale, or, if these are not metres, pass "
        "--pred-kind relative"
    )


class Examination:
    """Check a set of predictions against their truths: `add` them one by one, then ask for `complaints`.

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
        """Add one picture, (H, W) maps as for `diagnose`. Raises HqmdError naming it if the map is invalid."""
        if (complaint := explain_invalid(pred, self.kind)) is not None:
            raise HqmdError(f"{name}: {complaint}")
        self.names.append(name)
        self.evidence.append(measure(pred, depth_m, valid, self.kind))
        self.thumbnails.add(-pred if self.kind == "disparity" else pred, depth_m, valid)
        self.ranges.append((float(pred.min()), float(pred.max())))
        self.true_ranges.append((float(depth_m[valid].min()), float(depth_m[valid].max())) if valid.any() else (0, 0))
        self.fingerprints.append((hash(pred.tobytes()), hash(self.thumbnails.truths[-1].tobytes())))

    def complaints(self) -> list[str]:
        """Say what is suspicious about the set, a sentence each; empty if nothing is."""
        known = [item for item in self.evidence if not np.isnan(item.ratio)]
        if not known:
            return []
        # Medians: a few odd pictures neither raise an alarm over a sound set nor hide one over a faulty one.
        typical = typical_of(known)
        misread = explain_reading(typical.ranks, self.kind, len(known)) or explain_logarithms(typical, self.kind)
        if misread is not None:
            return [misread]  # such maps fit no truth, which hides their order
        copied = explain_copies(self.names, self.fingerprints)
        found = [*self.about_metres(typical, bool(copied))] if self.kind == "depth" else []
        found += [copied or explain_order(self.names, self.thumbnails)]
        return [complaint for complaint in found if complaint is not None]

    def about_metres(self, typical: Evidence, copied: bool) -> list[str | None]:
        """Run the checks that only depth in metres can fail."""
        stretched = None if copied else explain_range(self.ranges, self.true_ranges)  # copies share a range as well
        return [
            explain_sameness(self.names, [item.same for item in self.evidence]),
            stretched or explain_unit(typical.ratio, self.kind, self.units_per_metre),
            explain_levels(typical.levels, typical.true_levels),
            explain_odd_units(self.names, [item.ratio for item in self.evidence]),
            explain_rays([item.along_rays for item in self.evidence]),
        ]


def typical_of(evidence: list[Evidence]) -> Evidence:
    """Take the median of each number; keep a turned reading only if MOST of the maps fit better with it."""
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
