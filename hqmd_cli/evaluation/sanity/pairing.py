"""Does each prediction belong to its picture? Every one is compared with the truth of every other.

What is compared are slopes of small maps: from pixel to pixel, how the rank of depth changes. Floors and walls, which
all rooms have in common, change it little, while edges, which no two rooms share, change it much. By that, 73 of the 74
maps that either of hqmd's two models makes of NYU's val fit their own truth best; by the ranks themselves, some 60.

Measured there, and on 500 random subsets of each size:
- Two exchanged maps of hqmd's models are told in 2700 of the 2701 possible pairs of 74, and in 93 to 94 % of sets of no
  more than the two; all shifted by one in every set of 5 to 74. No sound set of theirs is complained of.
- Two exchanged ones of poor models (the same maps with large smooth errors, heavily blurred, or mixed with the mean
  room; rank correlation with the truth .6 to .85, slopes' .3) in 30 to 49 % of pairs of 74. Of the sound sets of 10, at
  most 1 % are complained of, fewer of others.
- Other pictures' maps under these names are told from 10 pictures on, and so is a network that has not been trained.

Not told: which of two was exchanged in a set of a network so poor that it fits its own pictures hardly better than
others (one of two epochs: none of 2701 pairs); exchanges among pictures that are alike, such as a video's; other
pictures' maps where there are fewer than 10, or where all are much alike.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.sanity.values import ranks_of

THUMBNAIL = (24, 32)  # (H, W): enough to tell one picture's depth from another's
COMPARED = 1000  # pictures with one another at most: their number squared is what memory and time go by
FEWEST_KNOWN = 30  # slopes of the truth; a correlation of fewer is chance

# A prediction fits another picture's truth when its slopes correlate so much, and by so much more than those of each
# of the two do with its own.
OTHERS_FIT, OTHERS_MARGIN = 0.25, 0.2
FEWEST_MISPLACED = 2
MOST_MISPLACED = 0.7  # share of a set that fits its own truths no better than others: in another order, not of others
FEWEST_FOR_STATISTICS = 10  # pictures, below which the spread over pairs is not known well enough
# Maps that are all alike (mean correlation of two) cannot be told apart. Of NYU's truths any two have .07, of good
# models' maps .11; of maps of the mean room with a little of their own .56.
ALIKE = 0.4
UNRELATED_Z = 3.0  # standard errors by which a set must fit its own truths better than others
SURE_Z = 4.0  # and by which it must, before single pairs are judged by how well the rest fits
SHIFTED_Z = 6.0  # and by which it must fit those so many places further on; of n places, 3 come by chance
EXCHANGE_ODDS = 3.0  # ln of the odds, beyond the number of pairs that there are
FIT_THEN = 0.5  # times the typical fit that one of both must have when exchanged: bad maps are not therefore others'
LEAST_SPREAD = 0.02  # of correlations over pairs; less is rounding

Fits = NDArray[np.float32]  # (N, N): how prediction i fits truth j


@dataclass
class Thumbnails:
    """Slopes of small ranked copies of predictions and truths. 18 KB a picture."""

    preds: list[NDArray[np.float32]] = field(default_factory=list)  # (P,)
    truths: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) 0 where unknown
    known: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) 1 where the truth is known

    def add(self, pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_]) -> None:
        """Shrink one picture by averaging, the truth over its valid pixels, and rank it. Larger means farther."""
        share = shrink(valid)
        known = share > 0
        depth = shrink(np.where(valid, depth_m, 0))
        truth = np.full(THUMBNAIL, np.nan, np.float32)
        truth[known] = ranks_of(depth[known] / share[known])
        rises = slopes(truth)
        self.preds.append(slopes(ranks_of(shrink(pred).ravel()).reshape(THUMBNAIL)))
        self.truths.append(np.nan_to_num(rises))
        self.known.append(np.isfinite(rises).astype(np.float32))

    def fits(self) -> Fits:
        """The correlation of each prediction with each truth where that is known; 0 where there is too little."""
        preds, truths, known = np.stack(self.preds), np.stack(self.truths), np.stack(self.known)
        count = np.maximum(known.sum(1), 1)
        sums, squares = preds @ known.T, (preds**2) @ known.T
        truth_sums, truth_squares = truths.sum(1), (truths**2).sum(1)
        covariance = preds @ truths.T - sums * truth_sums / count
        spread = (squares - sums**2 / count) * (truth_squares - truth_sums**2 / count)
        told = (spread > 1e-6) & (count >= FEWEST_KNOWN)
        return np.where(told, covariance / np.sqrt(np.where(told, spread, 1)), 0)

    def likeness(self) -> float:
        """The mean correlation of two of the predictions, or of two of the truths where that is more; 0..1."""
        return max(mean_correlation(np.stack(maps)) for maps in (self.preds, self.truths))


def shrink(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """(H, W) averaged down to THUMBNAIL."""
    small = cv2.resize(values.astype(np.float32), THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def slopes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """(H, W) -> (P,) changes to the right and downwards; NaN beside NaN."""
    return np.concatenate([np.diff(values, axis=1).ravel(), np.diff(values, axis=0).ravel()])


def mean_correlation(maps: NDArray[np.float32]) -> float:
    """(N, P) -> the mean correlation of two different rows, constant ones counted as 0."""
    centred = maps - maps.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    units = centred / np.maximum(length, 1e-6)
    n = len(maps)
    return float((np.sum(units.sum(0) ** 2) - np.sum(units**2)) / max(n * (n - 1), 1))


def explain_order(names: list[str], thumbnails: Thumbnails) -> str | None:
    """Which predictions belong to other pictures, in words; None where each fits its own as well as can be told.

    `names` are the pictures in order. In sets of more than COMPARED, pictures are compared with those of their part.
    """
    for start in range(0, len(names), COMPARED):
        part = slice(start, start + COMPARED)
        chosen = Thumbnails(thumbnails.preds[part], thumbnails.truths[part], thumbnails.known[part])
        if complaint := explain_part(names[part], chosen):
            return complaint
    return None


def explain_part(names: list[str], thumbnails: Thumbnails) -> str | None:
    """The same of few enough to be compared with one another."""
    fits, likeness = thumbnails.fits(), thumbnails.likeness()
    own = np.diag(fits)
    pairs = sorted(misplaced(fits, likeness), key=lambda pair: own[pair[0]] - fits[pair])
    unrelated = explain_unrelated(fits, likeness)
    if unrelated and len(pairs) < MOST_MISPLACED * len(names):  # some fit another by chance
        pairs = []
    return explain_shift(names, fits) or explain_misplaced(names, fits, pairs) or unrelated


def explain_shift(names: list[str], fits: Fits) -> str | None:
    """That all predictions fit the picture some places further on, in words; None where they do not.

    Told even of poor maps that are much alike, as all speak together.
    """
    n = len(names)
    if n < FEWEST_FOR_STATISTICS:
        return None
    evidence = standardised(fits)
    z = np.array([np.trace(np.roll(evidence, -places, axis=1)) for places in range(n)]) / np.sqrt(n)
    places = int(z.argmax())
    if z[0] >= UNRELATED_Z or z[places] < SHIFTED_Z:
        return None
    way = f"{places} further on" if places <= n - places else f"{n - places} before"
    return (
        f"the predictions fit the truth of another picture, {way} in the list, such as that for {names[0]}, which fits "
        f"{names[places]}: the files are in another order than the pictures; name each after its picture"
    )


def explain_misplaced(names: list[str], fits: Fits, pairs: list[tuple[int, int]]) -> str | None:
    """Which predictions fit another picture's truth, in words; None where too few do. `pairs` are those, best first."""
    predictions = {i for i, _ in pairs}
    if len(predictions) < FEWEST_MISPLACED:
        return None
    i, j = pairs[0]
    return (
        f"{len(predictions)} of {len(names)} predictions fit another picture's truth better than their own, such as "
        f"that for {names[i]}, which fits {names[j]} (correlation of slopes {fits[i, j]:.2f}, its own "
        f"{fits[i, i]:.2f}): the files are in another order than the pictures; name each after its picture"
    )


