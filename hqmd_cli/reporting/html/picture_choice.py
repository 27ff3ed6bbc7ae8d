"""Which pictures a report shows, and the anchor of each."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from hqmd_cli.evaluation.metrics.registry import METRICS
from hqmd_cli.reporting.tables import Results

ORDERED_BY = "AbsRel"  # of the first model


@dataclass(frozen=True)
class Choice:
    """Pictures by their index in the dataset."""

    ranks: list[int]  # of each picture, 1 the worst
    highlights: dict[int, str]  # the worst, median and best -> what they are
    others: list[int]  # shown on demand, in the dataset's order
    parts: str  # which are shown at all, in words

    @property
    def shown(self) -> set[int]:
        """All that the page holds."""
        return {*self.highlights, *self.others}


def choose(results: Results, most: int) -> Choice:
    """All pictures, or of more than `most` (3 or more) the worst, those round the median, and the best."""
    figures = next(iter(results.values())).per_picture[ORDERED_BY]
    order = np.argsort([-METRICS[ORDERED_BY].badness(value) for value in figures], kind="stable").tolist()
    n = len(order)
    ranks = np.argsort(order) + 1
    highlights = highlights_of(order)
    if n <= most:
        chosen, parts = order, f"all {n} pictures" if n > 1 else "the only picture"
    else:
        third = most // 3
        worst, middle = most - 2 * third, (n - 1) // 2 - third // 2
        chosen = [*order[:worst], *order[middle : middle + third], *order[n - third :]]
        parts = f"the {worst} worst, the {third} round the median and the {third} best of {n} pictures"
    return Choice(ranks.tolist(), highlights, sorted(set(chosen) - set(highlights)), parts)


def highlights_of(order: list[int]) -> dict[int, str]:
    """The worst, the median and the best of pictures, worst first; fewer where there are fewer."""
    if len(order) == 1:
        return {order[0]: "The only picture"}
    median = {order[(len(order) - 1) // 2]: "Median"} if len(order) > 2 else {}
    return {order[0]: "Worst"} | median | {order[-1]: "Best"}


def anchors(names: Iterable[str], taken: Collection[str]) -> list[str]:
    """A name each for the part of an address behind #: the picture's own, as far as that is free.

    An id has no white space, so that becomes _; a name that is taken, by the page or a picture before, gets a number.
    """
    found: dict[str, None] = {}
    for name in names:
        anchor = wished = "_".join(name.split()) or "_"
        count = 1
        while anchor in found or anchor in taken:
            count += 1
            anchor = f"{wished}-{count}"
        found[anchor] = None
    return list(found)
