"""ONNX Runtime takes the cores that it may use, prints nothing of its own, and reports to nobody."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from hqmd_cli.checkpoints.hub import find_checkpoint
from hqmd_cli.inference.engines.onnx import OnnxEngine
from hqmd_cli.parallel import processes

PACKAGE = Path(processes.__file__).parents[1]
GRAPH = find_checkpoint("hqmd-indoor-small") / "model.onnx"
# Prints as ONNX Runtime 1.24 does where /sys/class/drm lists a screen without a GPU, and gives way to the real one.
LOUD = """
import os, sys
os.write(2, b"[W:onnxruntime:Default, device_discovery.cc] GPU device discovery failed\\n")
sys.path.remove(os.path.dirname(os.path.dirname(__file__)))
del sys.modules["onnxruntime"]
import onnxruntime
"""
AS_THE_COMMAND_LINE = """
import os
from hqmd_cli.terminal.streams import use_printable_streams
use_printable_streams()
from hqmd_cli.inference.engines.onnx_runtime import onnxruntime
print(onnxruntime.get_available_providers()[-1], os.environ["ORT_DISABLE_TELEMETRY"])
os.write(2, b"later lines are seen")
"""


def threads_of(engine: OnnxEngine) -> int:
    return engine.session.get_session_options().intra_op_num_threads


def test_a_quota_of_one_core_is_one_thread(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "cpu.max").write_text("100000 100000\n", "utf-8")
    monkeypatch.setattr(processes, "CGROUPS", tmp_path)
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    assert threads_of(OnnxEngine(GRAPH)) == 1
    assert threads_of(OnnxEngine(GRAPH, threads=3)) == 3  # what the caller says holds


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="no sets of cores here")
def test_bound_to_one_core_it_has_one_thread_and_says_nothing(tmp_path: Path) -> None:
    """As under `taskset -c 0`."""
    code = (
        f"import os; os.sched_setaffinity(0, {{{min(os.sched_getaffinity(0))}}}); from pathlib import Path; "
        "from hqmd_cli.inference.engines.onnx import OnnxEngine; "
        f"engine = OnnxEngine(Path({str(GRAPH)!r})); "
        "print(engine.session.get_session_options().intra_op_num_threads, os.cpu_count())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    threads, cores = map(int, done.stdout.split())
    assert threads == (1 if cores > 1 else 0) and done.stderr == ""


def test_its_import_prints_nothing_and_leaves_nothing_at_home(tmp_path: Path) -> None:
    (tmp_path / "stub" / "onnxruntime").mkdir(parents=True)
    (tmp_path / "stub" / "onnxruntime" / "__init__.py").write_text(LOUD, "utf-8")
    (tmp_path / "home").mkdir()
    path = os.pathsep.join([str(tmp_path / "stub"), str(PACKAGE.parent), os.environ.get("PYTHONPATH", "")])
    env = {name: value for name, value in os.environ.items() if not name.startswith("ORT_")}
    env |= {"PYTHONPATH": path, "HOME": str(tmp_path / "home"), "USERPROFILE": str(tmp_path / "home")}
    command = [sys.executable, "-c", AS_THE_COMMAND_LINE]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "CPUExecutionProvider 1\n" and done.stderr == "later lines are seen"
    assert list((tmp_path / "home").iterdir()) == []


def test_nothing_else_imports_it() -> None:
    """Whatever imports it first decides if it prints and reports. Quantizing comes after, in a function."""
    importing = re.compile(r"^(import|from) onnxruntime", re.MULTILINE)
    found = [path.name for path in PACKAGE.rglob("*.py") if importing.search(path.read_text("utf-8"))]
    assert found == []
    imports = re.compile(r"^ +(import|from) onnxruntime", re.MULTILINE)
    found = [path.name for path in PACKAGE.rglob("*.py") if imports.search(path.read_text("utf-8"))]
    assert sorted(found) == ["onnx_runtime.py", "quantize.py"]
