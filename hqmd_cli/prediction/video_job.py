"""The depth of a video or a live camera as an .mp4, in one colour range from the first frame to the last."""

import math
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import monotonic
from typing import TypeVar

import numpy as np

from hqmd_cli.depth import is_flat, require_depth
from hqmd_cli.errors import HqmdError, explain_model_errors
from hqmd_cli.files.outputs import refuse_existing_outputs, refuse_over_input
from hqmd_cli.files.rhythm import LONGEST_GAP_S
from hqmd_cli.files.spool import Spool
from hqmd_cli.files.video import VideoFile, own_thread, write_video
from hqmd_cli.files.video_source import RGB, Video, open_video
from hqmd_cli.inference.open import OpenModel
from hqmd_cli.prediction.colour_range import (
    ColourRange,
    DepthMap,
    Predict,
    PredictedOnce,
    clip_range,
    find_range,
)
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.smoothing import Smoothed
from hqmd_cli.prediction.writers.color import painted
from hqmd_cli.units import Kind

AHEAD = 2  # frames that wait for the network, and as many that wait to be written; bounds the memory

Frame = TypeVar("Frame")
Done = TypeVar("Done")


@dataclass(frozen=True)
class VideoReport:
    """What a video file holds, and how it differs from the source."""

    frames: int  # predicted; a camera's file repeats some, see predict_video
    fps: float  # of the file written
    near_m: float
    far_m: float
    range_origin: str  # how near and far were found
    outside_share: float  # share of the pixels outside the range, which have the colours of its ends
    damaged: str | None  # which part of the source could not be read
    notes: tuple[str, ...]  # other differences from the source
    codec: str = ""  # of the file written


class VideoInterrupted(KeyboardInterrupt):
    """Ctrl-C, after the frames done so far were saved. The usual end of a camera's recording."""

    def __init__(self, report: VideoReport) -> None:
        super().__init__()
        self.report = report


Progress = Callable[[int, int | None], None]  # gets the number of frames done and, if known, of all
Paint = Callable[[RGB, DepthMap, float, float], RGB]  # photo, depth, near and far in metres -> a picture of any size


def predict_in_style(
    source: Path | int, target: Path, model: OpenModel, style: Style, progress: Progress, smooth: bool
) -> VideoReport:
    """Write a video's depth as predict_video does, in the colours and the range that `style` asks for."""
    paint = partial(painted, style=style, kind=model.kind)
    return predict_video(source, target, model, paint, style.near_m, style.far_m, progress, model.kind, smooth)


def predict_video(
    source: Path | int,
    target: Path,
    predict: Predict,
    paint: Paint,
    near_m: float | None = None,
    far_m: float | None = None,
    progress: Progress = lambda done, total: None,
    kind: Kind = "depth",
    smooth: bool = False,
) -> VideoReport:
    """Write the depth of a video file or a camera to an .mp4, in one colour range from the first frame to the last.

    If near_m or far_m is None, it is found: for a file, from RANGE_FRAMES evenly spaced frames before the first one is
    written; for a camera, from its first frame. Near is the least 1st percentile of these frames, far their greatest
    99th, so a few wild pixels don't decide, but an object in a single frame counts. Their depth waits in a temporary
    file (files/spool.py) until it is their turn, so that each frame is predicted once. For other kinds than metric
    depth the range is in their own numbers. A camera's frame is repeated until the next one is ready, so that the file
    plays in real time, however slow the network is.

    With `smooth`, depth is blended over time along the optical flow (smoothing.py), and a note states the flicker.
    `progress` gets the number of frames done and, if known, of all frames. The memory does not grow with the length.
    Ctrl-C keeps the frames done so far as a playable file, and raises VideoInterrupted with the report, or plain
    KeyboardInterrupt before the first frame. Raises HqmdError naming the file if the source or target cannot be read or
    written, and for a prediction that is not depth.
    """
    with open_video(source) as video, Spool() as spool:
        if isinstance(source, Path):
            refuse_over_input([target], [source])
        rhythm = video.rhythm()
        once = PredictedOnce(predict, spool)
        steady = Smoothed(once) if smooth else None
        run = _Run(video, steady or once, paint, progress, near_m, far_m, kind, spool, steady, rhythm.varies)
        fps = rhythm.fps if rhythm.varies else math.nan if video.fps is None else video.fps
        # Open the target before the first pass, so that an unwritable one fails at once.
        with _interrupted_with(run), write_video(target, fps) as run.file:
            if isinstance(source, Path):
                run.colours = clip_range(source, once, near_m, far_m, kind)
            overlap(run.read, run.work, run.write)
            if video.facts.starts_s is not None and rhythm.varies:
                last_s = video.facts.end_s - video.facts.starts_s[-1]  # for which the last frame is shown
                run.file.hold(video.at_s + min(float(last_s), LONGEST_GAP_S))
        return run.report()


def require_video_target(destinations: Sequence[Path], overwrite: bool) -> Path:
    """Return the only destination. Raises HqmdError unless it is one .mp4 that may be written."""
    if len(destinations) > 1 or destinations[0].suffix.lower() != ".mp4":
        raise HqmdError(f"{destinations[-1]}: the depth of a video goes to one .mp4; give one -o NAME.mp4")
    (target,) = destinations
    refuse_existing_outputs([target], overwrite)
    return target


