"""Graphs with other inputs, outputs or answers than `hqmd export` writes are refused, and the file is named."""

import contextlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.onnx import OnnxEngine

PICTURE = np.full((64, 96, 3), 100, np.uint8)
FLOAT = TensorProto.FLOAT


def write(
    path: Path,
    nodes: list[onnx.NodeProto],
    output: tuple[str, int, list[Any]],
    sizes: tuple[Any, ...] = ("b", "h", "w", 3),
    stored: list[onnx.TensorProto] | None = None,
    kind: int = TensorProto.UINT8,
) -> Path:
    """A graph whose input is rgb, as far as a case does not say otherwise."""
    inputs, outputs = [helper.make_tensor_value_info("rgb", kind, sizes)], [helper.make_tensor_value_info(*output)]
    graph = helper.make_graph(nodes, "made by hand", inputs, outputs, stored)
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    return path


def constant(name: str, values: Any) -> onnx.TensorProto:
    return numpy_helper.from_array(np.array(values), name)


def red(path: Path, output: tuple[str, int, list[Any]] = ("depth_m", FLOAT, ["b", "h", "w"]), **also: Any) -> Path:
    """Depth is the photo's red: what an engine accepts."""
    nodes = [
        helper.make_node("Gather", ["rgb", "first"], ["red"], axis=3),
        helper.make_node("Cast", ["red"], [output[0]], to=output[1]),
    ]
    return write(path, nodes, output, stored=[constant("first", 0)], **also)


def test_a_graph_of_the_right_shapes_is_computed(tmp_path: Path) -> None:
    for sizes in (("b", "h", "w", 3), (1, 64, 96, 3), (None, None, None, 3)):
        np.testing.assert_array_equal(OnnxEngine(red(tmp_path / "model.onnx", sizes=sizes))(PICTURE), 100)


@pytest.mark.parametrize(
    "output",
    [
        ("depth_m", FLOAT, ["n"]), ("depth_m", FLOAT, ["b", 1, "h", "w"]), ("depth_m", FLOAT, []),
        ("depth", FLOAT, ["b", "h", "w"]), ("depth_m", TensorProto.DOUBLE, ["b", "h", "w"]),
        ("depth_m", FLOAT, [2, "h", "w"]),
    ],
    ids=str,
)  # fmt: skip
def test_another_output_is_refused(output: tuple[str, int, list[Any]], tmp_path: Path) -> None:
    path = red(tmp_path / "model.onnx", output)
    with pytest.raises(
        HqmdError, match=rf"^{path}: (not written by `hqmd export`: its outputs are|ONNX Runtime cannot)"
    ):
        OnnxEngine(path)


@pytest.mark.parametrize("sizes", [("h", "w", 3), ("b", "h", "w", 4), ("b", "h", "w", "c"), (2, "h", "w", 3)], ids=str)
def test_another_input_is_refused(sizes: tuple[Any, ...], tmp_path: Path) -> None:
    path = write(tmp_path / "model.onnx", [helper.make_node("Cast", ["rgb"], ["depth_m"], to=FLOAT)],
                 ("depth_m", FLOAT, list(sizes)), sizes)  # fmt: skip
    with pytest.raises(HqmdError, match=rf"^{path}: not written by `hqmd export`: its inputs are rgb"):
        OnnxEngine(path)


@pytest.mark.parametrize("shape", [(1, 2, 2), (1, 96, 64), (2, 64, 96), (1, 640, 960), (0, 64, 96)], ids=str)
def test_an_answer_of_another_size_is_refused(shape: tuple[int, ...], tmp_path: Path) -> None:
    """The graph promises any height and width."""
    nodes = [
        helper.make_node("ConstantOfShape", ["shape"], ["depth_m"], value=helper.make_tensor("v", FLOAT, [1], [2]))
    ]
    stored = [constant("shape", np.array(shape, np.int64))]
    path = write(tmp_path / "model.onnx", nodes, ("depth_m", FLOAT, ["b", "h", "w"]), stored=stored)
    with pytest.raises(HqmdError, match=rf"^{path}: (not written by `hqmd export`|ONNX Runtime)"):
        OnnxEngine(path)(PICTURE)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_an_answer_that_is_not_finite_is_refused(value: float, tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Gather", ["rgb", "first"], ["red"], axis=3),
        helper.make_node("Cast", ["red"], ["cast"], to=FLOAT),
        helper.make_node("Add", ["cast", "value"], ["depth_m"]),
    ]
    stored = [constant("first", 0), constant("value", np.float32(value))]
    path = write(tmp_path / "model.onnx", nodes, ("depth_m", FLOAT, ["b", "h", "w"]), stored=stored)
    with pytest.raises(HqmdError, match=rf"^{path}: its depth is not finite"):
        OnnxEngine(path)(PICTURE)


