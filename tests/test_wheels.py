"""Both wheels, built and tried as users install them: in an environment of their own, outside the repository.

`pytest -n 0 -s -m "slow or long" tests/test_wheels.py` prints times and sizes. The long ones need an index; the one of
hqmd itself brings torch, those with uv need it on the PATH.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request
import venv
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from hqmd_cli import __version__
from served import STARTED

ROOT = Path(__file__).parents[1]
NO_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # HTTP_PROXY would catch calls to localhost
MOST_MB = 100  # of a wheel, the limit of the index
MOST_LIGHT_MB = 500  # installed, with all that it requires, without pip
BUILD = (sys.executable, "-m", "hatchling", "build", "-t")
NOT_IN_LIGHT = {"torch", "torchvision", "timm", "accelerate", "matplotlib", "safetensors", "psutil"}
SHOW_IMPORTS = (
    "import sys, atexit; atexit.register(lambda: print(*sorted({m.partition('.')[0] for m in sys.modules}),"
    " file=open('imported.txt', 'w'))); from hqmd_cli.app import main; sys.argv[0] = 'hqmd'; main()"
)


def elsewhere(**more: str) -> dict[str, str]:
    """Return this process's environment without what leads to the repository, and with `more`."""
    return {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")} | more


def load() -> str:
    """Say how busy the machine is: a time in seconds means little without."""
    return (
        f"a load of {os.getloadavg()[0]:.0f} on {os.cpu_count()} cores" if hasattr(os, "getloadavg") else "unknown load"
    )


class Place(NamedTuple):
    """An environment, and the folder to work in."""

    python: Path
    desk: Path

    def run(self, *words: object, **options: object) -> "subprocess.CompletedProcess[str]":
        """Run a program of the environment, which sees nothing of the repository."""
        program = shutil.which(str(words[0]), path=str(self.python.parent))
        command = [program or str(words[0]), *map(str, words[1:])]
        options = {"cwd": self.desk, "env": elsewhere(), "timeout": 900} | options
        return subprocess.run(command, capture_output=True, text=True, check=False, **options)  # type: ignore[call-overload]

    def hqmd(self, *words: object, **options: object) -> "subprocess.CompletedProcess[str]":
        done = self.run("hqmd", *words, **options)
        assert done.returncode == 0, f"hqmd {words}: {done.stderr}"
        return done


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The wheels by name, and `... from sdist`: those that were built from the sdist."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([*BUILD, "wheel", "-t", "sdist", "-d", str(folder)], cwd=ROOT, check=True, capture_output=True)
    light = [*BUILD, "wheel", "-d"]
    subprocess.run([*light, str(folder)], cwd=ROOT / "packaging" / "light", check=True, capture_output=True)
    (sdist,) = folder.glob("hqmd-*.tar.gz")
    shutil.unpack_archive(sdist, folder)  # our own; `filter` is for others' and needs Python 3.11.4
    unpacked = folder / sdist.name.removesuffix(".tar.gz")
    for source in (unpacked, unpacked / "packaging" / "light"):
        subprocess.run([*light, str(folder / "again")], cwd=source, check=True, capture_output=True)
    made = {
        "hqmd": f"hqmd-{__version__}-py3-none-any.whl",
        "hqmd-light": f"hqmd_light-{__version__}-py3-none-any.whl",
        "hqmd from sdist": f"again/hqmd-{__version__}-py3-none-any.whl",
        "hqmd-light from sdist": f"again/hqmd_light-{__version__}-py3-none-any.whl",
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
    assert {Path(name).suffix for name in expected} >= {".py", ".css", ".js", ".jinja", ".csv", ".json", ".onnx"}
    assert content(wheels["hqmd from sdist"]) == content(wheels["hqmd"])
    assert content(wheels["hqmd-light"]) == content(wheels["hqmd"]) | {"hqmd_cli/LICENSE"}
    assert content(wheels["hqmd-light from sdist"]) == content(wheels["hqmd-light"])
    for name, wheel in wheels.items():
        print(f"{name}: {wheel.stat().st_size / 1e6:.1f} MB")
        assert wheel.stat().st_size < MOST_MB * 1e6


@pytest.mark.slow
@pytest.mark.parametrize("name", ["hqmd", "hqmd-light", "hqmd from sdist", "hqmd-light from sdist"])
def test_predict_and_report_from_each_wheel(
    name: str, wheels: dict[str, Path], photo: Path, pairs: Path, tmp_path: Path
) -> None:
    """Outside the repository, with the weights, pages and tables that lie in the wheel."""
    site = tmp_path / "site"
    with zipfile.ZipFile(wheels[name]) as archive:
        archive.extractall(site)
        (about,) = [member for member in archive.namelist() if member.endswith(".dist-info/METADATA")]
        metadata = archive.read(about).decode("utf-8")
    assert "\nLicense-Expression: Apache-2.0 AND LicenseRef-hqmd-weights\n" in metadata
    code = f"import sys; sys.path.insert(0, {str(site)!r}); sys.argv[0] = 'hqmd'; from hqmd_cli.app import run; run()"
    words = ["predict", photo, "-o", "depth.png", "--model", "hqmd-indoor-small"]
    scored = ["evaluate", "--model", "hqmd-indoor-small", "--data", pairs, "--split", "val", "--report", "r"]
    for command in (words, scored):
        shell = [sys.executable, "-P", "-c", code, *map(str, command)]
        done = subprocess.run(shell, cwd=tmp_path, env=elsewhere(), capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    assert (tmp_path / "depth.png").is_file() and (tmp_path / "r" / "report.html").is_file()
    shutil.rmtree(site)


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
            f"\n{name}: installed and predicted in {time.perf_counter() - began:.0f} s, {cpu:.0f} s of CPU time, "
            f"with {load()}; {size / 1e6:.0f} MB"
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
def test_light_serves_with_its_extra(place: Place, wheels: dict[str, Path]) -> None:
    """The page with all that it loads, and depth, from the wheel and what `[serve]` brings."""
    done = place.run(place.python, "-m", "pip", "install", "-q", f"{wheels['hqmd-light']}[serve]")
    assert done.returncode == 0, done.stderr
    command = [place.python, "-m", "hqmd_cli", "serve", "--port", "0"]
    server = subprocess.Popen(command, cwd=place.desk, env=elsewhere(), stderr=subprocess.PIPE, text=True)
    try:
        assert server.stderr
        port = int(STARTED.search(server.stderr.readline())[3])

        def get(path: str, photo: bytes | None = None) -> bytes:
            return NO_PROXY.open(f"http://localhost:{port}/{path}", photo, timeout=120).read()

        assert get("healthz") == b"ok\n"
        files = re.findall(rb'(?:href|src)="([\w.]+)"', get(""))
        while files:  # and what these import
            found = get((name := files.pop()).decode())
            assert found, name
            files += re.findall(rb'^import .* from "./([\w.]+)"', found, re.MULTILINE)
        assert get("v1/depth", (place.desk / "photo.jpg").read_bytes()).startswith(b"\x89PNG")
    finally:
        server.terminate()
    assert server.wait(60) == 0


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
@pytest.mark.parametrize("place", ["hqmd-light"], indirect=True)
def test_light_alone_names_itself_in_every_remedy(place: Place) -> None:
    code = "from hqmd_cli.installed import EXTRAS, how_to_install; print(*map(how_to_install, EXTRAS), sep='\\n')"
    lines = place.run(place.python, "-c", code).stdout.splitlines()
    assert lines and all(re.fullmatch(r"pip install \S*hqmd_light\S*\[[\w]+\]\S*", line) for line in lines), lines


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("place", ["hqmd-light"], indirect=True)
def test_two_onnx_runtimes_are_said_where_they_matter(place: Place) -> None:
    """Metadata alone: the CPU's files lie on top, as pip leaves them."""
    site = Path(place.run(place.python, "-c", "import onnxruntime as o; print(o.__path__[0])").stdout.strip()).parent
    other = site / "onnxruntime_gpu-1.27.0.dist-info"
    other.mkdir()
    try:
        (other / "METADATA").write_text("Metadata-Version: 2.1\nName: onnxruntime-gpu\nVersion: 1.27.0\n", "utf-8")
        remedy = "to keep onnxruntime-gpu: pip uninstall -y onnxruntime onnxruntime-gpu && pip install --no-deps"
        assert remedy in place.hqmd("predict", "photo.jpg", "-o", "two.png", "--device", "auto").stderr
        assert remedy in place.hqmd("info").stdout and remedy in place.hqmd("--version").stdout
    finally:
        shutil.rmtree(other)


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(os.name == "nt", reason="the remedies are for Unix shells")
@pytest.mark.parametrize("place", ["hqmd-light"], indirect=True)
def test_the_remedies_for_both_distributions_leave_one_that_works(place: Place, wheels: dict[str, Path]) -> None:
    """Removing one of two that share files takes those of the other along; the printed commands do not."""
    done = place.run(place.python, "-m", "pip", "install", "-q", "--no-deps", wheels["hqmd"], "opencv-python")
    assert done.returncode == 0, done.stderr
    clashes = [line for line in place.hqmd("--version").stdout.splitlines() if "overwrite" in line]
    assert [re.match("(.*) overwrite", line)[1] for line in clashes] == [
        "hqmd-light and hqmd", "opencv-python-headless and opencv-python",
    ]  # fmt: skip
    env = elsewhere(PATH=f"{place.python.parent}{os.pathsep}{os.environ['PATH']}")
    for line in clashes:
        done = place.run("sh", "-c", re.sub(".*; to keep [^:]*: ", "", line), env=env)
        assert done.returncode == 0, done.stderr
    assert place.run(place.python, "-c", "import cv2; cv2.imread").returncode == 0
    assert "overwrite" not in place.hqmd("--version").stdout
    place.hqmd("predict", "photo.jpg", "-o", "after.png")


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


# with uv


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("uvx") is None, reason="uv is not installed")
def test_uvx_predicts_from_the_light_wheel(wheels: dict[str, Path], tmp_path: Path) -> None:
    shutil.copyfile(ROOT / "examples" / "astronaut.jpg", tmp_path / "photo.jpg")
    command = ["uvx", "--from", str(wheels["hqmd-light"]), "hqmd", "predict", "photo.jpg", "-o", "d.png"]
    began = time.perf_counter()
    done = subprocess.run(command, cwd=tmp_path, env=elsewhere(), capture_output=True, text=True, check=False)
    assert done.returncode == 0 and (tmp_path / "d.png").is_file(), done.stderr
    print(f"\nuvx: {time.perf_counter() - began:.0f} s with {load()}")


@pytest.mark.long
@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.skipif(shutil.which("uv") is None, reason="uv is not installed")
@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="the lowest versions are of the time of Python 3.11")
def test_the_lowest_versions_of_what_light_requires_work(wheels: dict[str, Path], pairs: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheels["hqmd-light"]) as archive:
        (about,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        lines = archive.read(about).decode("utf-8").splitlines()
    needed = [line.partition(": ")[2] for line in lines if line.startswith("Requires-Dist") and "extra ==" not in line]
    (tmp_path / "needed.txt").write_text("\n".join(needed), "utf-8")
    venv.create(tmp_path / "env")
    here = Place(tmp_path / "env" / ("Scripts" if os.name == "nt" else "bin") / "python", tmp_path)
    install = ["uv", "pip", "install", "--python", here.python]
    lowest = ["--resolution", "lowest-direct", "--only-binary", ":all:", "-r", "needed.txt"]
    for words in (lowest, ["--no-deps", wheels["hqmd-light"]]):
        done = here.run(*install, *words)
        assert done.returncode == 0, done.stderr
    shutil.copyfile(ROOT / "examples" / "astronaut.jpg", tmp_path / "photo.jpg")
    here.hqmd(
        "predict", "photo.jpg", *(word for kind in ("png", "glb", "ply", "npz", "exr") for word in ("-o", f"d.{kind}"))
    )
    here.hqmd("compare", "hqmd-indoor", "hqmd-indoor-small", "--data", pairs, "--split", "val", "-o", "t.md")
    here.hqmd("evaluate", "--data", pairs, "--split", "val", "--report", "report")
