"""The network in OpenVINO says what it says in ONNX Runtime, from any thread, and without torch."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
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

import openvino

from hqmd_cli.engines import compiled
from hqmd_cli.engines.openvino_engine import OpenVinoEngine


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory) -> Iterator[Path]:
    """A cache of these tests' own."""
    with pytest.MonkeyPatch.context() as patch:
        folder = tmp_path_factory.mktemp("home")
        patch.setenv("HQMD_HOME", str(folder))
        yield folder


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


class Compiled:
    """Whether OpenVINO had to compile, and how often."""

    def __init__(self, monkeypatch) -> None:
        self.times = 0
        compile_model = openvino.Core.compile_model

        def counted(*args):
            self.times += 1
            return compile_model(*args)

        monkeypatch.setattr(openvino.Core, "compile_model", counted)


def add_to_weight(weights: Path, name: str, summand: float) -> None:
    """Change one number in a safetensors file, in its place."""
    content = bytearray(weights.read_bytes())
    data = 8 + int.from_bytes(content[:8], "little")
    entry = json.loads(content[8:data])[name]
    place = slice(*(data + offset for offset in entry["data_offsets"]))
    number = np.frombuffer(content[place], {"F16": np.float16, "F32": np.float32}[entry["dtype"]]).copy()
    number += summand
    content[place] = number.tobytes()
    weights.write_bytes(content)


def test_what_was_compiled_is_used_again_until_graph_weights_or_settings_change(published, tmp_path, monkeypatch):
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    count, picture = Compiled(monkeypatch), next(check_pictures())
    copy = shutil.copytree(published, tmp_path / "copy")
    first, second = (OpenVinoEngine(copy / "model.onnx", precision="fp32")(picture) for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert count.times == 1
    OpenVinoEngine(copy / "model.onnx", 1, "fp32")
    assert count.times == 2
    add_to_weight(copy / "model.safetensors", "decoder.logits.bias", 0.5)  # all depth is e^0.5 times as far
    farther = OpenVinoEngine(copy / "model.onnx", precision="fp32")(picture)
    assert count.times == 3
    np.testing.assert_allclose(farther / first, np.exp(0.5), rtol=1e-3)


def test_a_damaged_cache_and_one_that_cannot_be_written_are_gone_around(published, tmp_path, monkeypatch):
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "home"))
    count = Compiled(monkeypatch)
    OpenVinoEngine(published / "model.onnx")
    (kept,) = (tmp_path / "home" / "openvino").iterdir()
    content = bytearray(kept.read_bytes())
    content[len(content) // 2] ^= 1
    kept.write_bytes(content)
    OpenVinoEngine(published / "model.onnx")
    assert count.times == 2
    kept.write_bytes(hashlib.sha256(b"no network").digest() + b"no network")
    OpenVinoEngine(published / "model.onnx")
    assert count.times == 3
    (tmp_path / "file").touch()
    monkeypatch.setenv("HQMD_HOME", str(tmp_path / "file"))
    assert OpenVinoEngine(published / "model.onnx")(next(check_pictures())).min() > 0


def test_only_the_newest_are_kept(tmp_path):
    for number in range(compiled.KEPT + 2):
        compiled.keep(tmp_path / f"{number}.compiled", b"network")
        os.utime(tmp_path / f"{number}.compiled", (number, number))
    compiled.keep(tmp_path / "last.compiled", b"network")
    assert compiled.kept(tmp_path / "last.compiled") == b"network"
    assert len(list(tmp_path.iterdir())) == compiled.KEPT


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