def test_a_picture_that_a_graph_does_not_take_names_the_graph(tmp_path: Path, capfd: Any) -> None:
    engine = OnnxEngine(red(tmp_path / "model.onnx", sizes=(1, 32, 32, 3)))
    with pytest.raises(HqmdError, match=r"model\.onnx: ONNX Runtime failed at 64 x 96 pixels: ") as refusal:
        engine(PICTURE)
    assert "\n" not in str(refusal.value) and len(str(refusal.value)) < 600
    assert capfd.readouterr() == ("", "")  # ONNX Runtime's own lines, in red


def test_memory_that_runs_out_names_the_option_to_lower(tmp_path: Path, capfd: Any) -> None:
    """The graph asks for four petabytes."""
    nodes = [
        helper.make_node("Gather", ["rgb", "first"], ["red"], axis=3),
        helper.make_node("Cast", ["red"], ["cast"], to=FLOAT),
        helper.make_node("ReduceMean", ["cast"], ["mean"], keepdims=1),
        helper.make_node("Expand", ["mean", "sides"], ["depth_m"]),
    ]
    stored = [constant("first", 0), constant("sides", np.array([1, 2**25, 2**25]))]
    path = write(tmp_path / "model.onnx", nodes, ("depth_m", FLOAT, ["b", "h", "w"]), stored=stored)
    expected = r"^ONNX Runtime on the CPU, fp32: too little memory for 64 x 96 pixels; lower --side$"
    with pytest.raises(HqmdError, match=expected):
        OnnxEngine(path)(PICTURE)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("location", ["/etc/passwd", "../secret.bin", "link.bin"])
def test_weights_elsewhere_are_not_read(location: str, tmp_path: Path, capfd: Any) -> None:
    """What lies outside the model's folder is no weight of it."""
    folder = tmp_path / "model"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(bytes(64))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    bias = TensorProto(name="bias", dims=[1], data_type=FLOAT, data_location=TensorProto.EXTERNAL)
    bias.external_data.add(key="location", value=location)
    nodes = [
        helper.make_node("Gather", ["rgb", "first"], ["red"], axis=3),
        helper.make_node("Cast", ["red"], ["cast"], to=FLOAT),
        helper.make_node("Add", ["cast", "bias"], ["depth_m"]),
    ]
    inputs = [helper.make_tensor_value_info("rgb", TensorProto.UINT8, ["b", "h", "w", 3])]
    outputs = [helper.make_tensor_value_info("depth_m", FLOAT, ["b", "h", "w"])]
    graph = helper.make_graph(nodes, "made by hand", inputs, outputs, [constant("first", 0), bias])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    (folder / "model.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(HqmdError, match=r"model\.onnx: ONNX Runtime cannot open it"):
        OnnxEngine(folder / "model.onnx")
    assert capfd.readouterr() == ("", "")


def test_a_damaged_graph_is_told_in_our_words_only(tmp_path: Path, capfd: Any) -> None:
    path = red(tmp_path / "model.onnx")
    content = path.read_bytes()
    for place in range(8, len(content), 7):
        path.write_bytes(content[:place] + b"\x9d\xff" + content[place + 2 :])
        with contextlib.suppress(HqmdError):
            OnnxEngine(path)(PICTURE)
    assert capfd.readouterr() == ("", "")


def test_an_output_that_is_no_tensor_is_refused(tmp_path: Path) -> None:
    nodes = [
        helper.make_node("Cast", ["rgb"], ["cast"], to=FLOAT),
        helper.make_node("SequenceConstruct", ["cast"], ["depth_m"]),
    ]
    graph = helper.make_graph(
        nodes, "made by hand",
        [helper.make_tensor_value_info("rgb", TensorProto.UINT8, ["b", "h", "w", 3])],
        [helper.make_tensor_sequence_value_info("depth_m", FLOAT, ["b", "h", "w", 3])],
    )  # fmt: skip
    path = tmp_path / "model.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8), path)
    with pytest.raises(HqmdError, match=r"its outputs are depth_m seq\(tensor\(float\)\)"):
        OnnxEngine(path)


def test_operators_of_other_libraries_are_unknown(tmp_path: Path) -> None:
    node = helper.make_node("Evil", ["rgb"], ["depth_m"], domain="com.example")
    graph = helper.make_graph(
        [node], "made by hand",
        [helper.make_tensor_value_info("rgb", TensorProto.UINT8, ["b", "h", "w", 3])],
        [helper.make_tensor_value_info("depth_m", FLOAT, ["b", "h", "w"])],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), tmp_path / "model.onnx")
    with pytest.raises(HqmdError, match="cannot open it"):
        OnnxEngine(tmp_path / "model.onnx")


@pytest.mark.unix
def test_a_pipe_in_the_place_of_a_graph_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "model.onnx")
    with pytest.raises(HqmdError, match="a pipe or device, not a file"):
        OnnxEngine(tmp_path / "model.onnx")
