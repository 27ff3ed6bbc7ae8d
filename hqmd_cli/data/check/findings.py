"""What is wrong with data, from the statistics of its splits."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from hqmd_cli.data.check.near_duplicates import ALIKE, most_alike
from hqmd_cli.data.check.split_stats import Split, percentile_m
from hqmd_cli.data.check.turned import turned_pairs
from hqmd_cli.data.no_depth import IN_WORDS
from hqmd_cli.data.sample import remarks_in_words, too_many

PLAUSIBLE_MEDIAN_M = (0.3, 50.0)  # from a desk to a street
SPARSE = 0.01  # share of the pixels with depth; a laser's are more
SEEN = ("train",)  # splits that are only learned from
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
        found += [*unreadable_frames(split), *repeated_frames(split), *turned_frames(split)]
        found += photo_remarks(split)
        found += [*depth_problems(split), *duplicates(split)]
    for seen in splits:
        for held_out in splits:
            if held_out.is_held_out and not seen.is_held_out:
                found += leaks(seen, held_out)
    return sorted(found, key=lambda finding: not finding.is_error)


def unreadable_frames(split: Split) -> Iterator[Finding]:
    """Report frames that cannot be read, or have no depth. More than train and evaluate leave out are an error.

    Training only learns nothing from pictures without depth, however many they are.
    """
    number = len(split.unreadable)
    empty = [split.names[index] for index, frame in split.frames.items() if frame.valid_share == 0]
    if number:
        yield Finding(
            f"{split.name}: {number} of {len(split)} frames cannot be read, such as {split.unreadable[0]}",
            is_error=too_many(number, len(split)),
        )
    if empty:
        unusable = too_many(number + len(empty), len(split)) and split.name not in SEEN
        yield Finding(
            f"{split.name}: {len(empty)} frames have no depth at all, such as {empty[0]}",
            is_error=unusable or len(empty) == len(split.frames),
        )


def repeated_frames(split: Split) -> Iterator[Finding]:
    """Report pairs that are listed several times, and so are taken once."""
    if repeated := getattr(split.dataset, "repeated", ()):
        yield Finding(f"{split.name}: {len(repeated)} frames are listed twice and taken once, such as {repeated[0]}")


def turned_frames(split: Split) -> Iterator[Finding]:
    """Report photos that EXIF turns and depth maps that it does not."""
    if split.dataset is not None:
        text, is_error = turned_pairs(split.dataset, range(len(split)))
        if text:
            yield Finding(f"{split.name}: {text}", is_error)


def photo_remarks(split: Split) -> Iterator[Finding]:
    """Report what was chosen or guessed when photos were read, such as the first of several pictures in a file."""
    remarks = ((split.names[index], frame.remarks) for index, frame in split.frames.items())
    yield from (Finding(f"{split.name}: {line}") for line in remarks_in_words(remarks))


def depth_problems(split: Split) -> Iterator[Finding]:
    """Report coarse, missing, constant, sparse, implausible and clipped depth."""
    if split.dataset is not None and split.dataset.step_mm:
        yield Finding(f"{split.name}: depth has 8 bits, and so comes in steps of {split.dataset.step_mm:.0f} mm")
    if not split.frames:
        return
    names = split.names
    flat = [names[index] for index, frame in split.frames.items() if frame.nearest_m == frame.farthest_m]
    sparse = [names[index] for index, frame in split.frames.items() if 0 < frame.valid_share < SPARSE]
    if flat:
        is_error = len(flat) == len(split.frames)
        yield Finding(f"{split.name}: {len(flat)} frames have one depth everywhere, such as {flat[0]}", is_error)
    if sparse:
        yield Finding(f"{split.name}: {len(sparse)} frames have depth at less than 1 % of their pixels: {sparse[0]}")
    yield from odd_numbers(split)
    median_m, (least_m, most_m) = percentile_m(split.counts, 50), PLAUSIBLE_MEDIAN_M
    if not np.isnan(median_m) and not least_m <= median_m <= most_m:
        yield Finding(f"{split.name}: the median depth is {median_m:.3g} m; is the unit right? See --depth-scale")
    farthest_m = max((frame.farthest_m for frame in split.with_depth), default=0.0)
    clipped = float(np.mean([f.at_farthest * (f.farthest_m == farthest_m) for f in split.with_depth] or [0]))
    if clipped > CLIPPED:
        yield Finding(f"{split.name}: {clipped:.0%} of the depth is exactly {farthest_m:.3g} m, as if cut off there")


def odd_numbers(split: Split) -> Iterator[Finding]:
    """Report numbers that stand for "no depth", and depths that lie far beyond all others, which are kept."""
    frames = split.frames
    if masked := {index: frame.masked for index, frame in frames.items() if frame.masked}:
        pixels = sum(frame.size[0] * frame.size[1] for frame in frames.values())
        yield Finding(
            f"{split.name}: {sum(masked.values()) / pixels:.2%} of the pixels hold a number that stands for no depth "
            f"({IN_WORDS}) and count as unknown, such as in {split.names[next(iter(masked))]}"
        )
    if lonely := {index: frame for index, frame in frames.items() if frame.lonely}:
        farthest = max(lonely, key=lambda index: lonely[index].beyond_m)
        yield Finding(
            f"{split.name}: {len(lonely)} frames have depths far beyond all others, up to "
            f"{lonely[farthest].beyond_m:.4g} m in {split.names[farthest]}; they are trained on and scored: if they "
            "stand for no depth, write 0 in their place"
        )


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
