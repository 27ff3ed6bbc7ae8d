"""Both wheels, built and tried as users install them: in an environment of their own, outside the repository.

`pytest -n 0 -s -m "slow or long" tests/test_wheels.py` prints times and sizes. The long ones need an index; the one of
hqmd itself brings torch.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hqmd_cli import __version__

ROOT = Path(__file__).parents[1]
MOST_MB = 100  # of a wheel, the limit of the index
MOST_LIGHT_MB = 500  # installed, with all that it requires, without pip
BUILD = (sys.executable, "-m", "hatchling", "build", "-t")
NOT_IN_LIGHT = {"torch", "torchvision", "timm", "accelerate", "matplotlib", "safetensors", "psutil"}
SHOW_IMPORTS = (
    "import sys, atexit; atexit.register(lambda: print(*sorted({m.partition('.')[0] for m in sys.modules}),"
    " file=open('imported.txt', 'w'))); from hqmd_cli.app import main; sys.argv[0] = 'hqmd'; main()"
)


class Place(NamedTuple):
    """An environment, and the folder to work in."""

    python: Path
    desk: Path

    def run(self, *words: object, **options: object) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment, which sees nothing of the repository."""
        env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
        program = shutil.which(str(words[0]), path=str(self.python.parent))
        command = [program or str(words[0]), *map(str, words[1:])]
        options = {"cwd": self.desk, "env": env, "timeout": 900} | options
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]

    def hqmd(self, *words: object, **options: object) -> "subprocess.CompletedProcess[str]":
        done = self.run("hqmd", *words, **options)
        assert done.returncode == 0, f"hqmd {words}: {done.stderr}"
        return done


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels by name, and `from sdist`: one that was built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([*BUILD, "wheel", "-t", "sdist", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    light = [*BUILD, "wheel", "-d", str(folder)]
    subprocess.run(light, cwd=ROOT / "packaging" / "light", check=True, capture_output=True)
    (sdist,) = folder.glob("hqmd-*.tar.gz")
    shutil.unpack_archive(sdist, folder, filter="data")
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    subprocess.run([*BUILD, "wheel", "-d", str(folder / "again")], cwd=unpacked, check=True, capture_output=True)
    made = {
        "hqmd": f"hqmd-{__version__}-py3-none-any.whl",
        "hqmd-light": f"hqmd_light-{__version__}-py3-none-any.whl",
        "from sdist": f"again/hqmd-{__version__}-py3-none-any.whl",
    }
    return {name: folder / file for name, file in made.items()}


def content(wheel: Path) -> set[str]:
    """Names of the package's files in a wheel."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if name.startswith("hqmd_cli/")}


@pytest.mark.slow
@pytest.mark.skipif(not (ROOT / ".git").exists(), reason="git lists what a wheel must hold")
def test_the_wheels_hold_all_files_of_the_package(wheels: dict[str, Path]) -> None:
    """A clone would hide what a wheel lacks."""
    listed = subprocess.check_output(["git", "ls-files", "hqmd_cli", "weights"], cwd=ROOT, text=True).split()
    expected = {re.sub("^weights/", "hqmd_cli/weights/", name) for name in listed}
    assert content(wheels["hqmd"]) >= expected
    assert content(wheels["from sdist"]) == content(wheels["hqmd"])
    assert content(wheels["hqmd-light"]) == content(wheels["hqmd"]) | {"hqmd_cli/LICENSE"}
    for name, wheel in wheels.items():
        print(f"{name}: {wheel.stat().st_size / 1e6:.1f} MB")
        assert wheel.stat().st_size < MOST_MB * 1e6


@pytest.fixture(scope="module")
def place(request: pytest.FixtureRequest, wheels: dict[str, Path]) -> Iterator[Place]:
    """A new environment with one of the wheels; /tmp, because another user must be able to enter it."""
    name = request.param
    top = Path(tempfile.mkdtemp(prefix="hqmd-wheel-"))
    top.chmod(0o755)
    try:
        began, used = time.perf_counter(), os.times()
        venv.create(top / "env", with_pip=True)
        python = top / "env" / ("Scripts" if os.name == "nt" else "bin") / "python"
        here = Place(python, top / "desk")
        here.desk.mkdir()
        shutil.copyfile(ROOT / "examples" / "astronaut.jpg", here.desk / "photo.jpg")
        done = here.run(python, "-m", "pip", "install", "-q", wheels[name])
        assert done.returncode == 0, done.stderr
        here.hqmd("predict", "photo.jpg", "-o", "first.png")
        after = os.times()
        cpu = after.children_user + after.children_system - used.children_user - used.children_system
        size = sum(path.lstat().st_size for path in (top / "env").rglob("*") if "pip" not in path.parts)
        print(
            f"\n{name}: installed and predicted in {time.perf_counter() - began:.0f} s, {cpu:.0f} s of CPU time; "
            f"{size / 1e6:.0f} MB"
        )
        if name == "hqmd-light":
            assert size < MOST_LIGHT_MB * 1e6
        yield here
    finally:
        shutil.rmtree(top)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", ["hqmd-light", "hqmd"], indirect=True)
def test_the_commands_work_as_installed(place: Place, pairs: Path, request: pytest.FixtureRequest) -> None:
    is_light = "hqmd-light" in request.node.name
    done = place.hqmd("predict", "photo.jpg", "-o", "d.png", "-o", "d.mm.png", "-o", "d.glb", "-o", "d.ply")
    assert not [line for line in done.stderr.splitlines() if "onnxruntime" in line.lower() and "hqmd" not in line]
    data = ("--data", pairs, "--split", "val")
    place.hqmd("evaluate", *data, "--report", "report")
    place.hqmd("compare", "hqmd-indoor", "hqmd-indoor-small", *data, "-o", "table.md")
    trained = place.run(
        "hqmd", "train", "--data", pairs, "-o", "run", "--epochs", "1", "--size", "32x48", "--batch-size", "2",
        "--backbone", "test_efficientnet", "--backbone-weights", "none", "--workers", "0",
    )  # fmt: skip
    assert trained.returncode == (1 if is_light else 0), trained.stderr
    if is_light:
        assert re.fullmatch(r"hqmd: hqmd train needs torch; pip install \S*hqmd_light\S*\[torch\]'?\n", trained.stderr)
    assert place.hqmd("models").stdout and place.hqmd("info", "hqmd-indoor").stdout
    first, *_ = place.hqmd("--version").stdout.splitlines()
    assert first == f"{'hqmd-light' if is_light else 'hqmd'} {__version__}"
    page = (place.desk / "report" / "report.html").read_text("utf-8")
    assert "<style" in page and "<script" in page
    assert place.run(place.python, "-m", "pip", "check").stdout.startswith("No broken requirements")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", ["hqmd-light"], indirect=True)
def test_what_light_imports_for_a_predict(place: Place) -> None:
    done = place.run(place.python, "-c", SHOW_IMPORTS, "predict", "photo.jpg", "-o", "seen.glb")
    assert done.returncode == 0, done.stderr
    imported = set((place.desk / "imported.txt").read_text("utf-8").split())
    print("\nimported for .glb:", *sorted(imported - sys.stdlib_module_names))
    assert not imported & NOT_IN_LIGHT


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.name == "nt", reason="the remedy is for Unix shells")
@pytest.mark.parametrize("place", ["hqmd-light"], indirect=True)
def test_the_remedy_for_two_opencvs_leaves_one_that_works(place: Place) -> None:
    """Removing one of the two takes the files of the other along; the printed command does not."""
    assert place.run(place.python, "-m", "pip", "install", "-q", "--no-deps", "opencv-python").returncode == 0
    *_, clash = place.hqmd("--version").stdout.splitlines()
    said, _, remedy = clash.partition("; to keep opencv-python-headless: ")
    assert said == "opencv-python-headless and opencv-python overwrite each other's files"
    path = f"{place.python.parent}{os.pathsep}{os.environ['PATH']}"
    done = place.run("sh", "-c", remedy, env={"PATH": path, "HOME": str(place.desk)})
    assert done.returncode == 0, done.stderr
    assert place.run(place.python, "-c", "import cv2; print(cv2.__version__)").returncode == 0
    assert "overwrite" not in place.hqmd("--version").stdout


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs to become another user")
@pytest.mark.parametrize("place", ["hqmd-light"], indirect=True)
def test_as_in_the_image_a_user_without_name_and_home(place: Place) -> None:
    """docker/Dockerfile: no package of apt, no libGL, any user, and a folder that this user may not write to."""
    recipe = (ROOT / "docker" / "Dockerfile").read_text("utf-8")
    assert "packaging/light" in recipe and "apt-get" not in recipe
    libraries = subprocess.run(
        ["ldd", *map(str, place.python.parents[1].rglob("cv2*.so"))], capture_output=True, text=True, check=True
    ).stdout
    assert "libGL" not in libraries and "not found" not in libraries
    (home,) = re.findall(r"HQMD_HOME=(\S+)", recipe)
    nobody = {"user": 12345, "group": 12345, "env": {"PATH": str(place.python.parent), "HQMD_HOME": home}}
    done = place.run("hqmd", "predict", "photo.jpg", "-o", "x.png", **nobody)
    assert done.returncode == 1
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("hqmd: ")]
    assert "x.png" in line and "Permission denied" in line and "-o" in line
    mine = place.desk / "mine"
    mine.mkdir()
    os.chown(mine, 12345, 12345)
    place.hqmd("predict", "photo.jpg", "-o", "mine/x.png", **nobody)
    place.hqmd("info", **nobody | {"env": {"PATH": str(place.python.parent)}})
