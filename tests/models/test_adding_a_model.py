"""docs/adding_a_model.md is followed to the letter, on a copy of the package."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding_a_model.md").read_text(encoding="utf-8")
BLOCKS = re.compile(r"^\d\. (?P<step>.+?):\n\n```(?P<kind>\w+)\n(?P<text>.*?)```", re.DOTALL | re.MULTILINE)
CREATED = re.compile(r"Write `(?P<file>[\w./]+)`")
EXTENDED = re.compile(r"Add one line to `(?P<name>\w+)` in `(?P<file>[\w./]+)`")

Run = Callable[..., subprocess.CompletedProcess]


def follow(checkout: Path) -> list[str]:
    """Do what the page says to the files; returns its shell lines."""
    lines: list[str] = []
    for block in BLOCKS.finditer(PAGE):
        if created := CREATED.search(block["step"]):
            file = checkout / created["file"]
            assert not file.exists()
            file.write_text(block["text"], encoding="utf-8")
        elif extended := EXTENDED.search(block["step"]):
            assert block["text"].count("\n") == 1  # one line is promised
            file, start = checkout / extended["file"], f"{extended['name']} = {{\n"
            text = file.read_text(encoding="utf-8")
            assert text.count(start) == 1
            file.write_text(text.replace(start, start + block["text"]), encoding="utf-8")
        else:
            assert block["kind"] == "sh"
            lines += block["text"].splitlines()
    return lines


@pytest.fixture
def checkout(tmp_path: Path, pairs: Path) -> Path:
    """What a developer has: the package, the tests, the bundled models; and pairs/ (made by the fixture)."""
    for name in ("hqmd_cli", "tests"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    (tmp_path / "weights").symlink_to(ROOT / "weights")
    return tmp_path


def test_the_page_has_one_file_one_line_and_a_line_for_each_command() -> None:
    steps = [block["step"] for block in BLOCKS.finditer(PAGE)]
    assert [bool(CREATED.search(step)) for step in steps] == [True, False, False]
    assert [bool(EXTENDED.search(step)) for step in steps] == [False, True, False]
    assert len(re.findall("^```\\w", PAGE, re.MULTILINE)) == len(steps)  # no block is left out


@pytest.mark.slow
@pytest.mark.long
def test_the_page_followed_to_the_letter(checkout: Path, run_hqmd: Run) -> None:
    lines = follow(checkout)
    here = {"PYTHONPATH": str(checkout)}
    said: dict[str, str] = {}
    for line in lines:
        program, *words = shlex.split(line)
        if program == "pytest":
            command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", *words]
            env = {**os.environ, **here, "PYTEST_ADDOPTS": "-n 0"}  # starting workers takes longer than these tests
            done = subprocess.run(command, cwd=checkout, env=env, capture_output=True, text=True)
        else:
            done = run_hqmd(*words, env=here, cwd=checkout)
        assert done.returncode == 0, f"{line}\n{done.stdout}\n{done.stderr}"
        said[words[0]] = done.stdout
    assert "Nobody et al. 2026" in said["models"]
    assert "runs/toy/best" in said["evaluate"] + said["compare"] and "hqmd-indoor-small" in said["compare"]
    passed = re.search(r"(\d+) passed", said["tests/models/test_systems.py"])
    assert passed and int(passed[1]) >= 8
    assert (checkout / "hqmd_cli" / "models" / "toy.py").is_file() and not (ROOT / "hqmd_cli/models/toy.py").exists()

    config = json.loads((checkout / "runs" / "toy" / "best" / "config.json").read_text(encoding="utf-8"))
    assert (config["model"]["system"], config["training"]["epochs"], config["training"]["lr"]) == ("toy", 10, 1e-2)
    session = onnxruntime.InferenceSession(checkout / "toy.onnx")
    (depth_m,) = session.run(None, {"rgb": np.full((1, 50, 70, 3), 128, np.uint8)})
    assert depth_m.shape[-2:] == (50, 70) and depth_m.min() > 0
