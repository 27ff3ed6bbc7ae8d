"""Frames as an .mp4.

An .mp4 has an even frame rate; where the source's varies, frames are repeated so that each is shown when it was.
"""

import math
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import explain_write_errors, file_beside, require_suffix
from hqmd_cli.files.h264 import H264Writer, open_h264
from hqmd_cli.files.video_source import ASSUMED_FPS, PLAUSIBLE_FPS, RGB, hush, opencv_name

# H.264 plays everywhere. It is missing in opencv-python's wheels because of its licence, which have a fast encoder for
# MPEG-4 part 2; few players accept VP9 in an .mp4.
CODECS = {"avc1": "H.264", "mp4v": "MPEG-4 part 2"}  # of OpenCV, preferred first
LARGEST_RATE_NUMERATOR = 65535  # MPEG-4 part 2 stores the frame rate as a fraction of 16-bit numbers


class VideoFile:
    """An .mp4 in the making, beside its path. See write_video."""

    def __init__(self, path: Path, fps: float) -> None:
        self.path = path
        self.fps = writable_fps(fps)
        self.frames = 0  # written
        self.finished = False
        self.size: tuple[int, int] | None = None  # (height, width) of the frames, from the first on
        self._beside = ExitStack()
        self._aside = path  # a file beside it, from here on
        self.codec = ""  # in words, from the first frame on
        self._writer: cv2.VideoWriter | H264Writer | None = None
        self._last: NDArray[np.uint8] | None = None  # BGR, of even size
        hush()
        opencv_name(path)  # fails now rather than at the first frame
        with explain_write_errors(path):
            if path.is_dir():
                raise HqmdError(f"{path}: cannot be written: it is a folder")
        # FFmpeg chooses the container by the suffix. The file exists now: OpenCV does not say why it cannot create one.
        self._aside = self._beside.enter_context(file_beside(path, ".mp4"))

    def write(self, rgb: RGB, at_s: float | None = None) -> None:
        """Add a frame (H, W, 3) of the size of the first one; repeat the frame before it up to `at_s` seconds.

        MPEG-4 has even sizes only, so the last row or column of an odd size is repeated. Raises HqmdError if the sizes
        differ, no encoder takes the size, or the disk is full.
        """
        height, width = rgb.shape[:2]
        bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
        bgr = cv2.copyMakeBorder(bgr, 0, height % 2, 0, width % 2, cv2.BORDER_REPLICATE)
        if self._writer is None or self.size is None:
            self._writer = self._open(width + width % 2, height + height % 2)
            self.size = height, width
        if (height, width) != self.size:  # OpenCV silently drops such a frame
            raise HqmdError(
                f"{self.path}: frame {self.frames + 1} is {width} x {height}, those before {self.size[1]} x "
                f"{self.size[0]}; one video has one size"
            )
        if at_s is not None:
            self.hold(at_s)
        self._add(bgr.astype(np.uint8, copy=False))

    def hold(self, until_s: float) -> None:
        """Repeat the last frame, if there is one, up to `until_s` seconds."""
        while self._last is not None and self.frames < round(until_s * self.fps):
            self._add(self._last)

    def _open(self, width: int, height: int) -> cv2.VideoWriter | H264Writer:
        if h264 := open_h264(self._aside, self.fps, width, height):
            self.codec = CODECS["avc1"]
            return h264
        for codec, self.codec in CODECS.items():
            fourcc = cv2.VideoWriter.fourcc(*codec)
            writer = cv2.VideoWriter(opencv_name(self._aside), cv2.CAP_FFMPEG, fourcc, self.fps, (width, height))
            if writer.isOpened():
                return writer
        raise HqmdError(
            f"{self.path}: OpenCV cannot write {width} x {height} at {self.fps:g} frames a second as MPEG-4; "
            "a side can have 8190 pixels at most, and OpenCV must have FFmpeg, as the opencv-python wheels do"
        )

    def _add(self, bgr: NDArray[np.uint8]) -> None:
        assert self._writer is not None
        written: bool | None = self._writer.write(bgr)  # None in OpenCV 4
        if written is False:
            raise HqmdError(f"{self.path}: frame {self.frames + 1} cannot be written; is the disk full?")
        self._last = bgr
        self.frames += 1

    def finish(self) -> None:
        """Close the file, check that it has all frames, and rename it to its path."""
        if self._writer is None:
            raise HqmdError(f"{self.path}: not written, as there was not one frame")
        self._writer.release()
        kept = cv2.VideoCapture(opencv_name(self._aside), cv2.CAP_FFMPEG)
        frames = kept.get(cv2.CAP_PROP_FRAME_COUNT)
        kept.release()
        if frames != self.frames:
            raise HqmdError(f"{self.path}: not all of its {self.frames} frames could be written; is the disk full?")
        with explain_write_errors(self.path):
            self._aside.replace(self.path)
        self.finished = True

    def discard(self) -> None:
        """Remove the unfinished file."""
        if self._writer is not None:
            self._writer.release()
        self._beside.close()


@contextmanager
def write_video(path: Path, fps: float) -> Iterator[VideoFile]:
    """Give a VideoFile at `fps` frames a second (see writable_fps) to write into. Creates the folders.

    The file appears at the end of the `with`, or on Ctrl-C with the frames written so far; after any other error it
    does not appear. Raises HqmdError naming the path if it cannot be written.
    """
    require_suffix(path, {".mp4"})
    file = VideoFile(path, fps)
    try:
        try:
            yield file
        except KeyboardInterrupt:
            if file.frames:
                finish_whole(file)
            raise
        finish_whole(file)
    finally:
        file.discard()


def finish_whole(file: VideoFile) -> None:
    """Finish in another thread, which Ctrl-C does not interrupt."""
    with own_thread() as thread:
        done = thread.submit(file.finish)
    done.result()


@contextmanager
def own_thread() -> Iterator[ThreadPoolExecutor]:
    """Give one thread; at the end, wait until it has done everything, and ignore Ctrl-C meanwhile."""
    thread = ThreadPoolExecutor(1)
    try:
        yield thread
    finally:
        end = thread.submit(lambda: None)
        while not end.done():  # not only shutdown: in Python 3.11, an interrupted join marks the thread as ended
            try:
                wait([end])
            except KeyboardInterrupt:  # closing a file that the thread still uses would crash
                continue
        thread.shutdown()


def writable_fps(fps: float) -> float:
    """Round a frame rate to the decimals, at most three, that MPEG-4 can store; ASSUMED_FPS if it is implausible."""
    if not PLAUSIBLE_FPS[0] <= fps <= PLAUSIBLE_FPS[1]:
        return ASSUMED_FPS
    return round(fps, min(3, int(math.log10(LARGEST_RATE_NUMERATOR / fps))))
