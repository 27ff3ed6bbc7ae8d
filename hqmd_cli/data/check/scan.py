"""What is in a dataset, and what is wrong with it, before hours are spent on it.

Every frame is read once, as training would read it, and leaves a few numbers; memory does not grow with the pictures.
quick_look, which `hqmd train` begins with, reads a few frames and of the others only headers.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data import find_reader, open_dataset
from hqmd_cli.data.check.near_duplicates import ALIKE, fingerprint, identity, most_alike
from hqmd_cli.data.pairs import FilePairs
from hqmd_cli.data.sample import TOLERATED_FAULTS, WHOLE, evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_size
from hqmd_cli.files.photos import ends_well, photo_size
from hqmd_cli.parallel.thread_pool import run_jobs

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset, Sample

SEEN, HELD_OUT = ("train",), ("val", "test")  # splits, by what they are for
NAMED = 20  # examples that are kept of each kind of fault
PLAUSIBLE_MEDIAN_M = (0.3, 50.0)  # from a desk to a street
SPARSE = 0.01  # of the pixels have depth: fewer than a laser's
CLIPPED = 0.05  # of the depths are the very farthest one
# Depths are counted in steps of 0.7 %, from a millimetre to a kilometre.
LEAST_M, MOST_M, BINS = 1e-3, 1e3, 2000
COUNTED = 40_000  # pixels a frame, evenly, go into the histogram
NOTHING_COUNTED = np.zeros(0, np.int64)  # not a part of a frame's own counts, which would keep all of them
HEADERS, SAMPLES, SUSPECTS = 2000, 8, 32  # that quick_look reads of a dataset


@dataclass(frozen=True)
class Finding:
    """Something wrong; an error makes the data unusable."""

    text: str
    is_error: bool = False


@dataclass(frozen=True, slots=True)
class Look:
    """What one frame leaves."""

    size: tuple[int, int]  # (H, W)
    valid: float  # share of the pixels with depth
    nearest_m: float  # NaN without depth, as the next
    farthest_m: float
    at_farthest: float  # share of the depths
    counts: NDArray[np.int64]  # (BINS,)
    identity: bytes
    fingerprint: NDArray[np.float32]


@dataclass
class Split:
    """What is known of one split; `error` instead where it cannot be opened."""

    name: str
    is_held_out: bool
    dataset: "Dataset | None" = None
    error: str = ""
    looks: dict[int, Look] = field(default_factory=dict)  # by place in the dataset
    faults: list[str] = field(default_factory=list)  # of frames that cannot be read
    counts: NDArray[np.int64] = field(default_factory=lambda: np.zeros(BINS, np.int64))

    def __len__(self) -> int:
        return len(self.dataset) if self.dataset else 0

    def add(self, place: int, look: Look) -> None:
        """Take in a frame; its histogram joins that of the others."""
        self.counts += look.counts
        self.looks[place] = replace(look, counts=NOTHING_COUNTED)


def open_splits(
    path: Path, split: str | None, val_data: Path | None = None, depth_scale: float | None = None
) -> list[Split]:
    """The splits to be looked at: the one named, else train, val and test as far as there are, else everything.

    Of `val_data` its val and test, else everything. Raises HqmdError when there is no such data or split.
    """
    known = find_reader(path).splits(path)
    if split is not None and split not in known:
        open_dataset(path, split)  # which says what there is
    chosen = [split] if split else [name for name in (*SEEN, *HELD_OUT) if name in known] or [known[-1]]
    splits = [Split(name, name in HELD_OUT) for name in chosen]
    for one in splits:
        open_one(one, path, one.name, depth_scale)
    if val_data is not None:
        others = find_reader(val_data).splits(val_data)
        for name in [name for name in HELD_OUT if name in others] or [WHOLE if WHOLE in others else others[-1]]:
            splits.append(Split(f"{val_data.name}, {name}", is_held_out=True))
            open_one(splits[-1], val_data, name, depth_scale)
    return splits


def open_one(split: Split, path: Path, name: str, depth_scale: float | None) -> None:
    """Open a split, or note why it cannot be."""
    try:
        split.dataset = open_dataset(path, name, depth_scale=depth_scale)
    except HqmdError as error:
        split.error = str(error)


def strays_of(path: Path) -> list[str]:
    """What of a folder of pairs has no partner, in words; it is in no split that opens."""
    return find_reader(path).unpaired(path)


def look_at_all(splits: Sequence[Split], workers: int) -> Iterator[tuple[Split, int, "Sample | None"]]:
    """Look at every frame, and yield it with its place; None where it cannot be read."""
    for split in splits:
        if split.dataset is None:
            continue
        for place, outcome in run_jobs(range(len(split)), partial(look_at, split.dataset), workers):
            if isinstance(outcome, HqmdError):
                split.faults.append(str(outcome))
                yield split, place, None
            else:
                sample, look = outcome
                split.add(place, look)
                yield split, place, sample


def look_at(dataset: "Dataset", place: int) -> "tuple[Sample, Look]":
    """Read one frame. Raises HqmdError when it cannot be read."""
    sample = dataset[place]
    depths = sample.depth_m[sample.valid]
    if depths.size == 0:
        nearest, farthest, at_farthest = float("nan"), float("nan"), 0.0
    else:
        nearest, farthest = float(depths.min()), float(depths.max())
        at_farthest = float(np.mean(depths == farthest))
    look = Look(
        sample.depth_m.shape,
        float(sample.valid.mean()),
        nearest,
        farthest,
        at_farthest,
        histogram(depths),
        identity(sample.image),
        fingerprint(sample.image),
    )
    return sample, look


def histogram(depths_m: NDArray[np.float32]) -> NDArray[np.int64]:
    """How many of some of the depths are in each of the BINS, the outermost ones for what is beyond."""
    some = depths_m[:: max(1, depths_m.size // COUNTED)]
    places = np.log(some / LEAST_M) * (BINS / np.log(MOST_M / LEAST_M))
    return np.bincount(places.astype(int).clip(0, BINS - 1), minlength=BINS)


def edge_m(place: float) -> float:
    """The depth at which a bin begins."""
    return LEAST_M * (MOST_M / LEAST_M) ** (place / BINS)


def percentile_m(counts: NDArray[np.int64], percent: float) -> float:
    """Such a share of the depths is nearer; NaN of nothing."""
    total = counts.sum()
    if total == 0:
        return float("nan")
    return edge_m(int(np.searchsorted(np.cumsum(counts), total * percent / 100)) + 0.5)


def findings(splits: Sequence[Split], strays: Sequence[str] = ()) -> list[Finding]:
    """All that is wrong with what was looked at, errors first."""
    found = [Finding(f"{split.name}: {split.error}", is_error=True) for split in splits if split.error]
    found += [Finding(stray) for stray in strays]
    for split in splits:
        if split.dataset is not None:
            found += [*broken(split), *about_depth(split), *twins_within(split)]
    found += leaks(splits)
    return sorted(found, key=lambda finding: not finding.is_error)


def broken(split: Split) -> Iterator[Finding]:
    """Frames that cannot be read, more than training leaves out being an error."""
    if number := len(split.faults):
        share = number / len(split)
        yield Finding(
            f"{split.name}: {number} of {len(split)} frames cannot be read, such as {split.faults[0]}",
            is_error=share > TOLERATED_FAULTS,
        )


def about_depth(split: Split) -> Iterator[Finding]:
    """What the depths of a split give away."""
    assert split.dataset is not None
    if step_mm := getattr(split.dataset, "step_mm", None):
        yield Finding(f"{split.name}: depth has 8 bits, and so comes in steps of {step_mm:.0f} mm")
    if not split.looks:
        return
    names = split.dataset.names
    empty = [names[place] for place, look in split.looks.items() if look.valid == 0]
    flat = [names[p] for p, look in split.looks.items() if look.valid > 0 and look.nearest_m == look.farthest_m]
    sparse = [names[place] for place, look in split.looks.items() if 0 < look.valid < SPARSE]
    for some, what in ((empty, "have no depth at all"), (flat, "have one depth everywhere")):
        if some:
            yield Finding(f"{split.name}: {len(some)} frames {what}, such as {some[0]}", len(some) == len(split.looks))
    if sparse:
        yield Finding(f"{split.name}: {len(sparse)} frames have depth at less than 1 % of their pixels: {sparse[0]}")
    yield from odd_range(split)


def odd_range(split: Split) -> Iterator[Finding]:
    """A median that hardly is in metres, and a farthest depth that stands for all that is farther."""
    median, (least, most) = percentile_m(split.counts, 50), PLAUSIBLE_MEDIAN_M
    if not np.isnan(median) and not least <= median <= most:
        yield Finding(f"{split.name}: the median depth is {median:.3g} m; is the unit right? See --depth-scale")
    with_depth = [look for look in split.looks.values() if look.valid > 0]
    farthest = max((look.farthest_m for look in with_depth), default=0.0)
    clipped = float(np.mean([look.at_farthest * (look.farthest_m == farthest) for look in with_depth] or [0]))
    if clipped > CLIPPED:
        yield Finding(f"{split.name}: {clipped:.0%} of the depth is exactly {farthest:.3g} m, as if cut off there")


def twins_within(split: Split) -> Iterator[Finding]:
    """Photos that are there twice, pixel by pixel."""
    assert split.dataset is not None
    first: dict[bytes, int] = {}
    twins = [(first[look.identity], p) for p, look in split.looks.items() if first.setdefault(look.identity, p) != p]
    if twins:
        one, other = (split.dataset.names[place] for place in twins[0])
        yield Finding(f"{split.name}: {len(twins)} photos are there twice, such as {one} and {other}")


def leaks(splits: Sequence[Split]) -> Iterator[Finding]:
    """Photos that would be judged on and were learned from: the very same, or such as look alike."""
    for seen in (split for split in splits if split.dataset and not split.is_held_out):
        for held in (split for split in splits if split.dataset and split.is_held_out):
            yield from leaks_between(seen, held)


def leaks_between(seen: Split, held: Split) -> Iterator[Finding]:
    """The same, of two splits."""
    assert seen.dataset is not None and held.dataset is not None
    seen_names, held_names = seen.dataset.names, held.dataset.names
    place_of = {look.identity: place for place, look in seen.looks.items()}
    same = {p: place_of[look.identity] for p, look in held.looks.items() if look.identity in place_of}
    if same:
        held_place, seen_place = next(iter(same.items()))
        example = f"{held_names[held_place]} and {seen_names[seen_place]}"
        yield Finding(f"{len(same)} photos of {held.name} are in {seen.name}, too, such as {example}", is_error=True)
    left = [place for place in held.looks if place not in same]
    if not left or not seen.looks:
        return
    seen_places = list(seen.looks)
    places, likeness = most_alike(
        np.stack([held.looks[place].fingerprint for place in left]),
        np.stack([look.fingerprint for look in seen.looks.values()]),
    )
    if number := int(np.count_nonzero(likeness > ALIKE)):
        best = int(likeness.argmax())
        example = f"{held_names[left[best]]} and {seen_names[seen_places[places[best]]]} ({likeness[best]:.2f})"
        yield Finding(f"{number} photos of {held.name} look like one of {seen.name}, such as {example}")


# ---- the quick part ----


def require_usable(datasets: "Iterable[Dataset]") -> list[str]:
    """Have a quick look at each, and give the warnings. Raises HqmdError where one cannot be used."""
    found = [finding for dataset in datasets for finding in quick_look(dataset)]
    for finding in found:
        if finding.is_error:
            raise HqmdError(f"{finding.text}; `hqmd check` finds all")
    return [finding.text for finding in found]


def quick_look(dataset: "Dataset") -> list[Finding]:
    """What can be told in a second or two: by headers of up to HEADERS pairs, and of SAMPLES frames by their depth."""
    split = Split(dataset.description, is_held_out=False, dataset=dataset)
    checked = evenly(len(dataset), HEADERS)
    faults = list(header_faults(dataset, checked)) if isinstance(dataset, FilePairs) else []
    found = []
    if faults:
        found.append(
            Finding(
                f"{len(faults)} of {len(checked)} frames looked at cannot be used, such as {faults[0]}",
                is_error=len(faults) > TOLERATED_FAULTS * len(checked),
            )
        )
    for place, outcome in run_jobs(evenly(len(dataset), SAMPLES), partial(look_at, dataset), workers=2):
        if not isinstance(outcome, HqmdError):
            split.add(place, outcome[1])
    return found + list(about_depth(split))


def header_faults(dataset: FilePairs, places: Iterable[int]) -> Iterator[str]:
    """Pairs whose files are empty or no pictures, or of two sizes, by their headers; and a few by reading them whole.

    Those are the ones that end unlike their format, which cut-off files do, and some cameras' whole ones.
    """
    to_be_read = SUSPECTS
    for place in places:
        _, photo, depth = dataset.pairs[place]
        try:
            sizes = photo_size(photo), depth_size(depth)
            if to_be_read and not (ends_well(photo) and ends_well(depth)):
                to_be_read -= 1
                dataset[place]
        except HqmdError as error:
            yield str(error)
            continue
        if sizes[0] != sizes[1]:
            (height, width), (depth_height, depth_width) = sizes
            yield f"{photo} and {depth}: photo is {width} x {height}, depth {depth_width} x {depth_height}"
