"""Engines: what computes depth at the working size, by torch or by ONNX Runtime.

An engine is any callable that takes a picture (h, w, 3) uint8 RGB and returns its depth (h, w) float32 in metres, as
large as the picture. It knows nothing of files, photo sizes or checkpoints' settings: predictor.py does.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Engine = Callable[[NDArray[np.uint8]], NDArray[np.float32]]
