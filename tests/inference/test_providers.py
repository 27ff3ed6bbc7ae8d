"""ONNX Runtime's accelerators: which one is tried, when the CPU computes in its place, and what is said and remembered.

No accelerator is needed: a stub takes the graph as one would, and computes on the CPU.
"""

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, helper
from safetensors.numpy import save_file
from test_graphs import constant, write

from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines import accelerators, providers, select
from hqmd_cli.inference.engines.check_pictures import check_pictures
from hqmd_cli.inference.engines.onnx import OnnxEngine
from hqmd_cli.inference.engines.providers import CPU, PROVIDERS, candidates, clash, options_of
from hqmd_cli.registry import pick

REAL = onnxruntime.InferenceSession
OPENVINO, CUDA = PROVIDERS["openvino"].name, PROVIDERS["cuda"].name
PICTURE = next(check_pictures([(64, 96)]))


class Stub:
    """A session whose accelerator takes `took` of the 4 nodes, and changes the depth by `change`."""

    opened: list[Any]
    change: Callable[[np.ndarray], np.ndarray]
    took: int
    fault: Exception | None

    def __init__(self, path: Path, options: Any, *, providers: list[Any], **rest: Any) -> None:
        self.on = CPU if providers == [CPU] else providers[0][0]
        Stub.opened.append((self.on, providers[0][1] if self.on != CPU else {}, path.name))
        if self.on != CPU and Stub.fault:
            raise Stub.fault
        self.session = REAL(path, options, providers=[CPU], **rest)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.session, name)

    def get_provider_graph_assignment_info(self) -> list[Any]:
        def part(name: str, count: int) -> Any:
            return SimpleNamespace(ep_name=name, get_nodes=lambda: [None] * count)

        return [part(self.on, Stub.took), part(CPU, 4 - Stub.took)]

    def run(self, *words: Any) -> list[np.ndarray]:
        (depth_m,) = self.session.run(*words)
        return [depth_m if self.on == CPU else Stub.change(depth_m)]


@pytest.fixture
def stub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> type[Stub]:
    Stub.opened, Stub.change, Stub.took, Stub.fault = [], np.copy, 4, None
    monkeypatch.setattr(onnxruntime, "InferenceSession", Stub)
    monkeypatch.setattr(onnxruntime, "get_available_providers", lambda: [OPENVINO, CPU])
    monkeypatch.setattr(select, "may_have_gpu", lambda: False)
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    return Stub


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A checkpoint whose network adds 1 to the photo's red."""
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    save_file({"one": np.ones(1, np.float32)}, folder / "model.safetensors")
    nodes = [
        helper.make_node("Gather", ["rgb", "first"], ["red"], axis=3),
        helper.make_node("Cast", ["red"], ["float"], to=TensorProto.FLOAT),
        helper.make_node("Add", ["float", "one"], ["depth_m"]),
    ]
    write(
        folder / "model.onnx",
        nodes,
        ("depth_m", TensorProto.FLOAT, ["b", "h", "w"]),
        stored=[constant("first", 0), constant("one", np.float32(1))],
    )
    return folder


def name_of(model: Path, device: str = "auto") -> str:
    return select.open_engine(model, device=device).name


def test_auto_takes_what_is_there_after_one_trial(stub: type[Stub], model: Path) -> None:
    assert name_of(model) == "ONNX Runtime on OpenVINO, fp32"
    assert [on for on, *_ in stub.opened] == [OPENVINO, CPU]  # compared with the CPU
    stub.opened.clear()
    assert name_of(model) == "ONNX Runtime on OpenVINO, fp32"
    assert [on for on, *_ in stub.opened] == [OPENVINO]  # remembered
    engine = select.open_engine(model)
    np.testing.assert_array_equal(engine(PICTURE), OnnxEngine(model / "model.onnx")(PICTURE))


def test_cpu_means_cpu(stub: type[Stub], model: Path) -> None:
    assert name_of(model, "cpu") == "ONNX Runtime on the CPU, fp32"
    assert [on for on, *_ in stub.opened] == [CPU]


def one_quadrant(depth_m: np.ndarray) -> np.ndarray:
    """The median of the whole map does not move."""
    wrong = depth_m.copy()
    wrong[:, : wrong.shape[1] // 2, : wrong.shape[2] // 2] *= 3
    return wrong


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda depth_m: depth_m * 1.02, "its depth is 2.0% off the CPU's"),
        (one_quadrant, "its depth is 200.0% off the CPU's"),
        (lambda depth_m: depth_m * np.nan, "not finite"),
    ],
)
def test_wrong_depth_is_computed_on_the_cpu(stub: type[Stub], model: Path, change: Callable, said: str) -> None:
    stub.change = staticmethod(change)
    name = name_of(model)
    assert name.startswith("ONNX Runtime on the CPU, fp32 (not on OpenVINO: ") and said in name
    assert select.open_engine(model)(PICTURE).max() <= 256
    with pytest.raises(HqmdError, match=r"not on OpenVINO: .*; use --device cpu"):
        name_of(model, "openvino")


def test_a_little_rounding_is_none(stub: type[Stub], model: Path) -> None:
    stub.change = staticmethod(lambda depth_m: depth_m * 1.009)
    assert name_of(model) == "ONNX Runtime on OpenVINO, fp32"


