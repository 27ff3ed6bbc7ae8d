"""Packages that add to hqmd's registries: examples/plugin as pip installs it, and one that is broken."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of installed packages: the example, and two that are broken or take a name."""
    folder = tmp_path_factory.mktemp("site")
    pip = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation", "-q", "--target", str(folder)]
    subprocess.run([*pip, str(ROOT / "examples" / "plugin")], check=True, capture_output=True)
    return folder


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """As pip leaves a package behind whose modules cannot be imported, and which takes a name that hqmd has."""
    folder = tmp_path_factory.mktemp("broken") / "hqmd_broken-1.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: hqmd-broken\nVersion: 1\n")
    groups = {
        "hqmd.outputs": "lost = hqmd_broken.nothing:X\nnpy = hqmd_broken.nothing:X\n"
        "quits = hqmd_quits:X\nseven = hqmd_seven:X",
        "hqmd.models": "lost-net = hqmd_broken.nothing:X\nseven = hqmd_seven:X",
        "hqmd.losses": "lost-loss = hqmd_broken.nothing:X",
        "hqmd.datasets": "LOST/ = hqmd_broken.nothing:X",
        "hqmd.foreign": "lost = hqmd_broken.nothing:X",
    }
    (folder.parent / "hqmd_quits.py").write_text("raise SystemExit(3)\n")
    (folder.parent / "hqmd_seven.py").write_text("X = 7\n")
    (folder / "entry_points.txt").write_text("".join(f"[{group}]\n{lines}\n" for group, lines in groups.items()))
    return folder.parent


def with_path(*folders: Path) -> dict[str, str]:
    return {"PYTHONPATH": ":".join(map(str, (*folders, ROOT)))}


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    """A photo, its depth, and a list of them."""
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (48, 64, 3), np.uint8)).save(tmp_path / "photo.png")
    np.save(tmp_path / "depth.npy", np.repeat(np.linspace(5, 1.25, 48)[:, None], 64, axis=1))
    (tmp_path / "all.npylist").write_text("photo.png depth.npy\n")
    return tmp_path


@pytest.mark.slow
def test_an_output_and_a_kind_of_model(site: Path, scene: Path, run_hqmd: Callable) -> None:
    predict = ("predict", scene / "photo.png", "-m", "ramp:1,4", "--json")
    done = run_hqmd(*predict, "-o", scene / "d.csv", env=with_path(site))
    assert done.returncode == 0, done.stderr
    lines = (scene / "d.csv").read_text().splitlines()
    assert len(lines) == 48 and (lines[0], lines[-1]) == (",".join(["4.000"] * 64), ",".join(["1.000"] * 64))
    assert json.loads((scene / "d.json").read_text())["outputs"] == {"d.csv": "text, metres"}
    done = run_hqmd(*predict, "-o", scene / "out", "--format", "csv,npy", env=with_path(site))
    assert done.returncode == 0 and (scene / "out" / "photo.csv").is_file(), done.stderr
    assert "csv" in run_hqmd("predict", "--help", env=with_path(site)).stdout
    done = run_hqmd(*predict, "-o", scene / "e.npy")  # where it is not installed
    assert done.returncode == 1 and "no model 'ramp:1,4'" in done.stderr


@pytest.mark.slow
def test_a_dataset(site: Path, scene: Path, run_hqmd: Callable) -> None:
    done = run_hqmd("evaluate", "--data", scene / "all.npylist", "--model", "ramp:1,4", "--json", env=with_path(site))
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["AbsRel"] == pytest.approx(0.2, rel=1e-4)


@pytest.mark.slow
def test_a_network_and_a_loss(site: Path, pairs: Path, tmp_path: Path, run_hqmd: Callable) -> None:
    words = ("--data", pairs, "-o", tmp_path / "run", "--model", "example-mean", "--loss", "example-median")
    done = run_hqmd("train", *words, "--epochs", "1", "--batch-size", "2", "--workers", "0", env=with_path(site))
    assert done.returncode == 0, done.stderr
    done = run_hqmd("info", tmp_path / "run" / "best", "--json", env=with_path(site))
    assert "example-mean" in done.stdout and "example-median" in done.stdout
    listed = json.loads(run_hqmd("models", "--json", env=with_path(site)).stdout)["systems"]
    assert [row["parameters"] for row in listed if row["name"] == "example-mean"] == [4]


@pytest.mark.slow
def test_a_broken_package_does_no_harm_and_is_named_once(broken: Path, scene: Path, run_hqmd: Callable) -> None:
    env = with_path(broken)
    done = run_hqmd("predict", scene / "photo.png", "-o", scene / "d.npy", env=env)
    assert done.returncode == 0 and "broken" not in done.stderr
    done = run_hqmd("predict", scene / "photo.png", "-o", scene / "out", "--format", "lost", env=env)
    lost, taken, quits, seven, refused = (line for line in done.stderr.splitlines() if line.startswith("hqmd: "))
    said = "is left out: ModuleNotFoundError: No module named 'hqmd_broken'"
    assert lost == f"hqmd: hqmd-broken: its hqmd.outputs lost {said}"
    assert taken == "hqmd: hqmd-broken: its hqmd.outputs npy is left out, as that name is taken"
    assert quits == "hqmd: hqmd-broken: its hqmd.outputs quits is left out: SystemExit: 3"
    assert seven.endswith("seven is left out: it is of the type int and has no suffix")
    assert refused.startswith("hqmd: no output format named 'lost'; there are: color")
    done = run_hqmd("models", env=env)
    assert done.returncode == 0 and done.stderr.count("lost-net") == 1 and "fcrn" in done.stdout
    assert (
        "model seven of the package hqmd-broken cannot be used: it is of the type int and has no paper" in done.stderr
    )
    done = run_hqmd("predict", scene / "photo.png", "-o", scene / "e.npy", "-m", "lost:x", env=env)
    assert "scheme lost of the package hqmd-broken cannot be used: ModuleNotFoundError" in done.stderr
    (scene / "empty").mkdir()
    done = run_hqmd("check", scene / "empty", env=env)
    assert done.stderr.count("kind of data LOST/ of the package hqmd-broken cannot be used") == 1
    assert "lost-loss" in run_hqmd("train", "--help", env=env).stdout


@pytest.mark.slow
def test_a_cold_predict_reads_no_entry_points(scene: Path) -> None:
    code = f"""
import sys
sys.argv = ["hqmd", "predict", "{scene}/photo.png", "-o", "{scene}/depths"]
from hqmd_cli.app import main
try:
    main()
except SystemExit:
    pass
print([name for name in ("importlib.metadata", "torch") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
