"""Which unit a depth file is in: read from it, found from its values where only one fits, or stated.

Never guessed: where the values fit several units, the user is asked.
"""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.data.sample import evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.depth_files import depth_unit_tag, read_depth_values

# Units of a file that are one metre, and who writes so.
CONVENTIONS = {
    1.0: "metres",
    1000.0: "millimetres",
    100.0: "centimetres",
    256.0: "KITTI's 1/256 m",
    5000.0: "TUM's 1/5000 m",
}
FOUND = (1.0, 1000.0)  # the others are rare, and their rooms are close-ups or courtyards in millimetres: to be stated
PLAUSIBLE_MEDIAN_M = (1.0, 6.0)  # a scene a camera stands in
PLAUSIBLE_FAR_M = 12.0  # beyond the reach of the indoor sensors; street data has to be stated
LOOKED_AT = 24  # files, evenly spaced


def find_depth_scale(
    files: Sequence[Path],
    stated: float | None,
    read: Callable[[Path], NDArray[np.number]] = read_depth_values,
    option: str = "--depth-scale",
    otherwise: str = "",
) -> tuple[float, str]:
    """Units per metre, and how that is known ("stated", "written in the files", "found from the values").

    `read` gives a file's own numbers, (H, W). Raises HqmdError when the values fit no unit or several, or are 8-bit,
    asking for `option`, and saying what else there is to do in the words of `otherwise`.
    """
    if stated is not None:
        if not 0 < stated < float("inf"):
            raise HqmdError(f"{option} must be positive, not {stated:g}")
        return stated, "stated"
    if len(kinds := {file.suffix.lower() for file in files}) > 1:
        raise HqmdError(
            f"{files[0].parent}: depth files of several kinds ({', '.join(sorted(kinds))}), but one unit: keep one"
        )
    looked_at = [files[i] for i in evenly(len(files), LOOKED_AT)]
    tags = {depth_unit_tag(file) for file in looked_at}
    if len(tags) == 1 and (tag := tags.pop()) is not None:
        return tag, "written in the files"
    values = [read(file) for file in looked_at]
    if len(kinds := {v.dtype.kind for v in values}) > 1:
        raise HqmdError(
            f"{looked_at[0].parent}: whole and fractional depth values side by side, but one unit: keep one kind"
        )
    if any(v.dtype == np.uint8 for v in values):
        raise HqmdError(
            f"{looked_at[0]}: 8-bit depth has no unit of its own; state it with {option} UNITS_PER_METRE{otherwise}"
        )
    measured = [v[np.isfinite(v) & (v > 0)] for v in values]
    pooled = np.concatenate([m[:: max(1, m.size // 5000)] for m in measured])
    if pooled.size == 0:
        raise HqmdError(f"{looked_at[0]}: no positive depth value in it or its neighbours")
    median, far = float(np.median(pooled)), float(np.percentile(pooled, 99))
    low, high = PLAUSIBLE_MEDIAN_M
    fitting = [s for s in CONVENTIONS if low <= median / s <= high and far / s <= PLAUSIBLE_FAR_M]
    if len(fitting) != 1 or fitting[0] not in FOUND:
        readings = ", ".join(f"{median / s:.3g} m as {name} ({option} {s:g})" for s, name in CONVENTIONS.items())
        raise HqmdError(
            f"{looked_at[0].parent}: the depth unit is unclear: the median {median:g} is {readings}; "
            f"state it{otherwise}"
        )
    return fitting[0], f"found from the values: {CONVENTIONS[fitting[0]]}"
