"""The report of a check as text, and as plain data for JSON."""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from hqmd_cli.data.check.findings import Finding
from hqmd_cli.data.check.scan import Report
from hqmd_cli.data.check.split_stats import Split, percentile_m, share_below

EXAMPLES = 20  # unreadable frames named in the JSON
SIZES = 3  # named in the text
BARS = 10  # of a histogram, at most
STEPS_M = (0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 50, 100)
BAR_WIDTH = 40  # characters


def as_text(report: Report) -> str:
    """Describe each split, list the findings, and end with the verdict."""
    lines = [line for split in report.splits if split.dataset is not None for line in describe(split)]
    lines += [f"{'error' if finding.is_error else 'warning'}: {finding.text}" for finding in report.findings]
    return "\n".join([*lines, verdict(report.findings)]) + "\n"


def describe(split: Split) -> Iterator[str]:
    """Describe one split: frames, sizes, range of depth, histogram."""
    facts = split_as_dict(split)
    sizes = [size.replace("x", " x ") for size in facts["sizes"]]
    shown = ", ".join(sizes[:SIZES]) or "none read"
    more = f" and {len(sizes) - SIZES} more sizes" if len(sizes) > SIZES else ""
    yield f"{split.name}: {facts['frames']} frames, {shown}{more}; {facts['description']}"
    if facts["nearest_m"] is None:
        return
    yield (
        f"  depth {facts['nearest_m']:.2f} to {facts['farthest_m']:.2f} m, median {facts['median_m']:.2f} m, "
        f"98 % within {percentile_m(split.counts, 1):.2f} to {percentile_m(split.counts, 99):.2f} m; "
        f"{facts['invalid_share']:.1%} of the pixels have none"
    )
    for begin_m, end_m, share in bars(split):
        label = f"beyond {begin_m:g} m" if end_m is None else f"{begin_m:g} to {end_m:g} m"
        yield f"  {label:>14} {'#' * round(share * BAR_WIDTH):{BAR_WIDTH}} {share:6.1%}"


def verdict(findings: Sequence[Finding]) -> str:
    """Say in one line if the data can be used."""
    errors = sum(finding.is_error for finding in findings)
    warnings = len(findings) - errors
    counted = f"{warnings} warning{'s' if warnings != 1 else ''}"
    if errors:
        return f"verdict: not usable, {errors} error{'s' if errors != 1 else ''}, {counted}"
    return f"verdict: {'usable, ' + counted if warnings else 'fine'}"


def bars(split: Split) -> list[tuple[float, float | None, float]]:
    """Return a coarse histogram: begin and end of each bar in metres, None for no end, and its share of the depths."""
    if not split.counts.any():
        return []
    far_m = percentile_m(split.counts, 99)
    step_m = next((step_m for step_m in STEPS_M if step_m * (BARS - 1) >= far_m), STEPS_M[-1])
    begins_m = [step_m * i for i in range(BARS) if step_m * (i - 1) < far_m]
    shares = np.diff([*(share_below(split, begin_m) for begin_m in begins_m), 1.0])
    ends_m = [*(round(end_m, 6) for end_m in begins_m[1:]), None]
    drawn = [(round(b, 6), end_m, float(share)) for b, end_m, share in zip(begins_m, ends_m, shares, strict=True)]
    return drawn if drawn[-1][2] else drawn[:-1]


def as_dict(report: Report) -> dict[str, Any]:
    """Return the report as plain data."""
    return {
        "usable": report.is_usable,
        "errors": [finding.text for finding in report.findings if finding.is_error],
        "warnings": [finding.text for finding in report.findings if not finding.is_error],
        "splits": {split.name: split_as_dict(split) for split in report.splits},
    }


def split_as_dict(split: Split) -> dict[str, Any]:
    """Return one split as plain data, None for unknown values; or its error."""
    if split.dataset is None:
        return {"error": split.error}
    frames, with_depth = split.frames.values(), split.with_depth
    pixels = [height * width for height, width in (frame.size for frame in frames)]
    return {
        "description": split.dataset.description,
        "units_per_metre": split.dataset.units_per_metre,
        "frames": len(split),
        "unreadable": len(split.unreadable),
        "unreadable_examples": split.unreadable[:EXAMPLES],
        "sizes": dict(Counter(f"{width}x{height}" for height, width in (f.size for f in frames)).most_common()),
        "nearest_m": min((frame.nearest_m for frame in with_depth), default=None),
        "median_m": percentile_m(split.counts, 50) if with_depth else None,
        "farthest_m": max((frame.farthest_m for frame in with_depth), default=None),
        "invalid_share": 1 - float(np.average([f.valid_share for f in frames], weights=pixels)) if frames else None,
        "histogram": [{"from_m": begin_m, "to_m": end_m, "share": share} for begin_m, end_m, share in bars(split)],
    }
