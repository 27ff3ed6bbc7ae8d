"""Video files and live cameras as frames.

Every frame of a file is kept, upright, with square pixels and its time stamp; without sound. OpenCV hides damage within
a frame, so only missing frames are noticed.
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.files.kinds import by_content, why_unreadable
from hqmd_cli.files.limits import LARGEST_FRAME_PIXELS, require_pixels
from hqmd_cli.files.movie_facts import MovieFacts, movie_facts
from hqmd_cli.files.rhythm import Clock, Rhythm, rhythm_of
from hqmd_cli.files.waiting import within, word_after

PLAUSIBLE_FPS = (0.01, 1000.0)  # a header with another rate is wrong
ASSUMED_FPS = 25.0
LOOKED_AT = 300  # frames at the start of a file whose time stamps tell if its rate is even
CAMERA_S = 60.0  # in which a camera must give its first picture
PLAUSIBLE_ASPECT = (0.1, 10.0)  # of a pixel, width by height; a header with another one is wrong
# Containers that FFmpeg may open. Playlists, and others that name further files or servers, are not among them.
CONTAINERS = (
    "mov,avi,matroska,mpegts,mpegtsraw,mpeg,mpegvideo,asf,flv,live_flv,ogg,mxf,yuv4mpegpipe,rm,gif,apng,mjpeg,jpeg_pipe,"
    "m4v,h264,hevc,h263,h261,av1,obu,ivf,nut,dv,wtv,vc1,dirac,cavsvideo,amv,nsv,nuv,swf,smk,bink,roq,flic"
)

RGB = NDArray[np.uint8]  # (H, W, 3)


class Video:
    """Frames of a video file or a camera, (H, W, 3) uint8 RGB, upright, with square pixels.

    Iterate once, in a `with`. See open_video.
    """

    def __init__(self, source: Path | int, capture: cv2.VideoCapture, facts: MovieFacts) -> None:
        fps, frames = capture.get(cv2.CAP_PROP_FPS), capture.get(cv2.CAP_PROP_FRAME_COUNT)
        self.name = name_of(source)
        self.live = isinstance(source, int)  # a camera
        self.fps = fps if PLAUSIBLE_FPS[0] <= fps <= PLAUSIBLE_FPS[1] else None  # None: unknown
        self.frames = int(frames) if 0 < frames < 1e9 and not self.live else None  # as announced; None: unknown
        if facts.hidden and facts.starts_s is not None:  # OpenCV counts those, too
            self.frames = len(facts.starts_s)
        self.facts = facts
        self.damaged: str | None = None  # what is missing, once the end is reached
        self.at_s = 0.0  # when the frame that was read last is shown; of a file
        self.pixel_aspect = 1.0 if self.live else _pixel_aspect(capture)  # width by height, of the upright frame
        self._source, self._capture, self._clock = source, capture, Clock(self.fps or ASSUMED_FPS)
        self._first: RGB | None = self._decoded()
        self._first_ms = 0.0 if self.live else capture.get(cv2.CAP_PROP_POS_MSEC)
        self._read = 0
        if self._first is not None:
            self.height, self.width = self._first.shape[:2]  # upright, with square pixels

    @property
    def empty(self) -> bool:
        """True if not one frame could be read, before the first `read`."""
        return self._first is None

    def read(self) -> RGB | None:
        """Read the next frame; None at the end."""
        frame: RGB | None
        if self._first is not None:
            frame, at_ms, self._first = self._first, self._first_ms, None
        else:
            frame = self._decoded()
            at_ms = 0.0 if self.live or frame is None else self._capture.get(cv2.CAP_PROP_POS_MSEC)
        if frame is None:
            self.damaged = self._missing()
        else:
            self.at_s = self._clock.seconds(at_ms / 1000)
            self._read += 1
        return frame

    def _decoded(self) -> RGB | None:
        """Read the next frame, and make its pixels square. Raises HqmdError for one that is too large."""
        known, bgr = self._capture.read()
        if not known or bgr is None:
            return None
        require_frame(self.name, *bgr.shape[:2])
        rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
        return rgb if self.pixel_aspect == 1 else squared(rgb, self.pixel_aspect)

    def rhythm(self) -> Rhythm:
        """Tell if the frames are evenly spaced: by the header, or else by the first LOOKED_AT time stamps."""
        if isinstance(self._source, int):
            return Rhythm()
        if self.facts.starts_s is not None:
            return rhythm_of(self.facts.starts_s)
        capture = _open_capture(self._source)
        stamps_s: list[float] = []
        while len(stamps_s) < LOOKED_AT and capture.grab():
            stamps_s.append(capture.get(cv2.CAP_PROP_POS_MSEC) / 1000)
        capture.release()
        return rhythm_of(np.array(stamps_s))

    @property
    def remarks(self) -> list[str]:
        """What was made different from what the file holds."""
        remarks = []
        if self.pixel_aspect != 1:
            remarks.append(
                f"its pixels are {self.pixel_aspect:.3g} times as wide as high; frames were brought to "
                f"{self.width} x {self.height} square ones"
            )
        if self._clock.jumps:
            remarks.append(f"{self._clock.jumps} jumps in its time stamps were left out")
        if self.facts.hidden:
            remarks.append(f"{self.facts.hidden} frames are hidden by its edit list, and left out")
        if self.facts.spherical:
            remarks.append("a video of 360 degrees: its depth is as if a straight lens had seen it, which is wrong")
        return remarks

    def _missing(self) -> str | None:
        if self.live:
            return f"it gave no more frames after {self._read}"
        if self.frames is None:
            return None
        # Containers without a count announce a length, which other streams or a varying rate make inexact. Half a
        # second, or a twentieth of a short clip, is no damage.
        tolerated = max(1.0, min((self.fps or ASSUMED_FPS) / 2, self.frames / 20))
        if self.frames - self._read <= tolerated:
            return None
        return f"cut off or damaged: {self._read} of {self.frames} frames could be read"

    def skip(self, frames: int) -> None:
        """Go past so many frames, without their time stamps."""
        if frames and self._first is not None:
            self._first, frames = None, frames - 1
        while frames and self._capture.grab():
            frames -= 1

    def at(self, place: int) -> RGB | None:
        """Read the frame at or near a place (0: the first); None if jumping fails. Do not mix with `read`."""
        self._capture.set(cv2.CAP_PROP_POS_FRAMES, place)
        return self._decoded()

    def __iter__(self) -> Iterator[RGB]:
        while (frame := self.read()) is not None:
            yield frame

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._capture.release()


def open_video(source: Path | int) -> Video:
    """Open a video file, or a camera by its number. Frames are turned upright by the file's rotation.

    Raises HqmdError naming the source if not one frame can be read, or frames are larger than LARGEST_FRAME_PIXELS. A
    truncated file gives the frames up to there, and then sets `damaged`.
    """
    if not isinstance(source, int):
        return _opened(source)
    waiting = word_after(f"camera {source}: waiting for its first picture; Ctrl-C ends this")
    with waiting:
        if sys.platform == "darwin":  # which asks for permission in the main thread
            return _opened(source)
        return within(
            CAMERA_S,
            lambda: _opened(source),
            f"camera {source}: no picture for {CAMERA_S:.0f} s; is it in use elsewhere?",
        )


def _opened(source: Path | int) -> Video:
    capture = _open_capture(source)
    video = None
    try:
        if not capture.isOpened():
            raise HqmdError(f"{name_of(source)}: {why_unopened(source)}")
        if isinstance(source, Path):
            capture.set(cv2.CAP_PROP_ORIENTATION_AUTO, 1)
            size = (capture.get(key) for key in (cv2.CAP_PROP_FRAME_HEIGHT, cv2.CAP_PROP_FRAME_WIDTH))
            require_frame(name_of(source), *(max(1, int(side)) for side in size))
        opened = Video(source, capture, MovieFacts() if isinstance(source, int) else movie_facts(source))
        if opened.empty:
            raise HqmdError(f"{name_of(source)}: not one frame of it can be read")
        video = opened
        return video
    finally:
        if video is None:
            capture.release()


def why_unopened(source: Path | int) -> str:
    """Say why OpenCV cannot open a source, as far as that is known."""
    if isinstance(source, int):
        return "cannot be opened; is it plugged in, and not in use elsewhere?"
    if movie_facts(source).sound_alone:
        return "holds sound and no pictures, so there is no depth to predict"
    return "not a video that can be read, or a recording that was never finished"


def name_of(source: Path | int) -> str:
    """Return the name of a source for messages."""
    return f"camera {source}" if isinstance(source, int) else printable(str(source))


def require_frame(name: str, height: int, width: int) -> None:
    """Raise HqmdError for a frame that is too large."""
    try:
        require_pixels(height, width, LARGEST_FRAME_PIXELS, "frames have")
    except ValueError as error:
        raise HqmdError(f"{name}: {error}; scale the video down") from error


def squared(rgb: RGB, aspect: float) -> RGB:
    """Resize a frame whose pixels are `aspect` times as wide as high, to square ones; no side becomes smaller."""
    height, width = rgb.shape[:2]
    size = (round(width * aspect), height) if aspect > 1 else (width, round(height / aspect))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_LINEAR)  # type: ignore[return-value]


def _pixel_aspect(capture: cv2.VideoCapture) -> float:
    """Return width by height of the pixels of an upright frame."""
    across, down = capture.get(cv2.CAP_PROP_SAR_NUM), capture.get(cv2.CAP_PROP_SAR_DEN)
    if not (across > 0 and down > 0 and PLAUSIBLE_ASPECT[0] <= across / down <= PLAUSIBLE_ASPECT[1]):
        return 1.0
    turned = capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180 == 90
    return float(down / across if turned else across / down)


def _open_capture(source: Path | int) -> cv2.VideoCapture:
    hush()
    if isinstance(source, int):
        return cv2.VideoCapture(source)
    if not source.exists():
        raise HqmdError(f"{name_of(source)}: no such file")
    if not source.is_file():
        raise HqmdError(f"{name_of(source)}: not a file, so no video")
    try:
        with source.open("rb") as file:
            if not file.read(1):
                raise HqmdError(f"{name_of(source)}: empty file")
    except OSError as error:
        raise HqmdError(f"{name_of(source)}: cannot be read: {error.strerror or error}") from error
    form = by_content(source)
    if form is not None and form.medium == "other":
        raise HqmdError(f"{name_of(source)}: not a video, but {why_unreadable(form)}")
    return cv2.VideoCapture(opencv_name(source), cv2.CAP_FFMPEG)


def opencv_name(path: Path) -> str:
    """Return the path for OpenCV: absolute, since FFmpeg takes `a:b.mp4` for a protocol. It crashes without UTF-8."""
    try:
        str(path).encode("utf-8")
    except UnicodeEncodeError as error:
        raise HqmdError(f"{path}: OpenCV opens only names in UTF-8; rename it") from error
    return str(path.absolute())


def hush() -> None:
    """Keep messages of OpenCV and FFmpeg off stderr, and FFmpeg to CONTAINERS and files.

    Unless their environment variables are set.
    """
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # AV_LOG_QUIET
    os.environ.setdefault("OPENCV_FFMPEG_CAPTURE_OPTIONS", f"format_whitelist;{CONTAINERS}|protocol_whitelist;file")
    if "OPENCV_LOG_LEVEL" not in os.environ:
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
