"""What predictions give away about themselves beside the truth: disparities, another unit, mirrored or swapped maps.

Scoring such predictions gives plausible numbers that mean nothing, so they are looked at first. A single poor map
proves little, a whole set does: `fault` and `diagnose` speak of one map, `Examination` of a set.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.predictions import Kind, PredictionFolder

LOOKED_AT_PIXELS = 5000  # of a map, evenly spaced: ranks of more would say the same
FEWEST_PIXELS = 30  # with truth; a rank correlation of fewer is chance
CLEAR_RANK = 0.5  # rank correlation from which a reading of a map is taken for more than chance
CLEAR_MARGIN = 0.25  # and how much better than the map as it is another reading must fit

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

THUMBNAIL = (24, 32)  # (H, W): enough to tell one picture's depth from another's
# When a prediction counts as another picture's: how well it fits that one, by rank correlation, and by how much better
# than each of the two fits its own. Tried on the depth of 721 pictures of NYU under simulated faults (no real model's):
# maps with smooth noise, down to a median of .36 with their own truth, raise no alarm; shifted by one, 43 to 512
# are told. Maps that know nothing of their picture, the mean with noise of its own, do raise one: 8 to 49.
SWAP_FIT, SWAP_MARGIN = 0.7, 0.3
FEWEST_SWAPPED = 2
# Two predictions count as exchanged when their rank correlations with the truths would rise by so much together, in a
# set of so many whose median is as high. Measured on NYU's val (74 pictures, hqmd's own two models): the most that any
# two honest ones would gain is .04 and .34; of two exchanged ones among 74, .86 and .79 are found. A model of two
# epochs, whose median is .50, would gain .60: hence SET_FIT.
EXCHANGE_GAIN, SET_FIT, FEWEST_TO_EXCHANGE = 0.4, 0.7, 5


@dataclass(frozen=True)
class Evidence:
    """How a prediction relates to the truth. NaN where there is too little truth to tell."""

    ranks: dict[str, float]  # reading -> rank correlation of the map so read with the truth
    ratio: float  # median of prediction / truth
    log_gap: float  # median of prediction - ln truth: 1 or more of an honest depth (z - ln z), 0 of its logarithm
    log_spread: float  # how that varies, over how ln prediction - ln truth does: below 1 of logarithms
    same: float  # share of the pixels where it is the truth to SAME


NUMBERS = ("ratio", "log_gap", "log_spread", "same")  # of Evidence


def fault(pred: NDArray[np.floating], kind: Kind = "depth") -> str | None:
    """Why a map, (H, W), is no prediction whatever the truth; None where it is one."""
    if bad := np.count_nonzero(~np.isfinite(pred)):
        return (
            f"{bad / pred.size:.1%} of the pixels are NaN or infinite; fill them, or leave the picture out of the data"
        )
    if pred.min() == pred.max():
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
    views = {"as stored": pred, "mirrored": pred[:, ::-1], "upside down": pred[::-1]}
    if places.size < FEWEST_PIXELS:
        return Evidence(dict.fromkeys([*views, "inverted"], np.nan), np.nan, np.nan, np.nan, np.nan)
    sign = -1 if kind == "disparity" else 1  # what grows with distance has a positive rank correlation
    ranks = {view: sign * spearman(values.ravel()[places], truth) for view, values in views.items()}
    ranks["inverted"] = -ranks["as stored"]
    values = pred.ravel()[places]
    return Evidence(
        ranks,
        float(np.median(values / truth)),
        float(np.median(values - np.log(truth))),
        spread_as_logarithm(values, np.log(truth)),
        float(np.mean(np.abs(values / truth - 1) <= SAME)),
    )


def explain_reading(ranks: dict[str, float], kind: Kind) -> str | None:
    """Which other reading of the maps fits clearly better, with the remedy; None where none does."""
    stored, inverted = ranks["as stored"], ranks["inverted"]
    flipped = max(("mirrored", "upside down"), key=ranks.__getitem__)
    flipped_rank = ranks[flipped]
    best = max(inverted, flipped_rank)
    if best >= CLEAR_RANK and best >= stored + CLEAR_MARGIN:
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


def spread_as_logarithm(values: NDArray[np.floating], log_truth: NDArray[np.floating]) -> float:
    """(T,) values and ln metres -> the spread of v - ln t over that of ln v - ln t; NaN where the latter is unknown."""
    if values.min() <= 0 or not (of_depths := float(np.std(np.log(values) - log_truth))):
        return np.nan
    return float(np.std(values - log_truth)) / of_depths


def explain_logarithms(evidence: Evidence, kind: Kind) -> str | None:
    """Whether depths are the logarithms of some; None where they are not."""
    looks_so = abs(evidence.log_gap) <= LOG_GAP and evidence.ratio <= LOG_RATIO and evidence.log_spread <= LOG_SPREAD
    if kind != "depth" or not looks_so:
        return None
    return (
        f"the median of prediction - ln(truth) is {evidence.log_gap:.2f}, that of prediction / truth "
        f"{evidence.ratio:.2f}: these look like logarithms of metres; write exp of them"
    )


def explain_sameness(same: float) -> str | None:
    """Whether the predictions are the truth itself; None where they are not."""
    if np.isnan(same) or same < SAME_SHARE:
        return None
    return (
        f"{same:.1%} of the pixels are the truth to {SAME:.1%}: these maps are the truth itself, whose score says "
        "nothing of a model"
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

    Memory: 6 KB a picture.
    """

    def __init__(self, kind: Kind = "depth", units_per_metre: float = 1.0) -> None:
        self.kind, self.units_per_metre = kind, units_per_metre
        self.names: list[str] = []
        self.evidence: list[Evidence] = []
        self.thumbnails = Thumbnails()

    def add(
        self, name: str, pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_]
    ) -> None:
        """One picture, as for `diagnose`. Raises HqmdError naming it for a map that is no prediction at all."""
        if (complaint := fault(pred, self.kind)) is not None:
            raise HqmdError(f"{name}: {complaint}")
        self.names.append(name)
        self.evidence.append(measure(pred, depth_m, valid, self.kind))
        self.thumbnails.add(-pred if self.kind == "disparity" else pred, depth_m, valid)

    def complaints(self) -> list[str]:
        """What is suspicious about the set as a whole, a sentence each; empty where nothing is."""
        told = [item for item in self.evidence if not np.isnan(item.ratio)]
        if not told:
            return []
        # Medians: a few odd pictures neither raise an alarm over a sound set nor hide one over a faulty one.
        typical = typical_of(told)
        misread = explain_reading(typical.ranks, self.kind) or explain_logarithms(typical, self.kind)
        if misread is not None:
            return [misread]  # such maps fit no truth, so their order cannot be told
        found = [
            explain_sameness(typical.same),
            explain_unit(typical.ratio, self.kind, self.units_per_metre),
            explain_swaps(self.names, self.thumbnails),
        ]
        return [complaint for complaint in found if complaint is not None]


