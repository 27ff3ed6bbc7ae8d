"""Models for other runtimes and for the hub: ONNX graphs, int8, publishing."""
