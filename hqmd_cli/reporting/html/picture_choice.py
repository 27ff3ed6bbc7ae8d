"""Choose the pictures that a report shows, and give each an anchor."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass

import numpy as np

from hqmd_cli.evaluation.metrics.registry import METRICS
from hqmd_cli.reporting.tables import Results

ORDERED_BY = "AbsRel"  # metric of the first model


@dataclass(frozen=True)
class Choice:
    """The pictures of a report, by their index in the dataset."""

    ranks: list[int]  # of each picture of the dataset; 1 is the worst
    highlights: dict[int, str]  # the worst, median and best -> their titles
    others: list[int]  # opened on demand, in the dataset's order
    parts: str  # says which pictures are on the page

    @property
    def shown(self) -> set[int]:
        """Every picture on the page."""
        return {*self.highlights, *self.others}


def choose(results: Results, most: int) -> Choice:
    """Choose all pictures; if there are more than `most` (3 or more), the worst, the middle and the best."""
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
        parts = f"the {worst} worst, the {third} around the median and the {third} best of {n} pictures"
    return Choice(ranks.tolist(), highlights, sorted(set(chosen) - set(highlights)), parts)


def highlights_of(order: list[int]) -> dict[int, str]:
    """Title the worst, the median and the best picture of `order`, which begins with the worst."""
    if len(order) == 1:
        return {order[0]: "The only picture"}
    median = {order[(len(order) - 1) // 2]: "Median"} if len(order) > 2 else {}
    return {order[0]: "Worst"} | median | {order[-1]: "Best"}


def anchors(names: Iterable[str], taken: Collection[str]) -> list[str]:
    """Give each picture an id, for the part of an address behind #: its name, with _ for white space.

    A name that the page or an earlier picture has taken gets a number.
    """
    found: dict[str, None] = {}
    for name in names:
        anchor = base = "_".join(name.split()) or "_"
        count = 1
        while anchor in found or anchor in taken:
            count += 1
            anchor = f"{base}-{count}"
        found[anchor] = None
    return list(found)