def misplaced(fits: Fits, likeness: float) -> set[tuple[int, int]]:
    """Pairs of a prediction and another picture's truth that it belongs to."""
    return {*exchanged(fits), *(best_of_others(fits) if likeness <= ALIKE else [])}


def best_of_others(fits: Fits) -> list[tuple[int, int]]:
    """Pairs of a prediction and another's truth that are each other's best, and clearly so."""
    own = np.diag(fits)
    best_truth, best_pred = fits.argmax(1), fits.argmax(0)
    return [
        (i, int(j))
        for i, j in enumerate(best_truth)
        if i != j
        and best_pred[j] == i
        and fits[i, j] >= max(OTHERS_FIT, own[i] + OTHERS_MARGIN, own[j] + OTHERS_MARGIN)
    ]


def exchanged(fits: Fits) -> list[tuple[int, int]]:
    """(i, j) and (j, i) where it is far more likely that two predictions were exchanged than that they were not.

    Both readings are taken for normal: own fits about their median, others about 0, with the spreads that they have in
    this set. Then the log odds are the gain by exchanging them times `weight`; of the N (N - 1) / 2 pairs none was
    expected to be exchanged before.
    """
    n = len(fits)
    if n < FEWEST_FOR_STATISTICS or own_z(fits) < SURE_Z:
        return []
    evidence = standardised(fits)
    own = np.diag(evidence)
    weight = 2 * float(np.median(own)) / (1 + max(1.0, robust_spread(own)) ** 2)
    gain = evidence + evidence.T - own[:, None] - own  # of a prediction with itself: 0
    likely = weight * gain > EXCHANGE_ODDS + np.log(n * (n - 1) / 2)
    fit_then = np.maximum(fits, fits.T) >= FIT_THEN * np.median(np.diag(fits))
    return [(int(i), int(j)) for i, j in np.argwhere(likely & fit_then)]