def typical_of(evidence: list[Evidence]) -> Evidence:
    """The median of each of their numbers."""
    return Evidence(
        {reading: float(np.median([item.ranks[reading] for item in evidence])) for reading in evidence[0].ranks},
        **{name: float(np.median([getattr(item, name) for item in evidence])) for name in NUMBERS},
    )


def examine(predictions: PredictionFolder, dataset: Dataset, indices: Iterable[int] | None = None) -> list[str]:
    """Examine all pictures of a dataset, or those of `indices`, before they are scored; see Examination.

    Raises HqmdError naming the picture for a file that is unreadable, of another size, or no prediction at all.
    """
    examination = Examination(predictions.kind, predictions.units_per_metre)
    for index in range(len(dataset)) if indices is None else indices:
        sample = dataset[index]
        examination.add(sample.name, predictions(sample), sample.depth_m, sample.valid)
    return examination.complaints()


@dataclass
class Thumbnails:
    """Small ranked copies of predictions and truths, to compare every one with every other."""

    preds: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) ranks in 0..1
    truths: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) ranks in 0..1, 0 where unknown
    known: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) 1 where the truth is known

    def add(self, pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_]) -> None:
        """Shrink one picture by averaging, the truth over its valid pixels, and rank it."""
        share = shrink(valid)
        known = share > 0
        depth = shrink(np.where(valid, depth_m, 0))
        truth = np.zeros_like(share)
        truth[known] = ranks_of(depth[known] / share[known])
        self.preds.append(ranks_of(shrink(pred)))
        self.truths.append(truth)
        self.known.append(known.astype(np.float32))

    def correlations(self) -> NDArray[np.float32]:
        """(N, N): how prediction i fits truth j where that is known; 0 where there is too little to tell."""
        preds, truths, known = np.stack(self.preds), np.stack(self.truths), np.stack(self.known)
        count = np.maximum(known.sum(1), 1)
        sums, squares = preds @ known.T, (preds**2) @ known.T
        truth_sums, truth_squares = truths.sum(1), (truths**2).sum(1)
        covariance = preds @ truths.T - sums * truth_sums / count
        spread = (squares - sums**2 / count) * (truth_squares - truth_sums**2 / count)
        told = (spread > 1e-6) & (count >= FEWEST_PIXELS)
        return np.where(told, covariance / np.sqrt(np.where(told, spread, 1)), 0)


