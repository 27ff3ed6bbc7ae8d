"""`hqmd --version` tells what is there and what clashes, without heavy imports; shells complete hqmd's commands."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from hqmd_cli import __version__, installed
from hqmd_cli.installed import FULL, LIGHT, RIVALS, rivals, versions
from hqmd_cli.reporting.installation import describe_installation, installation_text

HEAVY = ("torch", "onnxruntime", "numpy", "cv2", "PIL", "rich")
INSTALL_PAGE = (Path(__file__).parents[1] / "docs" / "install.md").read_text("utf-8")


@pytest.fixture
def there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make distributions seem installed, and no others."""
    from importlib.metadata import PathDistribution

    def install(**names: str) -> None:
        for name, version in names.items():
            place = tmp_path / f"{name}-{version}.dist-info"
            place.mkdir()
            (place / "METADATA").write_text(f"Name: {name.replace('_', '-')}\nVersion: {version}\n")
        found = {path.name.partition("-")[0].replace("_", "-"): PathDistribution(path) for path in tmp_path.iterdir()}
        monkeypatch.setattr(installed, "distribution", found.get)

    return install


def test_version_imports_nothing_heavy() -> None:
    code = (
        f"import sys, atexit; atexit.register(lambda: print([m for m in {HEAVY!r} if m in sys.modules]))\n"
        "from hqmd_cli.app import main; main()"
    )
    command = [sys.executable, "-c", code, "--version"]
    first, *others, imported = subprocess.check_output(command, text=True).splitlines()
    assert re.fullmatch(rf"hqmd {re.escape(__version__)}( \(commit [0-9a-f]+(-dirty)?\))?", first)
    assert [re.match(r"(torch|onnxruntime[\w-]*) ", line)[1] for line in others[:2]] == ["torch", "onnxruntime"]
    assert imported == "[]"


@pytest.mark.parametrize("runtime", ["onnxruntime", "onnxruntime_gpu", "onnxruntime_openvino"])
def test_the_version_of_any_onnx_runtime_is_found(there: Callable, runtime: str) -> None:
    there(hqmd_light="0.1.0", **{runtime: "1.27"})
    assert versions() == {LIGHT: __version__, "torch": None, runtime.replace("_", "-"): "1.27"}


def test_without_any_runtime_that_is_said(there: Callable) -> None:
    there(hqmd="0.1.0")
    assert installed.in_words()[-2:] == ["torch is not installed", "onnxruntime is not installed"]


def test_both_distributions_are_named_with_what_mends_it(there: Callable) -> None:
    there(hqmd="0.1.0", hqmd_light="0.1.0", opencv_python="5.0", opencv_python_headless="5.0", onnxruntime="1.27")
    assert installed.in_words()[-2:] == [
        "hqmd-light and hqmd overwrite each other's files; to keep hqmd: "
        "pip uninstall -y hqmd-light hqmd && pip install --no-deps hqmd",
        "opencv-python-headless and opencv-python overwrite each other's files; to keep opencv-python: "
        "pip uninstall -y opencv-python-headless opencv-python && pip install --no-deps opencv-python",
    ]


def test_light_keeps_the_opencv_that_it_requires(there: Callable) -> None:
    there(hqmd_light="0.1.0", opencv_python="5.0", opencv_python_headless="5.0")
    assert installed.in_words()[-1].endswith("&& pip install --no-deps opencv-python-headless")


def test_one_of_each_clashes_with_nothing(there: Callable) -> None:
    there(hqmd="0.1.0", opencv_python="5.0", onnxruntime_gpu="1.27", torch="2.9")
    assert [rivals(group) for group in RIVALS] == [""] * 3
    assert FULL in versions()


def test_info_without_a_model_describes_the_installation(hqmd: Callable) -> None:
    about = json.loads(hqmd("info", "--json").stdout)
    assert about == describe_installation()
    assert about["onnxruntime_devices"][-1] == "cpu" and about["cores"]["usable"] >= 1
    assert hqmd("info").stdout == installation_text(about)


def test_info_marks_what_nobody_has_tried(monkeypatch: pytest.MonkeyPatch) -> None:
    about = describe_installation() | {"onnxruntime_devices": ["cuda", "openvino", "cpu"]}
    assert "  ONNX Runtime  cuda, openvino, cpu (cuda untested with hqmd)\n" in installation_text(about)


# completion


@pytest.fixture
def shell_env(tmp_path: Path) -> dict[str, str]:
    """An environment in which `hqmd` runs this code, under its own name."""
    script = tmp_path / "bin" / "hqmd"
    script.parent.mkdir()
    script.write_text(f"#!{sys.executable}\nfrom hqmd_cli.app import run\nrun()\n")
    script.chmod(0o755)
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    return os.environ | {"PATH": f"{script.parent}{os.pathsep}{os.environ['PATH']}", "PYTHONPATH": path}


COMPLETED = {
    "bash": 'COMP_WORDS=(hqmd eva); COMP_CWORD=1; _hqmd_completion hqmd; echo "${COMPREPLY[@]}"',
    "fish": "complete --do-complete 'hqmd eva'",
    # zsh completes in an interactive line editor only: its function is there, and the command that it calls answers.
    "zsh": "whence -w _hqmd_completion; env _TYPER_COMPLETE_ARGS='hqmd eva' _HQMD_COMPLETE=complete_zsh hqmd",
}


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="shells of Unix")
@pytest.mark.parametrize("shell", COMPLETED)
def test_the_documented_line_completes_a_command(shell: str, shell_env: dict[str, str]) -> None:
    (row,) = re.findall(rf"^\| {shell} \| `(.*?)`[,| ]", INSTALL_PAGE, re.MULTILINE)
    line = row.replace("\\|", "|")
    if shutil.which(shell) is None:
        script = subprocess.check_output(["hqmd"], env=shell_env | {"_HQMD_COMPLETE": f"source_{shell}"}, text=True)
        assert "hqmd" in script
        pytest.skip(f"{shell} is not installed; its script is there")
    before = "autoload -Uz compinit; compinit -u; " if shell == "zsh" else ""
    command = [shell, "-c", f"{before}{line}; {COMPLETED[shell]}"]
    done = subprocess.run(command, env=shell_env, capture_output=True, text=True, check=False, timeout=60)
    assert "evaluate" in done.stdout, done
    assert "export" not in done.stdout
