"""The depth of a video made steady: blended over time along the optical flow, where the flow holds.

A network sees each frame alone, so its scale sways from frame to frame, and so does the depth of each pixel. Here log
depth is blended with that of the frame before, brought along by the optical flow (DIS; Kroeger et al. 2016, "Fast
optical flow using dense inverse search"). The sway of the scale is the median difference of all pixels whose flow
holds; it is smoothed for the whole frame. The rest of the difference is blended pixel by pixel, only where the flow
there and back closes, the grey values agree and both depths can be those of one surface: so edges stay where they are.
"""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.depth import valid_depth

KEPT = 0.7  # share of the frame before: depth that changes evenly lags behind by 0.7 / 0.3 = 2.3 frames
FLOW_SIDE = 256  # pixels; the shorter side at which flow is computed and flicker measured
SMALLEST_SIDE = 12  # pixels; OpenCV finds no flow in smaller frames
OPEN_PX, OPEN_SHARE = 1.0, 0.05  # by which flow there and back may miss its start: so much, and of its length
ALIKE = 20  # levels of 255 by which the grey of one point may differ
ONE_SURFACE = 0.1  # difference of log depth at which blending falls to 1 / e
LEAST_SHARE = 0.2  # of the pixels whose flow must hold; with fewer, as after a cut, smoothing starts afresh

Floats = NDArray[np.float32]
RGB = NDArray[np.uint8]  # (H, W, 3)


@dataclass(frozen=True, eq=False)
class Seen:
    """A frame that was smoothed."""

    grey: NDArray[np.uint8]  # (h, w), as flow sees it
    raw: Floats  # (h, w) log depth before smoothing, at the same size
    smooth: Floats  # (H, W) log depth


class Smoothed:
    """`predict` for the frames of one video, in their order, with steady depth. Keeps the flicker before and after."""

    def __init__(self, predict: Callable[[RGB], Floats]) -> None:
        self.predict = predict
        self.flicker: list[tuple[float, float]] = []  # of each pair of frames, before and after; see flicker_of
        self._before: Seen | None = None

    def __call__(self, rgb: RGB) -> Floats:
        """Predict the depth of the next frame (H, W, 3), in metres (H, W), and smooth it."""
        depth_m = self.predict(rgb)
        if not valid_depth(depth_m).all():  # which the caller refuses
            return depth_m
        log = np.log(depth_m)
        grey = shrunk(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), cv2.INTER_AREA)
        raw, before = shrunk(log), self._before
        if before is not None and before.smooth.shape == log.shape and min(grey.shape) >= SMALLEST_SIDE:
            flow, holds = flow_back(before.grey, grey)
            if holds.mean() >= LEAST_SHARE:
                blended = blend(log, before.smooth, flow, holds)
                after = flicker_of(shrunk(before.smooth), shrunk(blended), flow, holds)
                self.flicker.append((flicker_of(before.raw, raw, flow, holds), after))
                log, depth_m = blended, np.exp(blended)
        self._before = Seen(grey, raw, log)
        return depth_m

    @property
    def in_words(self) -> str:
        """The flicker of the whole video before and after; how it changes from frame to frame."""
        if not self.flicker:
            return "--smooth changed nothing: the optical flow holds between no two frames"
        before, after = np.mean(self.flicker, axis=0)
        return f"smoothed along the optical flow: flicker {before:.2%} of the depth before, {after:.2%} after"


def shrunk(image: NDArray, how: int = cv2.INTER_NEAREST) -> NDArray:
    """Shrink (H, W) to a shorter side of FLOW_SIDE pixels, unless it is smaller."""
    height, width = image.shape
    factor = min(1.0, FLOW_SIDE / min(height, width))
    size = max(1, round(width * factor)), max(1, round(height * factor))
    return image if factor == 1 else cv2.resize(image, size, interpolation=how)


def flow_back(before: NDArray[np.uint8], now: NDArray[np.uint8]) -> tuple[Floats, NDArray[np.bool_]]:
    """Return where each pixel of `now` (h, w) was in `before`, as a flow (h, w, 2) in pixels, and where that holds."""
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    back, there = dis.calc(now, before, None), dis.calc(before, now, None)  # type: ignore[call-overload]
    across, down = places(back)
    missed = np.linalg.norm(back + warped(there, back), axis=2)
    closes = missed <= OPEN_PX + OPEN_SHARE * np.linalg.norm(back, axis=2)
    alike = cv2.absdiff(cv2.GaussianBlur(now, (5, 5), 0), warped(cv2.GaussianBlur(before, (5, 5), 0), back)) <= ALIKE
    height, width = now.shape
    inside = (across >= 0) & (across <= width - 1) & (down >= 0) & (down <= height - 1)
    holds = cv2.erode((closes & alike & inside).astype(np.uint8), np.ones((3, 3), np.uint8))
    return back, holds.astype(bool)


def places(flow: Floats) -> tuple[Floats, Floats]:
    """Return the columns and rows (h, w) to which a flow (h, w, 2) leads."""
    height, width = flow.shape[:2]
    across = np.add(flow[..., 0], np.arange(width), dtype=np.float32)
    return across, np.add(flow[..., 1], np.arange(height)[:, None], dtype=np.float32)


def warped(image: NDArray, flow: Floats) -> NDArray:
    """Fetch each pixel from where the flow leads."""
    return cv2.remap(image, *places(flow), cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def blend(log: Floats, before: Floats, flow: Floats, holds: NDArray[np.bool_]) -> Floats:
    """Blend log depth (H, W) with that of the frame before; `flow` and `holds` may be smaller, see shrunk."""
    height, width = log.shape
    factors = np.array([width / flow.shape[1], height / flow.shape[0]], np.float32)
    whole = cv2.resize(flow, (width, height)) * factors
    change = warped(before, whole) - log
    sway = float(np.median(shrunk(change)[holds]))
    change -= sway
    weight = cv2.resize(holds.astype(np.float32), (width, height)) * np.exp(-np.square(change / ONE_SURFACE))
    return log + np.float32(KEPT) * (np.float32(sway) + weight * change)


def flicker_of(before: Floats, now: Floats, flow: Floats, holds: NDArray[np.bool_]) -> float:
    """Return the median of |log d - log d before, brought along by the flow|, over the pixels whose flow holds."""
    return float(np.median(np.abs(now - warped(before, flow))[holds]))