def shrink(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """(H, W) averaged down to THUMBNAIL, flat."""
    small = cv2.resize(values.astype(np.float32), THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32).ravel()


def explain_swaps(names: list[str], thumbnails: Thumbnails) -> str | None:
    """Which predictions belong to other pictures, in words; None where each fits its own as well as can be told.

    Two signs: a prediction and another picture's truth that fit one another best of all, and clearly better than either
    fits its own (maps that are all alike raise no alarm by that: they cannot all be a truth's best); and two
    predictions that would fit much better if exchanged, in a set whose others fit well. Maps that vary without regard
    to the picture can show the first, see SWAP_FIT, and the sentence allows for that. Not found: exchanges within one
    room, whose pictures are alike, and those in a set of poor maps, of which nothing can be told.
    """
    fits = thumbnails.correlations()
    pairs = sorted({*best_of_others(fits), *exchanged(fits)}, key=lambda pair: np.diag(fits)[pair[0]] - fits[pair])
    if len({i for i, _ in pairs}) < FEWEST_SWAPPED:
        return None
    i, j = pairs[0]
    return (
        f"{len({i for i, _ in pairs})} of {len(names)} predictions fit another picture's truth better than their own, "
        f"such as that for {names[i]}, which fits {names[j]} (rank correlation {fits[i, j]:.2f}, its own "
        f"{fits[i, i]:.2f}): the files are in another order than the pictures, or say nothing of them; name each after "
        "its picture"
    )


def best_of_others(fits: NDArray[np.float32]) -> list[tuple[int, int]]:
    """(N, N) fits -> pairs of a prediction and another's truth that are each other's best, and clearly so."""
    own = np.diag(fits)
    best_truth, best_pred = fits.argmax(1), fits.argmax(0)
    return [
        (i, int(j))
        for i, j in enumerate(best_truth)
        if i != j and best_pred[j] == i and fits[i, j] >= max(SWAP_FIT, own[i] + SWAP_MARGIN, own[j] + SWAP_MARGIN)
    ]


def exchanged(fits: NDArray[np.float32]) -> list[tuple[int, int]]:
    """(N, N) fits -> pairs (i, j) and (j, i) of predictions that fit much better when exchanged, see EXCHANGE_GAIN."""
    own = np.diag(fits)
    if len(own) < FEWEST_TO_EXCHANGE or np.median(own) < SET_FIT:
        return []
    better = fits - own[:, None]
    fit_then = (np.minimum(better, better.T) > 0) & (np.minimum(fits, fits.T) >= CLEAR_RANK)
    gain = np.where(fit_then, better + better.T, 0)
    return [(int(i), int(j)) for i, j in np.argwhere(gain >= EXCHANGE_GAIN)]


def spearman(values: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    """Rank correlation of two (N,) arrays, ties at their mean rank; 0 where one is constant."""
    a, b = (ranks_of(array) - 0.5 for array in (values, others))
    spread = float(np.sqrt((a @ a) * (b @ b)))
    return float(a @ b) / spread if spread > 0 else 0.0


def ranks_of(values: NDArray[np.floating]) -> NDArray[np.float32]:
    """Ranks of (N,) values scaled into 0..1 with mean 1/2, ties at their mean rank."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return ((last - counts / 2)[places] / values.size).astype(np.float32)
