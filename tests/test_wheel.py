"""An installed wheel finds the bundled weights as well as a checkout does."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.reporting.html.page import SCRIPT, STYLE, TEMPLATE

ROOT = Path(__file__).parents[1]


@pytest.mark.slow
def test_predict_from_a_wheel_outside_the_repository(tmp_path, photo, run_hqmd):
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", tmp_path, ROOT]
    subprocess.run(list(map(str, build)), check=True, capture_output=True)
    (wheel,) = tmp_path.glob("hqmd-*.whl")
    site = tmp_path / "site"
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(site)
    env = {"PYTHONPATH": str(site), "PYTHONSAFEPATH": "1"}
    result = run_hqmd("predict", photo, "-o", "depth.png", "--model", DEFAULT_MODEL, env=env, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "depth.png").is_file()
    assert (site / "hqmd_cli" / "checkpoints" / "catalogue.toml").is_file()
    assert (site / "hqmd_cli" / "weights" / DEFAULT_MODEL / "model.safetensors").is_file()
    assert all((site / "hqmd_cli" / "reporting" / "html" / name).is_file() for name in (TEMPLATE, STYLE, SCRIPT))
