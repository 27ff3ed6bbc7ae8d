"""The unit of depth files: read from the files, found from their values, or stated by the user.

Never guessed: if the values fit several units, the user has to state one.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.no_depth import is_sentinel
from hqmd_cli.data.sample import evenly
from hqmd_cli.depth import valid_depth
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_unit_tag, read_depth_values

# Units per metre, and the name of the convention.
CONVENTIONS = {
    1.0: "metres",
    1000.0: "millimetres",
    100.0: "centimetres",
    256.0: "KITTI's 1/256 m",
    5000.0: "TUM's 1/5000 m",
}
FOUND = (1.0, 1000.0)  # the others are rare, and their rooms could be close-ups or courtyards in millimetres
PLAUSIBLE_MEDIAN_M = (1.0, 6.0)  # a scene with the camera inside
PLAUSIBLE_FAR_M = 12.0  # beyond the range of indoor sensors; the unit of street data has to be stated
POSSIBLE_MEDIAN_M = (0.2, 50.0)  # beyond, a stated unit is doubted
LIKELY_MEDIAN_M = (0.5, 10.0)  # of the units that are named instead
INSPECTED = 24  # files, evenly spaced


def find_depth_scale(
    files: Sequence[Path],
    stated: float | None,
    read: Callable[[Path], NDArray[np.number]] = read_depth_values,
    option: str = "--depth-scale",
    otherwise: str = "",
) -> tuple[float, str]:
    """Return units per metre, and how they are known ("stated", "written in the files", "found from the values").

    `read` returns the numbers in a file, (H, W). Raises HqmdError if the values fit no unit or several, or have 8 bits;
    its message asks for `option`, and `otherwise` adds another remedy.
    """
    if stated is not None:
        if not 0 < stated < float("inf"):
            raise HqmdError(f"{option} must be positive, not {stated:g}")
        for file in files[:1]:
            refuse_contradiction(file, stated, option)
        return stated, "stated"
    if len(suffixes := {file.suffix.lower() for file in files}) > 1:
        raise HqmdError(
            f"{files[0].parent}: depth files of several kinds ({', '.join(sorted(suffixes))}), but one unit: keep one"
        )
    inspected = [files[i] for i in evenly(len(files), INSPECTED)]
    tags = {depth_unit_tag(file) for file in inspected}
    if len(tags) == 1 and (tag := tags.pop()) is not None:
        return tag, "written in the files"
    maps = [read(file) for file in inspected]
    if len({values.dtype.kind for values in maps}) > 1:
        raise HqmdError(
            f"{inspected[0].parent}: whole and fractional depth values side by side, but one unit: keep one kind"
        )
    if any(values.dtype == np.uint8 for values in maps):
        raise HqmdError(
            f"{inspected[0]}: 8-bit depth has no unit of its own; state it with {option} UNITS_PER_METRE{otherwise}"
        )
    measured = [values[valid_depth(values) & ~is_sentinel(values)] for values in maps]
    pooled = np.concatenate([values[:: max(1, values.size // 5000)] for values in measured])
    if pooled.size == 0:
        raise HqmdError(f"{inspected[0]}: no positive depth value in it or its neighbours")
    median, far = float(np.median(pooled)), float(np.percentile(pooled, 99))
    low, high = PLAUSIBLE_MEDIAN_M
    fitting = [scale for scale in CONVENTIONS if low <= median / scale <= high and far / scale <= PLAUSIBLE_FAR_M]
    if len(fitting) != 1 or fitting[0] not in FOUND:
        readings = ", ".join(f"{median / s:.3g} m as {name} ({option} {s:g})" for s, name in CONVENTIONS.items())
        raise HqmdError(
            f"{inspected[0].parent}: the depth unit is unclear: the median {median:g} is {readings}; "
            f"state it{otherwise}"
        )
    return fitting[0], f"found from the values: {CONVENTIONS[fitting[0]]}"


def refuse_contradiction(file: Path, stated: float, option: str) -> None:
    """Raise HqmdError if a file states another unit than the user. A damaged file is left to the reader of samples."""
    try:
        tag = depth_unit_tag(file)
    except HqmdError:
        return
    if tag not in (None, stated):
        raise HqmdError(f"{file}: says itself that it has {tag:g} units a metre; leave out {option} {stated:g}")


def doubts(files: Sequence[Path], units_per_metre: float) -> str:
    """Say, for a description, that the unit is hardly right, and the likely one; empty if the median is possible.

    Reads one depth map, the middle one. A damaged one is left to the reader of samples.
    """
    try:
        values = read_depth_values(files[len(files) // 2])
    except HqmdError:
        return ""
    known = values[valid_depth(values) & ~is_sentinel(values)]
    low, high = POSSIBLE_MEDIAN_M
    if known.size == 0 or low <= (median := float(np.median(known))) / units_per_metre <= high:
        return ""
    likely = [scale for scale in CONVENTIONS if LIKELY_MEDIAN_M[0] <= median / scale <= LIKELY_MEDIAN_M[1]]
    remedy = " or ".join(f"--depth-scale {scale:g}" for scale in likely) or "another --depth-scale"
    return f", but the median of {median / units_per_metre:.3g} m makes this unit doubtful: try {remedy}"
