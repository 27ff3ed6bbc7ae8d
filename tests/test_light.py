"""hqmd-light: its metadata follow hqmd's; without torch and Matplotlib, commands work or say what to install."""

import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from hqmd_cli.installed import EXTRAS, how_to_install

ROOT = Path(__file__).parents[1]
LIGHT = ROOT / "packaging" / "light"
NOT_IN_LIGHT = ("torch", "torchvision", "timm", "accelerate", "safetensors", "psutil", "matplotlib")
# As in an environment without these packages: find_spec finds none, and importing one fails.
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({NOT_IN_LIGHT})); from hqmd_cli.app import main; main()"


@pytest.fixture
def light(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run hqmd in an empty folder, as in an environment that has only what hqmd-light requires."""
    (tmp_path / "desk").mkdir()

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", WITHOUT, *map(str, words)]
        return subprocess.run(command, cwd=tmp_path / "desk", capture_output=True, text=True, check=False, timeout=120)

    return run


def metadata() -> tuple[dict, dict]:
    """Return the project tables of hqmd and of hqmd-light."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return project, runpy.run_path(str(LIGHT / "hatch_build.py"))["light"](project, EXTRAS)


def test_light_requires_what_hqmd_does_without_the_heavy_ones() -> None:
    project, light = metadata()
    heavy = light["optional-dependencies"]["torch"] + light["optional-dependencies"]["picture"]
    same = [line for line in light["dependencies"] if line in project["dependencies"]]
    assert {line.partition(">=")[0] for line in heavy} == set(NOT_IN_LIGHT)
    assert set(light["dependencies"]) - set(same) == {"opencv-python-headless>=4.12"}
    assert len(light["dependencies"]) + len(heavy) == len(project["dependencies"])
    assert light["scripts"] == project["scripts"]


def test_light_has_the_extras_of_hqmd_and_those_that_need_torch_bring_it() -> None:
    project, light = metadata()
    extras = light["optional-dependencies"]
    assert set(extras) == set(project["optional-dependencies"]) - {"dev", "docs"}
    assert all(set(extras["torch"]) <= set(extras[name]) for name in ("export", "hub"))
    assert not any(line.startswith("hqmd") for lines in extras.values() for line in lines)


@pytest.mark.slow
def test_predict_evaluate_and_compare_work(light: Callable, pairs: Path, photo: Path, tmp_path: Path) -> None:
    done = light("predict", photo, *(word for name in ("d.png", "d.glb", "d.ply", "d.npz") for word in ("-o", name)))
    assert done.returncode == 0, done.stderr
    done = light("evaluate", "--data", pairs, "--split", "val", "--report", "report", "--per-picture", "p.csv")
    assert done.returncode == 0, done.stderr
    done = light("compare", "hqmd-indoor", "hqmd-indoor-small", "--data", pairs, "--split", "val", "-o", "table.md")
    assert done.returncode == 0, done.stderr
    desk = tmp_path / "desk"
    written = {path.name for path in desk.iterdir()}
    assert written >= {"d.png", "d.glb", "d.ply", "d.npz", "report", "p.csv", "table.md"}
    assert (desk / "report" / "report.html").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("words", "package"),
    [
        ("train --data PAIRS", "torch"),
        ("export hqmd-indoor -o mine", "torch"),
        ("merge hqmd-indoor hqmd-indoor-small -o mine", "torch"),
        ("predict PHOTO -o d.png --backend torch", "torch"),
        ("compare hqmd-indoor --data PAIRS --split val --picture grid.png", "matplotlib"),
    ],
)
def test_what_needs_more_says_so_in_one_line(
    light: Callable, pairs: Path, photo: Path, tmp_path: Path, words: str, package: str
) -> None:
    done = light(*words.replace("PAIRS", str(pairs)).replace("PHOTO", str(photo)).split())
    assert done.returncode == 1 and done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.endswith(f" needs {package}; {how_to_install(package)}")
    assert list((tmp_path / "desk").iterdir()) == []


def test_models_lists_everything(light: Callable) -> None:
    done = light("models")
    assert (done.returncode, done.stderr) == (0, "")
    assert all(name in done.stdout for name in ("hqmd-indoor-small", "da2-small", "eigen2014"))
    done = light("models", "--time")
    assert done.returncode == 1 and done.stderr == f"hqmd: --time needs torch; {how_to_install('torch')}\n"


def test_help_and_info_need_nothing(light: Callable) -> None:
    assert light("train", "--help").returncode == 0
    assert light("info", "hqmd-indoor").returncode == 0
