"""The one place that imports ONNX Runtime, so that it sends no telemetry and prints nothing of its own.

From 1.29 on it sends events about sessions and devices to its makers, and keeps a database of them in the user's cache
folder, unless ORT_DISABLE_TELEMETRY is set before it is imported. ORT_DISABLE_TELEMETRY=0 allows it again.
"""

import os

from hqmd_cli.files.native_lines import no_native_lines

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
with no_native_lines():  # where a screen has no GPU behind it, it prints that it found none
    import onnxruntime

__all__ = ["onnxruntime"]
