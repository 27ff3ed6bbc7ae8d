"""Engines: what computes depth at the working size, by torch, ONNX Runtime or OpenVINO.

An engine is any callable that takes a picture (h, w, 3) uint8 RGB and returns its depth (h, w) float32 in metres, as
large as the picture, from any thread. It knows nothing of files, photo sizes or checkpoints' settings: predictor.py
does.
"""

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Engine(Protocol):
    """See above."""

    name: str  # what computes, in words, such as "ONNX Runtime on the CPU"
    precision: str  # in what most of it is computed: fp32, bf16 or int8

    def __call__(self, picture: "NDArray[np.uint8]") -> "NDArray[np.float32]": ...
