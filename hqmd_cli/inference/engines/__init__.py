"""Engines: what computes depth at the working size, by torch or ONNX Runtime.

An engine is any callable that takes a picture (h, w, 3) uint8 RGB and returns its depth, float32 in metres, from any
thread: (h, w), or of one of some pixels each way, where the network says no more (ModelConfig.depth_stride). It knows
nothing of files, photo sizes or how checkpoints want photos shown: predictor.py does.
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
