"""The network in OpenVINO says what it says in ONNX Runtime, from any thread, and without torch."""

import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from hqmd_cli.engines.onnx_engine import OnnxEngine
from hqmd_cli.errors import HqmdError
from hqmd_cli.export import check_pictures
from hqmd_cli.hub import DEFAULT_MODEL, find_checkpoint
from hqmd_cli.predictor import load_predictor

pytest.importorskip("openvino", reason="pip install 'hqmd[openvino]'")

from hqmd_cli.engines.openvino_engine import OpenVinoEngine


@pytest.fixture
def published() -> Path:
    """A checkpoint with a graph. For reading only."""
    return find_checkpoint("hqmd-indoor-small")


def test_in_float32_it_agrees_with_onnx_runtime(published):
    ours, other = (engine(published / "model.onnx") for engine in (OnnxEngine, lambda p: OpenVinoEngine(p, 0, "fp32")))
    for picture in check_pictures():
        one, two = ours(picture), other(picture)
        assert one.shape == two.shape and one.dtype == two.dtype == np.float32
        assert np.abs(one - two).mean() < 0.001 and np.abs(one - two).max() < 0.01


@pytest.mark.parametrize("model", [DEFAULT_MODEL, "hqmd-indoor-small"])
def test_as_it_opens_by_itself_it_is_near(model):
    """bfloat16 where the CPU has it: eight bits of a number."""
    graph = find_checkpoint(model) / "model.onnx"
    engine, picture = OpenVinoEngine(graph), next(check_pictures())
    assert engine.precision in engine.name
    ratio = engine(picture) / OnnxEngine(graph)(picture)
    assert np.abs(np.log(ratio)).mean() < 0.02


def test_photos_side_by_side_are_not_mixed_up(published):
    engine = OpenVinoEngine(published / "model.onnx", threads=1)
    pictures = list(check_pictures()) * 4
    alone = [engine(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(engine, pictures), strict=True):
            np.testing.assert_array_equal(one, other)


def test_the_first_picture_is_answered_alone(published, monkeypatch):
    """Two first ones at once stop for ever, now and then, inside OpenVINO."""
    engine, at_once, most = OpenVinoEngine(published / "model.onnx", threads=1), [], []
    answer = engine.answer

    def watched(picture):
        at_once.append(picture)
        if not engine.has_answered:
            most.append(len(at_once))
        depth_m = answer(picture)
        at_once.pop()
        return depth_m

    monkeypatch.setattr(engine, "answer", watched)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(engine, list(check_pictures()) * 4))
    assert most == [1]


def test_it_has_to_be_asked_for(published, trained_run):
    assert isinstance(load_predictor(published, "openvino").engine, OpenVinoEngine)
    assert isinstance(load_predictor(published, device="cpu").engine, OnnxEngine)
    with pytest.raises(HqmdError, match="on the CPU, not on cuda"):
        load_predictor(published, "openvino", "cuda")
    with pytest.raises(HqmdError, match=r"no model\.onnx; `hqmd export` makes one"):
        load_predictor(trained_run / "best", "openvino")
    with pytest.raises(HqmdError, match="--compile is for torch"):
        load_predictor(published, "openvino", compiled=True)


def test_weights_that_are_gone_are_missed(published, tmp_path):
    copy = shutil.copytree(published, tmp_path / "copy")
    (copy / "model.safetensors").unlink()
    with pytest.raises(HqmdError, match=r"OpenVINO cannot open it"):
        OpenVinoEngine(copy / "model.onnx")


PREDICT = """
import atexit, sys
sys.modules.update(dict.fromkeys({missing!r}))  # None: cannot be imported
atexit.register(lambda: print([m for m in ("torch", "timm", "torchvision") if m in sys.modules]))
sys.argv = ["hqmd", "predict", {photo!r}, "-o", {output!r}, "--backend", "openvino", "--model", {model!r}]
from hqmd_cli.app import main
main()
"""


def predict(published, photo, output, *missing: str) -> subprocess.CompletedProcess:
    code = PREDICT.format(missing=missing, photo=str(photo), output=str(output), model=str(published))
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_predict_imports_no_torch_and_says_what_computed(published, photo, tmp_path):
    done = predict(published, photo, tmp_path / "d.npy")
    assert done.returncode == 0 and "OpenVINO on the CPU" in done.stderr, done.stderr
    assert done.stdout.splitlines()[-1] == "[]" and np.load(tmp_path / "d.npy").min() > 0


def test_where_it_is_not_installed_it_says_how_to(published, photo, tmp_path):
    done = predict(published, photo, tmp_path / "d.npy", "openvino")
    assert done.returncode == 1 and "pip install 'hqmd[openvino]'" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr and not (tmp_path / "d.npy").exists()
