"""H.264 by PyAV, whose wheels hold an encoder that those of OpenCV lack because of its licence. Browsers play it."""

from contextlib import suppress
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ENCODER = "libx264"
QUALITY = {"crf": "18", "preset": "fast"}  # near to lossless for the eye
LARGEST_DENOMINATOR = 65535


class H264Writer:
    """An .mp4 in the making, with the methods of cv2.VideoWriter. Raises an exception of any kind if it cannot."""

    def __init__(self, path: Path, fps: float, width: int, height: int) -> None:
        import av

        self.errors = av.error.FFmpegError
        self.file: Any = av.open(str(path), "w", format="mp4")
        self.stream = self.file.add_stream(ENCODER, rate=Fraction(fps).limit_denominator(LARGEST_DENOMINATOR))
        self.stream.width, self.stream.height, self.stream.pix_fmt, self.stream.options = (
            width,
            height,
            "yuv420p",
            QUALITY,
        )
        self.stream.open()
        self.frame_of = av.VideoFrame.from_ndarray

    def write(self, bgr: NDArray[np.uint8]) -> bool:
        """Add a frame (H, W, 3) of even size; False if it cannot be written."""
        return self.mux(self.frame_of(bgr, format="bgr24"))

    def mux(self, frame: Any) -> bool:
        """Encode a frame, or with None those that wait in the encoder."""
        try:
            for packet in self.stream.encode(frame):
                self.file.mux(packet)
        except (self.errors, OSError):
            return False
        return True

    def release(self) -> None:
        """Write what waits, and close the file; may be called again."""
        if self.file is not None:
            self.mux(None)
            file, self.file = self.file, None
            with suppress(self.errors, OSError):  # whoever reads the file back counts its frames
                file.close()


def open_h264(path: Path, fps: float, width: int, height: int) -> H264Writer | None:
    """Open a writer; None if PyAV is not there, or does not take this size and rate."""
    if find_spec("av") is None:
        return None
    try:
        return H264Writer(path, fps, width, height)
    except Exception:  # another version of PyAV, a build without the encoder, or a size that it refuses
        return None