@dataclass
class _Run:
    """The three stages of predict_video, and their counts."""

    video: Video
    predict: Predict
    paint: Paint
    progress: Progress
    near_m: float | None  # as given
    far_m: float | None
    kind: Kind
    spool: Spool
    steady: Smoothed | None
    varies: bool = False  # True: frames of the file are repeated until the time of the next
    file: VideoFile | None = None
    colours: ColourRange | None = None
    started_s: float = math.nan
    taken: int = 0  # frames read, predicted and written: each counted in the thread of its stage
    predicted: int = 0
    written: int = 0
    pixels: int = 0
    outside: int = 0
    flat: int = 0  # frames with one depth everywhere

    def read(self) -> tuple[RGB, float] | None:
        """Read the next frame; return it with the seconds since the first one."""
        if (rgb := self.video.read()) is None:
            return None
        self.taken += 1
        if not self.video.live:
            return rgb, self.video.at_s
        now_s = monotonic()
        if self.taken == 1:
            self.started_s = now_s
        return rgb, now_s - self.started_s

    def work(self, frame: tuple[RGB, float]) -> tuple[RGB, DepthMap, ColourRange, float]:
        """Predict the depth of a frame."""
        rgb, at_s = frame
        frame_name = f"{self.video.name}, frame {self.predicted + 1}"
        with explain_model_errors(frame_name):
            depth_m = self.predict(rgb)
        self.predicted += 1
        require_depth(depth_m, frame_name, self.kind)
        self.flat += is_flat(depth_m)
        if self.colours is None:
            given_m = self.near_m, self.far_m
            self.colours = find_range([depth_m], *given_m, self.video.name, "of the first frame", self.kind)
        total = self.video.frames
        self.progress(self.predicted, None if total is None else max(total, self.predicted))  # headers may be short
        return rgb, depth_m, self.colours, at_s

    def write(self, done: tuple[RGB, DepthMap, ColourRange, float]) -> None:
        """Write the colours of a frame."""
        rgb, depth_m, colours, at_s = done
        assert self.file is not None
        when_s = at_s if self.video.live or self.varies else None
        self.file.write(self.paint(rgb, depth_m, colours.near_m, colours.far_m), when_s)
        self.written += 1
        self.pixels += depth_m.size
        least, greatest = sorted((colours.near_m, colours.far_m))
        self.outside += int(np.count_nonzero((depth_m < least) | (depth_m > greatest)))

    def report(self) -> VideoReport:
        """Report what the file holds, after at least one frame."""
        assert self.file is not None and self.file.size is not None and self.colours is not None
        height, width = self.file.size
        notes = [*([] if self.video.live else ["without sound"]), *self.video.remarks]
        if self.varies:
            notes.append(f"its frame rate varies: {self.file.fps:g} frames a second keep the time of each frame")
        elif self.video.fps is None:
            notes.append(f"{self.video.name} does not say its frame rate: {self.file.fps:g} frames a second assumed")
        elif abs(self.file.fps - self.video.fps) > 0.001:  # smaller differences are not worth a note
            notes.append(f"{self.file.fps:g} frames a second for {self.video.fps:g}: MPEG-4 holds no finer rate")
        if self.steady:
            notes.append(self.steady.in_words)
        if self.spool.refused:
            notes.append(
                f"{self.spool.refused} frames were predicted twice, as there was no room for their depth on the disk"
            )
        if self.flat:
            notes.append(f"{self.flat} frames have one depth everywhere")
        if self.file.frames > self.written:
            why = "it plays in real time" if self.video.live else "each is shown at its own time"
            notes.append(f"{self.file.frames - self.written} frames repeated, so that {why}")
        if width % 2 or height % 2:
            notes.append(f"edge pixels repeated from {width} x {height} to even sides: MPEG-4 has no others")
        return VideoReport(
            frames=self.written,
            fps=self.file.fps,
            near_m=self.colours.near_m,
            far_m=self.colours.far_m,
            range_origin=self.colours.origin,
            outside_share=self.outside / self.pixels,
            damaged=self.video.damaged,
            notes=tuple(notes),
            codec=self.file.codec,
        )


@contextmanager
def _interrupted_with(run: _Run) -> Iterator[None]:
    """On Ctrl-C, raise VideoInterrupted if the file was saved."""
    try:
        yield
    except KeyboardInterrupt as interrupt:
        if run.file is not None and run.file.finished:
            raise VideoInterrupted(run.report()) from interrupt
        raise


def overlap(read: Callable[[], Frame | None], work: Callable[[Frame], Done], write: Callable[[Done], None]) -> None:
    """Read items until None, work on them and write them, in order. The three stages run at the same time, AHEAD items
    apart at most.

    `work` runs in the caller's thread, where Ctrl-C arrives; what it has finished by then is still written.
    """
    with own_thread() as reader, own_thread() as writer:
        coming = deque(reader.submit(read) for _ in range(AHEAD))
        leaving: deque[Future[None]] = deque()
        while (item := coming.popleft().result()) is not None:
            coming.append(reader.submit(read))
            leaving.append(writer.submit(write, work(item)))
            if len(leaving) > AHEAD:
                leaving.popleft().result()
        while leaving:
            leaving.popleft().result()
