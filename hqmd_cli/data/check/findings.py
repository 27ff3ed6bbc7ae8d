"""What is wrong with data, from the statistics of its splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hqmd_cli.data.check.near_duplicates import ALIKE, most_alike
from hqmd_cli.data.check.split_stats import Split, percentile_m
from hqmd_cli.data.sample import TOLERATED_FAULTS

PLAUSIBLE_MEDIAN_M = (0.3, 50.0)  # from a desk to a street
SPARSE = 0.01  # share of the pixels with depth; a laser's are more
CLIPPED = 0.05  # share of the depths that equal the farthest one


@dataclass(frozen=True)
class Finding:
    """A problem; an error makes the data unusable."""

    text: str
    is_error: bool = False


def find_problems(splits: Sequence[Split], unpaired: Sequence[str]) -> list[Finding]:
    """List all problems, errors first. `unpaired` describes files without a partner."""
    found = [Finding(f"{split.name}: {split.error}", is_error=True) for split in splits if split.error]
    found += [Finding(line) for line in unpaired]
    for split in splits:
        found += [*unreadable_frames(split), *depth_problems(split), *duplicates(split)]
    for seen in splits:
        for held_out in splits:
            if held_out.is_held_out and not seen.is_held_out:
                found += leaks(seen, held_out)
    return sorted(found, key=lambda finding: not finding.is_error)


def unreadable_frames(split: Split) -> Iterator[Finding]:
    """Report frames that cannot be read; more than training tolerates are an error."""
    if number := len(split.unreadable):
        yield Finding(
            f"{split.name}: {number} of {len(split)} frames cannot be read, such as {split.unreadable[0]}",
            is_error=number / len(split) > TOLERATED_FAULTS,
        )


def depth_problems(split: Split) -> Iterator[Finding]:
    """Report coarse, missing, constant, sparse, implausible and clipped depth."""
    if split.dataset is not None and split.dataset.step_mm:
        yield Finding(f"{split.name}: depth has 8 bits, and so comes in steps of {split.dataset.step_mm:.0f} mm")
    if not split.frames:
        return
    names = split.names
    empty = [names[index] for index, frame in split.frames.items() if frame.valid_share == 0]
    flat = [names[index] for index, frame in split.frames.items() if frame.nearest_m == frame.farthest_m]
    sparse = [names[index] for index, frame in split.frames.items() if 0 < frame.valid_share < SPARSE]
    for some, what in ((empty, "have no depth at all"), (flat, "have one depth everywhere")):
        if some:
            is_error = len(some) == len(split.frames)
            yield Finding(f"{split.name}: {len(some)} frames {what}, such as {some[0]}", is_error)
    if sparse:
        yield Finding(f"{split.name}: {len(sparse)} frames have depth at less than 1 % of their pixels: {sparse[0]}")
    median_m, (least_m, most_m) = percentile_m(split.counts, 50), PLAUSIBLE_MEDIAN_M
    if not np.isnan(median_m) and not least_m <= median_m <= most_m:
        yield Finding(f"{split.name}: the median depth is {median_m:.3g} m; is the unit right? See --depth-scale")
    farthest_m = max((frame.farthest_m for frame in split.with_depth), default=0.0)
    clipped = float(np.mean([f.at_farthest * (f.farthest_m == farthest_m) for f in split.with_depth] or [0]))
    if clipped > CLIPPED:
        yield Finding(f"{split.name}: {clipped:.0%} of the depth is exactly {farthest_m:.3g} m, as if cut off there")


def duplicates(split: Split) -> Iterator[Finding]:
    """Report photos with equal pixels in one split."""
    first: dict[bytes, int] = {}
    twins = [
        (original, index)
        for index, frame in split.frames.items()
        if (original := first.setdefault(frame.identity, index)) != index
    ]
    if twins:
        one, other = (split.names[index] for index in twins[0])
        yield Finding(f"{split.name}: {len(twins)} photos appear twice, such as {one} and {other}")


def leaks(seen: Split, held_out: Split) -> Iterator[Finding]:
    """Report photos of a held-out split that are in the training split, or look like one there."""
    index_of = {frame.identity: index for index, frame in seen.frames.items()}
    same = {i: index_of[frame.identity] for i, frame in held_out.frames.items() if frame.identity in index_of}
    if same:
        held_index, seen_index = next(iter(same.items()))
        example = f"{held_out.names[held_index]} and {seen.names[seen_index]}"
        yield Finding(
            f"{len(same)} photos of {held_out.name} are in {seen.name}, too, such as {example}", is_error=True
        )
    others = [index for index in held_out.frames if index not in same]
    if not others or not seen.frames:
        return
    rows, likeness = most_alike(
        np.stack([held_out.frames[index].fingerprint for index in others]),
        np.stack([frame.fingerprint for frame in seen.frames.values()]),
    )
    if number := int(np.count_nonzero(likeness > ALIKE)):
        best = int(likeness.argmax())
        held_name, seen_name = held_out.names[others[best]], seen.names[list(seen.frames)[rows[best]]]
        example = f"{held_name} and {seen_name} ({likeness[best]:.2f})"
        yield Finding(f"{number} photos of {held_out.name} look like one of {seen.name}, such as {example}")
