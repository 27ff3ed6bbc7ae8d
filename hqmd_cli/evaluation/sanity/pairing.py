"""Check that each prediction belongs to its picture, by comparing it with the truth of every other picture.

The comparison is between slopes of small maps: the change of the rank of depth from pixel to pixel. Floors and walls,
which all rooms share, change it little; edges, which no two rooms share, change it much. By slopes, 73 of the 74 maps
of NYU's val by either of hqmd's two models fit their own truth best; by the ranks themselves, some 60.

The constants were chosen on NYU's val and on near and rendered views. On pictures of other cameras, which chose none of
them, no right set in 600 got a complaint (docs/notebook.md, "Files in another order").

Not found: exchanges in a set so poor that its maps fit their own pictures hardly better than others; exchanges among
pictures that are alike, such as a video's; maps of other pictures where there are fewer than 10, or where all are much
alike.
"""

from collections import defaultdict
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.evaluation.sanity.values import ranks_of

THUMBNAIL = (24, 32)  # (H, W): enough to distinguish the depth of pictures
COMPARED = 1000  # pictures compared with one another at most: memory and time grow with the square
FEWEST_KNOWN = 30  # slopes of the truth; a correlation of fewer is chance

# A prediction fits another picture's truth if their slopes correlate by at least OTHERS_FIT, and by OTHERS_MARGIN more
# than either of the two pictures' own predictions and truths do.
OTHERS_FIT, OTHERS_MARGIN = 0.25, 0.25
FEWEST_MISPLACED = 2
MOST_MISPLACED = 0.7  # share of a set without own fit that is rather in another order than of other pictures
FEWEST_FOR_STATISTICS = 10  # pictures; with fewer the spread over pairs is not known well enough
# Maps that are all alike (mean correlation of two) cannot be distinguished. Two of NYU's truths have .07, two maps of
# good models .11, two maps of the mean room with small differences .56.
ALIKE = 0.4
UNRELATED_Z = 3.0  # standard errors by which a set must fit its own truths better than others
SHIFTED_Z = 6.0  # standard errors by which a set fits truths some places further on; 3 happen by chance
LEAST_SPREAD = 0.02  # of correlations over pairs; less is rounding

Fits = NDArray[np.float32]  # (N, N): the correlation of prediction i with truth j


@dataclass
class Thumbnails:
    """Slopes of small ranked copies of predictions and truths. 18 KB a picture."""

    preds: list[NDArray[np.float32]] = field(default_factory=list)  # (P,)
    truths: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) 0 where unknown
    known: list[NDArray[np.float32]] = field(default_factory=list)  # (P,) 1 where the truth is known

    def add(self, pred: NDArray[np.floating], depth_m: NDArray[np.floating], valid: NDArray[np.bool_]) -> None:
        """Add one picture, (H, W) maps that grow with distance: shrink by averaging over valid pixels, and rank."""
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
        """Correlate each prediction with each truth where that is known; 0 if there is too little truth."""
        preds, truths, known = np.stack(self.preds), np.stack(self.truths), np.stack(self.known)
        count = np.maximum(known.sum(1), 1)
        sums, squares = preds @ known.T, (preds**2) @ known.T
        truth_sums, truth_squares = truths.sum(1), (truths**2).sum(1)
        covariance = preds @ truths.T - sums * truth_sums / count
        spread = (squares - sums**2 / count) * (truth_squares - truth_sums**2 / count)
        known_well = (spread > 1e-6) & (count >= FEWEST_KNOWN)
        return np.where(known_well, covariance / np.sqrt(np.where(known_well, spread, 1)), 0)

    def likeness(self) -> float:
        """Return the mean correlation of two predictions or of two truths, whichever is more; 0..1."""
        return max(mean_correlation(np.stack(maps)) for maps in (self.preds, self.truths))


