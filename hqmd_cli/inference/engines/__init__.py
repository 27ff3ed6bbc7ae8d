"""Engines compute depth at the size that the network sees, with torch or ONNX Runtime.

An engine is a callable that takes a picture, (h, w, 3) uint8 RGB, and returns its depth, float32 metres, from any
thread: (h, w), or one of every `depth_stride` pixels each way. Files, the photo's own size and the sides at which a
checkpoint wants photos shown are the business of predictor.py.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """(h, w, 3) uint8 RGB -> float32 metres."""

    name: str  # for messages, such as "ONNX Runtime on the CPU, fp32"
    precision: str  # of most of the arithmetic: fp32, bf16 or int8
    fallback: str  # why the CPU computes although there is an accelerator; empty if it does not

    def __call__(self, picture: "NDArray[np.uint8]") -> "NDArray[np.float32]": ...
