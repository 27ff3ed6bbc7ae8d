"""When the frames of a video are shown: evenly, or not."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FASTEST_FPS = 120.0  # of a file that repeats frames to keep an uneven rhythm
SLOWEST_FPS = 1.0
LONGEST_GAP_S = 60.0  # between two frames; a longer one is a jump of the clock, as after an interruption of a broadcast
SHORT_GAPS = 10  # percentile of the gaps that an even rate must render


@dataclass(frozen=True)
class Rhythm:
    """How frames follow one another."""

    varies: bool = False
    fps: float = 0.0  # if it varies, of an even video that shows each frame about when it was


def rhythm_of(starts_s: NDArray[np.float64]) -> Rhythm:
    """Tell from the time stamps of frames, in seconds, if they are evenly spaced, to half a frame."""
    if len(starts_s) < 3:
        return Rhythm()
    gaps_s = np.diff(starts_s)
    if (gaps_s <= 0).any() or gaps_s.max() > LONGEST_GAP_S:  # time stamps that cannot be believed
        return Rhythm()
    mean_s = float(gaps_s.mean())
    late_s = starts_s - starts_s[0] - mean_s * np.arange(len(starts_s))
    if np.abs(late_s).max() <= mean_s / 2:
        return Rhythm()
    fps = 1 / float(np.percentile(gaps_s, SHORT_GAPS))
    return Rhythm(True, min(max(fps, SLOWEST_FPS), FASTEST_FPS))


class Clock:
    """Time stamps as they come, made to grow: a stamp that goes back, or far ahead, counts as one frame."""

    def __init__(self, fps: float) -> None:
        self.frame_s = 1 / fps
        self.now_s = 0.0
        self.jumps = 0
        self._last_s: float | None = None

    def seconds(self, stamp_s: float) -> float:
        """Return the seconds since the first frame."""
        if self._last_s is not None:
            gap_s = stamp_s - self._last_s
            if gap_s > LONGEST_GAP_S:
                self.jumps += 1
            self.now_s += gap_s if 0 < gap_s <= LONGEST_GAP_S else self.frame_s
        self._last_s = stamp_s
        return self.now_s
