"""Measure on held-out pictures how wrong depth is: the coefficients of inference/uncertainty.py, and how good they are.

Of each picture, the error of the scale is the median over its pixels of log(prediction / truth); the errors of the
shape are what is left once that is subtracted. Both are fitted, in absolute values, by non-negative sums of terms, and
then scaled so that the 90 % intervals hold 90 % of the pictures and of the pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.config.view import View
from hqmd_cli.data.sample import Sample
from hqmd_cli.evaluation.metrics.uncertainty import DEVIATIONS, INTERVAL, ause, held, parted, places_of
from hqmd_cli.evaluation.prediction_source import PredictionSource, model_source
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.scoring import compared_prediction, compared_truth
from hqmd_cli.geometry.resize import shrink
from hqmd_cli.inference.predictor import DepthPredictor
from hqmd_cli.inference.uncertainty import Floats, terms_of

Values = NDArray[np.floating]
BLOCKS = 5  # of neighbouring pictures, which often show one room: each is judged by what the others gave
SWEEPS, CLOSE_ENOUGH = 2000, 1e-9  # of coordinate descent, which ends when no coefficient moves any more


@dataclass(frozen=True, eq=False)
class Picture:
    """The terms of one picture, and its errors in log depth; P pixels."""

    scale_terms: Floats  # (terms,)
    scale_off: float  # above 0: too far
    shape_terms: Floats  # (terms, P)
    shape_off: Floats  # (P,)
    pred_m: Floats  # (P,) as predicted

    def errors(self, view: View) -> "tuple[float, Floats]":
        """Return the errors that a view's coefficients expect: of the scale, and (P,) of the shape."""
        shape = np.tensordot(np.array(view.shape_error, np.float32), self.shape_terms, axes=1)
        return float(np.dot(view.scale_error, self.scale_terms)), shape.astype(np.float32)


def picture_of(pred_m: Floats, logs: Floats, sample: Sample, protocol: Protocol) -> Picture:
    """Compare a prediction (H, W), made of the views' log depth (n, h, w), with the truth that a protocol counts."""
    truth_m, scored = compared_truth(sample, protocol)
    places = places_of(scored)
    chosen_m = compared_prediction(pred_m, protocol).ravel()[places]
    off = np.log(chosen_m / truth_m.ravel()[places])
    terms = terms_of(logs)
    shape = np.stack([shrink(term, truth_m.shape[:2]).ravel()[places] for term in terms.shape])
    scale_off, shape_off = parted(off)
    return Picture(terms.scale, scale_off, shape, shape_off, chosen_m)


def watched(predictor: DepthPredictor, protocol: Protocol, pictures: list[Picture]) -> PredictionSource:
    """Return a source of a predictor's maps that adds each picture it is asked for to `pictures`."""
    newest: list[Floats] = []

    def predict(image: NDArray[np.uint8]) -> Floats:
        depth_m, logs = predictor.with_logs(image)
        newest[:] = [logs]
        return depth_m

    source = model_source(predict, follows_camera=True)

    def map_of(sample: Sample) -> NDArray[np.floating]:
        pred_m = source(sample)
        pictures.append(picture_of(pred_m.astype(np.float32, copy=False), newest[0], sample, protocol))
        return pred_m

    return replace(source, map_of=map_of)


def fitted(view: View, sets: Sequence[Sequence[Picture]]) -> View:
    """Fit the coefficients of a view to sets of pictures. Each set counts the same, and each picture of a set."""
    pictures = [(picture, 1 / len(several)) for several in sets for picture in several]
    scale = fit(
        np.stack([picture.scale_terms for picture, _ in pictures], axis=1),
        np.array([picture.scale_off for picture, _ in pictures]),
        np.array([weight for _, weight in pictures]),
    )
    shape = fit(
        np.concatenate([picture.shape_terms for picture, _ in pictures], axis=1),
        np.concatenate([picture.shape_off for picture, _ in pictures]),
        np.concatenate([np.full(len(p.shape_off), weight / len(p.shape_off)) for p, weight in pictures]),
    )
    return replace(view, scale_error=scale, shape_error=shape)