def test_a_refused_graph_is_computed_on_the_cpu_and_not_tried_again(stub: type[Stub], model: Path) -> None:
    stub.fault = RuntimeError("[ONNXRuntimeError] : 1 : FAIL : /a/b.cc:13 f(int)\n\nno operation Attention\n")
    expected = "ONNX Runtime on the CPU, fp32 (not on OpenVINO: no operation Attention)"
    assert name_of(model) == expected and name_of(model) == expected
    assert [on for on, *_ in stub.opened] == [OPENVINO, CPU, CPU]


@pytest.mark.parametrize("what", ["model", "runtime", "driver", "library", "system"])
def test_a_verdict_ends_with_what_it_was_about(
    stub: type[Stub], model: Path, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = tmp_path / "driver"
    driver.write_text("580.1" if what == "driver" else "x" * 5000, "utf-8")
    monkeypatch.setattr(accelerators, "DRIVERS", (tmp_path / "none", driver))
    stub.change = staticmethod(lambda depth_m: depth_m * 2)
    assert "not on OpenVINO" in name_of(model)
    stub.change = staticmethod(np.copy)
    assert "not on OpenVINO" in name_of(model)
    if what == "model":
        text = (model / "config.json").read_text()
        (model / "config.json").write_text(text + "\n")
    elif what == "runtime":
        monkeypatch.setattr(onnxruntime, "__version__", "99")
    elif what == "system":
        monkeypatch.setattr(accelerators.platform, "platform", lambda: "another")
    else:
        driver.write_text("580.2" if what == "driver" else "x" * 5001, "utf-8")
    assert name_of(model) == "ONNX Runtime on OpenVINO, fp32"


def test_only_the_nodes_that_it_took_are_its_own(stub: type[Stub], model: Path) -> None:
    stub.took = 3
    assert name_of(model) == "ONNX Runtime on OpenVINO (3 of 4 nodes, the others on the CPU), fp32"
    shutil.rmtree(model.parent / "home")
    stub.took = 0  # as where CUDA is not installed: ONNX Runtime goes on without a word
    assert name_of(model) == "ONNX Runtime on the CPU, fp32 (not on OpenVINO: it computes no part of the network)"
    stub.took = 4  # what may be installed meanwhile is tried again
    assert name_of(model) == "ONNX Runtime on OpenVINO, fp32"


def test_where_nothing_can_be_remembered_it_is_tried_again(
    stub: type[Stub], model: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "file"))
    for number in range(3):
        if number == 2:  # nor has this user a home
            monkeypatch.setattr(accelerators, "hqmd_home", lambda: pick({}, "home", "folder"))
        stub.opened.clear()
        assert name_of(model) == "ONNX Runtime on OpenVINO, fp32"
        assert [on for on, *_ in stub.opened] == [OPENVINO, CPU]


def test_the_part_after_the_colon(stub: type[Stub], model: Path) -> None:
    assert name_of(model, "openvino:GPU") == "ONNX Runtime on OpenVINO, fp32"
    assert stub.opened[0][1] == {"device_type": "GPU"}
    assert options_of(PROVIDERS["cuda"], "cuda:1") == {"device_id": "1"}
    with pytest.raises(HqmdError, match="CoreML is one device; use --device coreml"):
        candidates("coreml:1", [PROVIDERS["coreml"].name])


def test_the_best_comes_first_and_tensorrt_only_when_asked() -> None:
    everything = [provider.name for provider in PROVIDERS.values()][::-1]
    words = [provider.words for provider in candidates("auto", everything)]
    assert words == ["CUDA", "CoreML", "DirectML", "OpenVINO"]
    assert [provider.words for provider in candidates("tensorrt", everything)] == ["TensorRT"]


def test_two_runtimes_in_one_folder_are_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The CPU's has overwritten the GPU's, and CUDA is gone; where CUDA is there, nothing is said."""
    for name in ("onnxruntime-1.27.dist-info", "onnxruntime_gpu-1.27.dist-info"):
        (tmp_path / name).mkdir()
    (tmp_path / "onnxruntime-1.27.dist-info" / "METADATA").write_text("Name: onnxruntime\nVersion: 1.27\n")
    (tmp_path / "onnxruntime_gpu-1.27.dist-info" / "METADATA").write_text("Name: onnxruntime-gpu\nVersion: 1.27\n")
    monkeypatch.syspath_prepend(tmp_path)
    assert clash([CPU], tmp_path) == (
        "onnxruntime and onnxruntime-gpu overwrite each other's files; to keep onnxruntime-gpu: "
        "pip uninstall -y onnxruntime onnxruntime-gpu && pip install --no-deps onnxruntime-gpu"
    )
    assert clash([CUDA, CPU], tmp_path) == ""
    shutil.rmtree(tmp_path / "onnxruntime_gpu-1.27.dist-info")
    assert clash([CPU], tmp_path) == ""


def test_the_docs_name_every_provider_and_who_tried_it() -> None:
    text = (Path(__file__).parents[2] / "docs" / "predict.md").read_text("utf-8")
    for device, provider in providers.PROVIDERS.items():
        (row,) = [line for line in text.splitlines() if line.startswith(f"| `{device}`")]
        assert provider.runtime in row and ("not tried" in row) != provider.tried
