"""What a check found, as text and as plain data."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hqmd_cli.data.check.scan import BINS, LEAST_M, MOST_M, NAMED, Finding, Split, percentile_m

BARS = 10  # of a histogram, at most
STEPS_M = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
BAR_WIDTH = 40  # characters of the whole


def as_text(splits: Sequence[Split], found: Sequence[Finding]) -> str:
    """A paragraph a split, then what is wrong, then the verdict."""
    lines = [line for split in splits for line in about(split)]
    lines += [f"{'error' if finding.is_error else 'warning'}: {finding.text}" for finding in found]
    return "\n".join([*lines, verdict(found)]) + "\n"


def verdict(found: Sequence[Finding]) -> str:
    """Whether the data can be used, in a line."""
    errors = sum(finding.is_error for finding in found)
    warnings = len(found) - errors
    said = f"{warnings} warning{'s' if warnings != 1 else ''}"
    if errors:
        return f"verdict: not usable, {errors} error{'s' if errors != 1 else ''}, {said}"
    return f"verdict: {'usable, ' + said if warnings else 'fine'}"


def about(split: Split) -> Iterator[str]:
    """The lines on one split."""
    if split.dataset is None:
        return
    yield f"{split.name}: {len(split)} frames, {sizes_of(split)}; {split.dataset.description}"
    with_depth = [look for look in split.looks.values() if look.valid > 0]
    if not with_depth:
        return
    nearest, farthest = min(look.nearest_m for look in with_depth), max(look.farthest_m for look in with_depth)
    yield (
        f"  depth {nearest:.2f} to {farthest:.2f} m, median {percentile_m(split.counts, 50):.2f} m, "
        f"98 % within {percentile_m(split.counts, 1):.2f} to {percentile_m(split.counts, 99):.2f} m; "
        f"{1 - valid_share(split):.1%} of the pixels have none"
    )
    for begin, end, share in bars(split):
        reach = f"{begin:g} to {end:g} m" if np.isfinite(end) else f"beyond {begin:g} m"
        yield f"  {reach:>14} {'#' * round(share * BAR_WIDTH):{BAR_WIDTH}} {share:6.1%}"


def sizes_of(split: Split) -> str:
    """ "640 x 480", the most frequent sizes first."""
    sizes = Counter(look.size for look in split.looks.values()).most_common()
    told = ", ".join(f"{width} x {height}" for (height, width), _ in sizes[:3])
    return f"{told} and {len(sizes) - 3} more sizes" if sizes[3:] else told or "none read"


def valid_share(split: Split) -> float:
    """Of the pixels, over all frames."""
    pixels = np.array([look.size[0] * look.size[1] for look in split.looks.values()], float)
    return float(np.average([look.valid for look in split.looks.values()], weights=pixels)) if pixels.size else 0.0


def bars(split: Split) -> list[tuple[float, float, float]]:
    """The histogram: from, to (metres) and the share of the depths; the last is for all that is farther."""
    total = split.counts.sum()
    if total == 0:
        return []
    far = percentile_m(split.counts, 99)
    step = next((step for step in STEPS_M if step * (BARS - 1) >= far), STEPS_M[-1])
    edges = [step * i for i in range(BARS) if step * (i - 1) < far]
    below = [share_below(split, edge) for edge in edges] + [1.0]
    shown = [
        (round(begin, 6), round(end, 6), float(until - before))
        for begin, end, before, until in zip(edges, [*edges[1:], float("inf")], below, below[1:], strict=False)
    ]
    return shown if shown[-1][2] else shown[:-1]


def share_below(split: Split, depth_m: float) -> float:
    """The share of the depths nearer than this, to the width of a bin."""
    if depth_m <= LEAST_M:
        return 0.0
    place = round(np.log(depth_m / LEAST_M) * BINS / np.log(MOST_M / LEAST_M))
    return float(split.counts[:place].sum() / split.counts.sum())


def as_dict(splits: Sequence[Split], found: Sequence[Finding]) -> dict[str, Any]:
    """The same as plain data."""
    return {
        "usable": not any(finding.is_error for finding in found),
        "errors": [finding.text for finding in found if finding.is_error],
        "warnings": [finding.text for finding in found if not finding.is_error],
        "splits": {split.name: split_as_dict(split) for split in splits},
    }


def split_as_dict(split: Split) -> dict[str, Any]:
    """One split as plain data; what is not known is None."""
    if split.dataset is None:
        return {"error": split.error}
    with_depth = [look for look in split.looks.values() if look.valid > 0]
    sizes = Counter(f"{look.size[1]}x{look.size[0]}" for look in split.looks.values())
    return {
        "description": split.dataset.description,
        "units_per_metre": getattr(split.dataset, "units_per_metre", None),
        "frames": len(split),
        "unreadable": len(split.faults),
        "unreadable_examples": split.faults[:NAMED],
        "sizes": dict(sizes.most_common()),
        "nearest_m": min((look.nearest_m for look in with_depth), default=None),
        "median_m": percentile_m(split.counts, 50) if with_depth else None,
        "farthest_m": max((look.farthest_m for look in with_depth), default=None),
        "invalid_share": 1 - valid_share(split) if split.looks else None,
        "histogram": [
            {"from_m": begin, "to_m": end if np.isfinite(end) else None, "share": share}
            for begin, end, share in bars(split)
        ],
    }
