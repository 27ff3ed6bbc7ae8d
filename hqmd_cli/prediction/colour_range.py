"""The one colour range of a clip, from the depth of a few frames; each frame is predicted once."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import near_and_far, require_depth
from hqmd_cli.errors import HqmdError, explain_model_errors
from hqmd_cli.files.spool import Spool
from hqmd_cli.files.video_source import RGB, open_video
from hqmd_cli.units import Kind

RANGE_FRAMES = 16  # of a clip, evenly spaced, that decide on its colour range
RANGE_PERCENTILES = (1, 99)
JUMPED = 25  # frames from which on a jump costs less than to decode what lies between

DepthMap = NDArray[np.float32]  # (H, W) metres
Predict = Callable[[RGB], DepthMap]


@dataclass(frozen=True)
class ColourRange:
    """The depth at both ends of the colours."""

    near_m: float
    far_m: float
    origin: str


class PredictedOnce:
    """A model's `predict` for frames that come twice: their depth waits in a spool, by the content of the frame."""

    def __init__(self, predict: Predict, spool: Spool) -> None:
        self.predict, self.spool = predict, spool

    def first(self, rgb: RGB) -> DepthMap:
        """Predict a frame that will come once more."""
        depth_m = self.predict(rgb)
        self.spool.keep(content_of(rgb), depth_m)
        return depth_m

    def __call__(self, rgb: RGB) -> DepthMap:
        known = self.spool.take(content_of(rgb)) if self.spool else None
        return self.predict(rgb) if known is None else known


def content_of(rgb: RGB) -> bytes:
    """Return a hash of a frame's pixels."""
    return blake2b(np.ascontiguousarray(rgb).data, digest_size=16).digest()


def clip_range(source: Path, once: PredictedOnce, near_m: float | None, far_m: float | None, kind: Kind) -> ColourRange:
    """Find the colour range of a file from RANGE_FRAMES of its frames, unless both ends are given; see find_range."""

    def depths_m() -> Iterator[DepthMap]:
        for rgb in spread_frames(source):
            with explain_model_errors(str(source)):
                depth_m = once.first(rgb)
            require_depth(depth_m, str(source), kind)
            yield depth_m

    return find_range(depths_m(), near_m, far_m, str(source), "of {frames} spread over the clip", kind)


def find_range(
    depths_m: Iterable[DepthMap],
    near_m: float | None,
    far_m: float | None,
    name: str,
    of_which: str,
    kind: Kind,
) -> ColourRange:
    """Find near_m or far_m where it is None: the least 1st and the greatest 99th percentile of at least one map.

    Raises HqmdError if the end that is found does not fit the end that is given.
    """
    if near_m is not None and far_m is not None:
        return ColourRange(near_m, far_m, "given")
    ends_m = np.array([np.percentile(depth_m, RANGE_PERCENTILES) for depth_m in depths_m])  # (frames, 2)
    found = of_which.format(frames="1 frame" if len(ends_m) == 1 else f"{len(ends_m)} frames")
    least_m, greatest_m = float(ends_m[:, 0].min()), float(ends_m[:, 1].max())
    if near_m is not None:
        colours = ColourRange(near_m, greatest_m, f"near given, far the 99th percentile {found}")
    elif far_m is not None:
        colours = ColourRange(least_m, far_m, f"near the 1st percentile {found}, far given")
    else:
        return ColourRange(*near_and_far(least_m, greatest_m, kind), f"1st and 99th percentile {found}")
    if colours.near_m >= colours.far_m:
        raise HqmdError(
            f"{name}: nothing between {colours.near_m:.2f} m and {colours.far_m:.2f} m ({colours.origin}); "
            "give both --vmin and --vmax"
        )
    return colours


def spread_frames(source: Path) -> Iterator[RGB]:
    """Yield RANGE_FRAMES evenly spaced frames of a file, or all frames of a shorter one.

    Jumps to them if they lie JUMPED apart, the file announces its frames and the farthest jump works. Otherwise (short,
    truncated, no index) goes through the file, and once more before that to count the frames if needed. A truncated
    file gives fewer.
    """
    with open_video(source) as video:
        announced = video.frames
        total = sum(1 for _ in video) if announced is None else announced
    wanted = sorted({place * total // RANGE_FRAMES for place in range(RANGE_FRAMES)})
    if announced is not None and total > JUMPED * RANGE_FRAMES:
        with open_video(source) as video:
            if video.at(wanted[-1]) is not None:
                yield from (rgb for place in wanted if (rgb := video.at(place)) is not None)
                return
    with open_video(source) as video:
        for before, place in pairwise([-1, *wanted]):
            video.skip(place - before - 1)
            if (rgb := video.read()) is None:
                return
            yield rgb