def fit(terms: Values, off: Values, weights: Values) -> tuple[float, ...]:
    """Fit |off| (N,) by a non-negative sum of terms (T, N), and scale it so that the intervals hold INTERVAL of all."""
    size = np.abs(off).astype(np.float64)
    weighted = terms * weights
    found = non_negative(weighted @ terms.T.astype(np.float64), weighted @ size)
    ratios = size / np.maximum(found @ terms, 1e-9)
    order = np.argsort(ratios)
    held = np.cumsum(weights[order]) / weights.sum()
    last = min(int(np.searchsorted(held, INTERVAL)), len(order) - 1)
    return tuple((found * ratios[order[last]] / DEVIATIONS).round(4).tolist())


def non_negative(squares: NDArray[np.float64], products: NDArray[np.float64]) -> NDArray[np.float64]:
    """Solve least squares for x >= 0 by coordinate descent, given A A^T (T, T) and A b (T,)."""
    found = np.zeros(len(products))
    for _ in range(SWEEPS):
        before = found.copy()
        for place, square in enumerate(squares.diagonal()):
            if square > 0:
                slope = squares[place] @ found - products[place]
                found[place] = max(0, found[place] - slope / square)
        if np.abs(found - before).max() < CLOSE_ENOUGH:
            break
    return found


class Verdict(NamedTuple):
    """How good the stated errors of some pictures are."""

    pictures: int
    scale: float  # mean of the stated errors
    shape: float
    scale_coverage: float  # share of the pictures within their 90 % intervals
    shape_coverage: float  # share of the pixels
    sparsification: tuple[tuple[float, float, float], tuple[float, float, float]]  # see `sparsified`

    @property
    def lines(self) -> list[str]:
        """Describe it."""
        relative, metres = self.sparsification
        return [
            f"scale: +-{self.scale:.0%} on average; the 90 % intervals hold {self.scale_coverage:.0%} of "
            f"{self.pictures} pictures",
            f"shape: +-{self.shape:.0%} on average; the 90 % intervals hold {self.shape_coverage:.0%} of the pixels",
            *(
                f"sparsification error (AUSE) of the shape, {name}: {own:.3f}; a constant {even:.3f}, in proportion "
                f"to depth {by_depth:.3f}"
                for name, (own, even, by_depth) in (("relative errors", relative), ("metres", metres))
            ),
        ]


def judge(pictures: Sequence[Picture], views: Sequence[View]) -> Verdict:
    """Judge the errors that each picture's view expects."""
    errors = [picture.errors(view) for picture, view in zip(pictures, views, strict=True)]
    within = [abs(p.scale_off) <= DEVIATIONS * scale for p, (scale, _) in zip(pictures, errors, strict=True)]
    pixels = [held(p.shape_off, shape) for p, (_, shape) in zip(pictures, errors, strict=True)]
    curves = [sparsified(picture, shape) for picture, (_, shape) in zip(pictures, errors, strict=True)]
    relative, metres = np.mean(curves, axis=0)
    return Verdict(
        len(pictures),
        float(np.mean([scale for scale, _ in errors])),
        float(np.mean([shape.mean() for _, shape in errors])),
        float(np.mean(within)),
        float(np.mean(pixels)),
        (tuple(relative.tolist()), tuple(metres.tolist())),
    )


def cross_fitted(view: View, sets: Sequence[Sequence[Picture]]) -> list[Verdict]:
    """Judge each set, a block of neighbours at a time, by coefficients that were fitted to the other blocks of all."""
    blocks = [np.arange(len(pictures)) * BLOCKS // len(pictures) for pictures in sets]
    views = [
        fitted(view, [select(pictures, of != block) for pictures, of in zip(sets, blocks, strict=True)])
        for block in range(BLOCKS)
    ]
    return [judge(pictures, [views[block] for block in of]) for pictures, of in zip(sets, blocks, strict=True)]


def select(pictures: Sequence[Picture], chosen: NDArray[np.bool_]) -> list[Picture]:
    """Return the chosen pictures."""
    return [picture for picture, is_chosen in zip(pictures, chosen, strict=True) if is_chosen]


def sparsified(picture: Picture, shape: Floats) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Compute AUSE of the shape, for relative errors and for metres: by its own, constant and proportional errors.

    An error in metres that is proportional to depth is a constant relative one.
    """
    relative = np.abs(picture.shape_off)
    right_m = picture.pred_m / np.exp(np.float32(picture.scale_off))  # with the true scale
    metres = np.abs(right_m - right_m / np.exp(picture.shape_off))
    even = np.ones_like(right_m)
    return (
        tuple(ause(relative, stated) for stated in (shape, even, right_m)),
        tuple(ause(metres, stated) for stated in (shape * right_m, even, right_m)),
    )