def explain_unrelated(fits: Fits, likeness: float) -> str | None:
    """That predictions, which differ, fit no truth better than any other's; None where they do, or cannot be told."""
    if len(fits) < FEWEST_FOR_STATISTICS or likeness > ALIKE:
        return None
    if (z := own_z(fits)) >= UNRELATED_Z:
        return None
    others = fits[~np.eye(len(fits), dtype=bool)]
    return (
        f"the predictions fit the truth of their own picture no better than that of others (correlation of slopes "
        f"{np.diag(fits).mean():.2f} and {others.mean():.2f}, z = {z:.1f}): these are other pictures' files, or say "
        "nothing of what their photo shows"
    )


def own_z(fits: Fits) -> float:
    """By how many standard errors predictions fit their own truths better than others."""
    return float(np.trace(standardised(fits)) / np.sqrt(len(fits)))


def standardised(fits: Fits) -> Fits:
    """Fits without what a prediction has with all truths and a truth with all predictions, in spreads over pairs."""
    rest = fits - fits.mean(1, keepdims=True) - fits.mean(0, keepdims=True) + fits.mean()
    return rest / max(LEAST_SPREAD, robust_spread(rest[~np.eye(len(rest), dtype=bool)]))


def robust_spread(values: NDArray[np.floating]) -> float:
    """The standard deviation that normal values of the same median deviation would have."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def explain_copies(names: list[str], fingerprints: list[tuple[int, int]]) -> str | None:
    """Which predictions are one map under several names, in words; given are fingerprints of maps and their truths."""
    pictures = defaultdict(list)
    for name, (pred, truth) in zip(names, fingerprints, strict=True):
        pictures[pred].append((name, truth))
    copies = [group for group in pictures.values() if len({truth for _, truth in group}) > 1]
    if not copies:
        return None
    (first, _), (second, _) = copies[0][:2]
    return (
        f"{sum(map(len, copies))} of {len(names)} predictions are the same map as another's, such as those for {first} "
        f"and {second}: one map was written under several names, or the model does not look at its photo"
    )
