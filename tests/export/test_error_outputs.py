"""The errors in an exported graph, beside their twin in torch and what predict computes. Without a network."""

import numpy as np
import onnxruntime
import pytest
import torch

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.export.error_outputs import error_lines, errors_of
from hqmd_cli.inference.uncertainty import uncertainty

onnx = pytest.importorskip("onnx")

SIZE = (64, 80)
ERRORS = {"scale_error": (0.05, 1, 0.1, 0.2), "shape_error": (0.05, 1, 0.5, 0.1, 0.2, 0.1, 0.1)}
MODEL = ModelConfig().with_settings(predict_sides=(48, 64), **ERRORS)


def graph_of_errors(shape: str) -> bytes:
    """A graph from the log depth of two views to both errors, at the size of the maps."""
    lines = """
        log_mean = Mean (log_0, log_1)
        map_size = Shape <start = 2, end = 4> (log_mean)
        size = Identity (map_size)
        one = Constant <value_ints = [1]> ()
    """ + error_lines(MODEL, 2)
    ends = f"(float[{shape}] log_0, float[{shape}] log_1) => (float[B] scale_error, float[B, H, W] shape_error)"
    return onnx.parser.parse_model(
        f'<ir_version: 8, opset_import: ["" : 18]> part {ends} {{{lines}}}'
    ).SerializeToString()


@pytest.mark.parametrize("shape", ["B, 1, H, W", "1, 1, 64, 80"])
def test_graph_torch_and_numpy_agree(shape: str) -> None:
    rng = np.random.default_rng(0)
    slant = np.linspace(0.2, 1.4, SIZE[1], dtype=np.float32)
    logs = (slant + rng.normal(0, 0.1, (2, *SIZE))).astype(np.float32)
    logs[1, 10:30, 20:50] += 0.3
    session = onnxruntime.InferenceSession(graph_of_errors(shape), providers=["CPUExecutionProvider"])
    scale, errors = session.run(None, {f"log_{n}": log_m[None, None] for n, log_m in enumerate(logs)})
    in_torch = errors_of([torch.from_numpy(log_m)[None, None].exp() for log_m in logs], MODEL, torch.Size(SIZE))
    expected = uncertainty(logs, *ERRORS.values())
    assert scale.shape == (1,) and scale[0] == pytest.approx(expected.scale, abs=1e-5)
    assert in_torch[0].item() == pytest.approx(expected.scale, abs=1e-5)
    assert errors.shape == (1, *SIZE) and np.ptp(errors) > 0.1
    np.testing.assert_allclose(errors[0], expected.shape, atol=1e-4)
    np.testing.assert_allclose(in_torch[1][0].numpy(), expected.shape, atol=1e-4)
