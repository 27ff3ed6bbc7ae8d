"""A side at which memory runs out: the message names the option to lower, whichever runtime computes."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.onnx import OnnxEngine
from hqmd_cli.inference.engines.pytorch import TorchEngine

PICTURE = np.zeros((64, 96, 3), np.uint8)
TOO_MUCH = 2**50  # bytes, and more


class Hungry(nn.Module):
    """A network that asks for a petabyte."""

    def forward(self, rgb: Tensor) -> Tensor:
        return torch.empty(TOO_MUCH)


def test_torch_names_the_option() -> None:
    with pytest.raises(HqmdError, match=r"^torch on cpu: too little memory for 64 x 96 pixels; lower --side$"):
        TorchEngine(Hungry(), torch.device("cpu"))(PICTURE)


def test_another_error_of_torch_stays_what_it_is() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        TorchEngine(nn.Linear(7, 7), torch.device("cpu"))(PICTURE)


def test_onnx_runtime_names_the_option(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    rgb = helper.make_tensor_value_info("rgb", TensorProto.UINT8, ("b", "h", "w", 3))
    depth = helper.make_tensor_value_info("depth_m", TensorProto.FLOAT, ("b", "h", "w"))
    sides = numpy_helper.from_array(np.array([1, 2**25, 2**25]), "sides")
    first = numpy_helper.from_array(np.array(0), "first")
    nodes = [
        helper.make_node("Gather", ["rgb", "first"], ["red"], axis=3),
        helper.make_node("Cast", ["red"], ["cast"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["cast"], ["mean"], keepdims=1),
        helper.make_node("Expand", ["mean", "sides"], ["depth_m"]),
    ]
    graph = helper.make_graph(nodes, "hungry", [rgb], [depth], [sides, first])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10), tmp_path / "m.onnx")
    expected = r"^ONNX Runtime on the CPU, fp32: too little memory for 64 x 96 pixels; lower --side$"
    with pytest.raises(HqmdError, match=expected):
        OnnxEngine(tmp_path / "m.onnx")(PICTURE)
    assert capfd.readouterr() == ("", "")
