"""hqmd-light: its metadata follow hqmd's; without torch and Matplotlib, commands work or say what to install."""

import json
import runpy
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from conftest import write_pairs
from hqmd_cli.installed import EXTRAS, how_to_install

ROOT = Path(__file__).parents[1]
LIGHT = ROOT / "packaging" / "light"
NOT_IN_LIGHT = ("torch", "torchvision", "timm", "accelerate", "safetensors", "psutil", "matplotlib")
# As in an environment without these packages: find_spec finds none, and importing one fails.
WITHOUT = f"import sys; sys.modules.update(dict.fromkeys({NOT_IN_LIGHT})); from hqmd_cli.app import main"
RUN_EACH = f"""{WITHOUT}
import contextlib, io, json
for words in json.loads(sys.argv[1]):
    sys.argv, code = ["hqmd", *words], 0
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        try:
            main()
        except SystemExit as stop:
            code = stop.code or 0
    print(json.dumps([code, out.getvalue(), err.getvalue()]))
"""
NEEDS_MORE = [
    ("train --data PAIRS", "torch"),
    ("export hqmd-indoor -o mine", "torch"),
    ("merge hqmd-indoor hqmd-indoor-small -o mine", "torch"),
    ("predict PHOTO -o d.png --backend torch", "torch"),
    ("compare hqmd-indoor --data PAIRS --split val --picture grid.png", "matplotlib"),
]


class Told(NamedTuple):
    """How a command ended and what it said."""

    code: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def light(tmp_path_factory: pytest.TempPathFactory, photo: Path) -> Iterator[Callable[..., list[Told]]]:
    """Run commands in one process, in an empty folder, as in an environment with only what hqmd-light requires."""
    desk = tmp_path_factory.mktemp("light")
    pairs = write_pairs(desk / "pairs")

    def run(*commands: str) -> list[Told]:
        given = [line.replace("PAIRS", str(pairs)).replace("PHOTO", str(photo)).split() for line in commands]
        process = [sys.executable, "-c", RUN_EACH, json.dumps(given)]
        done = subprocess.run(process, cwd=desk, capture_output=True, text=True, check=False, timeout=240)
        assert done.returncode == 0, done.stderr
        return [Told(*json.loads(line)) for line in done.stdout.splitlines()]

    yield run
    assert [path.name for path in desk.iterdir()] == ["pairs"]  # nothing was written where a command was refused


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
def test_predict_evaluate_and_compare_work(light: Callable, tmp_path: Path) -> None:
    names = [tmp_path / name for name in ("d.png", "d.glb", "d.ply", "d.npz")]
    report, each, table = tmp_path / "report", tmp_path / "p.csv", tmp_path / "table.md"
    told = light(
        f"predict PHOTO {' '.join(f'-o {name}' for name in names)}",
        f"evaluate --data PAIRS --split val --report {report} --per-picture {each}",
        f"compare hqmd-indoor hqmd-indoor-small --data PAIRS --split val -o {table}",
    )
    assert [done.code for done in told] == [0, 0, 0], told
    assert all(path.exists() for path in (*names, report, each, table))
    assert (report / "report.html").stat().st_size > 10_000


def test_what_needs_more_says_so_in_one_line_and_the_rest_works(light: Callable) -> None:
    lists, timed, helped, about, *told = light(
        "models", "models --time", "train --help", "info hqmd-indoor", *(line for line, _ in NEEDS_MORE)
    )
    for done, (line, package) in zip(told, NEEDS_MORE, strict=True):
        assert (done.code, done.stdout) == (1, ""), line
        assert done.stderr.endswith(f" needs {package}; {how_to_install(package)}\n") and done.stderr.count("\n") == 1
    assert (lists.code, lists.stderr) == (0, "")
    assert all(name in lists.stdout for name in ("hqmd-indoor-small", "da2-small", "eigen2014"))
    assert (timed.code, timed.stderr) == (1, f"hqmd: --time needs torch; {how_to_install('torch')}\n")
    assert (helped.code, about.code) == (0, 0)