def shrink(values: NDArray[np.generic]) -> NDArray[np.float32]:
    """Average an (H, W) array down to THUMBNAIL."""
    small = cv2.resize(values.astype(np.float32), THUMBNAIL[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32)


def slopes(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Take the changes of an (H, W) array to the right and downwards, (P,); NaN beside NaN."""
    return np.concatenate([np.diff(values, axis=1).ravel(), np.diff(values, axis=0).ravel()])


def mean_correlation(maps: NDArray[np.float32]) -> float:
    """Average the correlations of any two rows of an (N, P) array; a constant row counts as 0."""
    centred = maps - maps.mean(1, keepdims=True)
    length = np.linalg.norm(centred, axis=1, keepdims=True)
    units = centred / np.maximum(length, 1e-6)
    n = len(maps)
    return float((np.sum(units.sum(0) ** 2) - np.sum(units**2)) / max(n * (n - 1), 1))


def explain_order(names: list[str], thumbnails: Thumbnails) -> str | None:
    """Say which predictions belong to other pictures; None if none does as far as can be known.

    `names` are the pictures in order. In sets of more than COMPARED, pictures are compared within parts of that size.
    """
    for start in range(0, len(names), COMPARED):
        part = slice(start, start + COMPARED)
        chosen = Thumbnails(thumbnails.preds[part], thumbnails.truths[part], thumbnails.known[part])
        if complaint := explain_part(names[part], chosen):
            return complaint
    return None


def explain_part(names: list[str], thumbnails: Thumbnails) -> str | None:
    """Say which predictions of up to COMPARED pictures belong to other pictures; None if none does."""
    fits, likeness = thumbnails.fits(), thumbnails.likeness()
    own = np.diag(fits)
    pairs = sorted(best_of_others(fits) if likeness <= ALIKE else [], key=lambda pair: own[pair[0]] - fits[pair])
    unrelated = explain_unrelated(fits, likeness)
    if unrelated and len(pairs) < MOST_MISPLACED * len(names):  # these fit another by chance
        pairs = []
    return explain_shift(names, fits) or explain_misplaced(names, fits, pairs) or unrelated


def explain_shift(names: list[str], fits: Fits) -> str | None:
    """Say that all predictions fit the picture some places further on; None if they do not.

    Works even for poor maps that are much alike, since all of them count together.
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
    """Say which predictions fit another picture's truth; None if too few do. `pairs` are these, best first."""
    predictions = {i for i, _ in pairs}
    if len(predictions) < FEWEST_MISPLACED:
        return None
    i, j = pairs[0]
    return (
        f"{len(predictions)} of {len(names)} predictions fit another picture's truth better than their own, such as "
        f"that for {names[i]}, which fits {names[j]} (correlation of slopes {fits[i, j]:.2f}, its own "
        f"{fits[i, i]:.2f}): the files are in another order than the pictures; name each after its picture"
    )


def best_of_others(fits: Fits) -> list[tuple[int, int]]:
    """Find the pairs of a prediction and another picture's truth that clearly fit each other best."""
    own = np.diag(fits)
    best_truth, best_pred = fits.argmax(1), fits.argmax(0)
    return [
        (i, int(j))
        for i, j in enumerate(best_truth)
        if i != j
        and best_pred[j] == i
        and fits[i, j] >= max(OTHERS_FIT, own[i] + OTHERS_MARGIN, own[j] + OTHERS_MARGIN)
    ]


def explain_unrelated(fits: Fits, likeness: float) -> str | None:
    """Say that predictions fit their own truths no better than others; None if they do, or if all are alike."""
    if len(fits) < FEWEST_FOR_STATISTICS or likeness > ALIKE:
        return None
    if (z := own_z(fits)) >= UNRELATED_Z:
        return None
    others = fits[~np.eye(len(fits), dtype=bool)]
    return (
        f"the predictions fit the truth of their own picture no better than that of others (correlation of slopes "
        f"{np.diag(fits).mean():.2f} and {others.mean():.2f}, z = {z:.1f}): these are other pictures' files, or "
        "do not depend on their photo"
    )


def own_z(fits: Fits) -> float:
    """Return by how many standard errors predictions fit their own truths better than others."""
    return float(np.trace(standardised(fits)) / np.sqrt(len(fits)))


def standardised(fits: Fits) -> Fits:
    """Subtract from the fits the means of each prediction and of each truth, and divide by the spread over pairs."""
    rest = fits - fits.mean(1, keepdims=True) - fits.mean(0, keepdims=True) + fits.mean()
    return rest / max(LEAST_SPREAD, robust_spread(rest[~np.eye(len(rest), dtype=bool)]))


def robust_spread(values: NDArray[np.floating]) -> float:
    """Return the standard deviation of normal values with the same median deviation."""
    return 1.4826 * float(np.median(np.abs(values - np.median(values))))


def explain_copies(names: list[str], fingerprints: list[tuple[int, int]]) -> str | None:
    """Say which predictions are one map under several names, by fingerprints of maps and their truths; else None."""
    pictures = defaultdict(list)
    for name, (pred, truth) in zip(names, fingerprints, strict=True):
        pictures[pred].append((name, truth))
    copies = [group for group in pictures.values() if len({truth for _, truth in group}) > 1]
    if not copies:
        return None
    (first, _), (second, _) = copies[0][:2]
    return (
        f"{sum(map(len, copies))} of {len(names)} predictions are the same map as another's, such as those for {first} "
        f"and {second}: one map was written under several names, or the model ignores its photo"
    )
