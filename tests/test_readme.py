"""Run the shell and Python lines of the README and of docs/, and check what these say about the code."""

import hashlib
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import cv2
import numpy as np
import pytest

from docs_pages import PAGES, README, python_blocks, shell_lines
from file_server import FileServer
from hqmd_cli.checkpoints.card import model_card
from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import DEFAULT_MODEL, bundled_models
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import nyu
from hqmd_cli.data.nyu_raw import recordings as nyu_raw
from hqmd_cli.evaluation.protocols import PROTOCOLS
from hqmd_cli.files.depth_files import read_depth_values
from hqmd_cli.files.download import RemoteFile
from hub_server import USERS, HubServer, environment
from kinect_room import write_scene
from shards import write_tar

ROOT = Path(__file__).parents[1]
MOST_README_LINES = 130
MOST_LINES_NOT_RUN = 14  # with `no-run: reason`; a line more needs a reason that convinces
# What the README promises to work exactly as typed.
FOUR_COMMANDS = (
    "hqmd predict photo.jpg -o depth.png",
    "hqmd train --data nyu.mat",
    "hqmd evaluate --split test",
    "hqmd compare hqmd-indoor hqmd-indoor-small",
)
LINES = [line.text for line in shell_lines() if not line.no_run]
HQMD_LINES = [*dict.fromkeys(line for line in LINES if line.startswith("hqmd "))]  # some stand on two pages
# What keeps a training line short: the same code on a network that fits into a test.
SHORT = shlex.split(
    "--backbone test_efficientnet --backbone-weights none --size 32x48 --batch-size 2 --epochs 1 --workers 0"
)

# The network is that of --start.
SHORT_GOING_ON = shlex.split(
    "--size 64x96 --batch-size 2 --max-steps 1 --precision fp32 --workers 0"
)  # the network is that of --start


@pytest.fixture
def desk(tmp_path, monkeypatch, nyu_mat, pairs, photo, trained_run):
    """A folder with everything that the shell lines name."""
    desk = tmp_path / "desk"
    (desk / "photos").mkdir(parents=True)
    (desk / "runs").mkdir()
    (desk / "photo.jpg").write_bytes(photo.read_bytes())
    (desk / "photos" / "one.png").write_bytes(photo.read_bytes())
    for number in range(2):
        write_tar(desk / "tars" / f"{number:05}.tar", [("one.png", photo.read_bytes())])
    frames = cv2.VideoWriter(str(desk / "clip.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 10, (64, 48))
    for shade in (40, 140):
        frames.write(np.full((48, 64, 3), shade, np.uint8))
    frames.release()
    for name, target in {
        "nyu_depth_v2_labeled.mat": nyu_mat,
        "nyu.mat": nyu_mat,
        "pairs": pairs,
        "other_pairs": pairs,
        "weights": ROOT / "weights",
        "examples": ROOT / "examples",
    }.items():
        (desk / name).symlink_to(target)
    shutil.copytree(trained_run, desk / "runs" / "mine")  # some lines change a model
    maps = desk / "maps"
    maps.mkdir()
    for name in (pairs / "val.txt").read_text().split():
        depth_m = read_depth_values(next((pairs / "depth").glob(f"{name}.*"))) / 1000 * 1.1
        np.save(maps / f"{name}.npy", depth_m.astype(np.float32))
    (desk / "my-rooms.toml").write_text(re.search(r"```toml\n(.*?)```", PAGES["protocols"], re.DOTALL)[1])
    (desk / "measured.csv").write_text("photo,x,y,metres\nphoto.jpg,5,5,1.5\n")
    (desk / "my_model.py").write_text("def predict(image):\n    return 1 + image.mean(axis=2) / 100\n")
    monkeypatch.syspath_prepend(desk)  # which takes back what hqmd adds
    write_scene(desk / "nyu_raw" / "kitchen_0004", count=2)
    monkeypatch.setattr(nyu_raw, "scenes_of", lambda path: ["kitchen_0004"] * 45 + ["elsewhere_0001"] * 1404)
    monkeypatch.setattr(nyu_raw, "official_splits", lambda: {"train": [3], "val": [], "test": []})
    filled = {"train": [3, 4, 5], "val": [44, 45], "test": [1, 2]}  # conftest.FILLED_SLOTS
    monkeypatch.setattr(nyu, "official_splits", lambda: filled)
    monkeypatch.chdir(desk)
    monkeypatch.setenv("HQMD_HOME", str(desk / "home"))
    monkeypatch.setenv("HQMD_DATA", str(desk / "nyu_depth_v2_labeled.mat"))
    labelled = nyu_mat.read_bytes()
    with FileServer(labelled) as server:
        file = RemoteFile(server.url, len(labelled), hashlib.sha256(labelled).hexdigest(), (0, b"MATLAB 7.3"))
        monkeypatch.setattr(nyu, "LABELLED", file)
        yield desk


def test_every_shell_line_is_a_known_one():
    assert [line for line in LINES if not line.startswith(("hqmd ", "pip install "))] == []
    assert len(HQMD_LINES) >= 7 and any(line.startswith("hqmd export ") for line in HQMD_LINES)


def test_lines_that_no_test_runs_are_few_and_say_why():
    not_run = [line for line in shell_lines() if line.no_run]
    assert all(len(line.no_run) > 10 for line in not_run)
    assert len(not_run) <= MOST_LINES_NOT_RUN, "\n".join(f"{line.page}: {line.text}" for line in not_run)


def test_the_readme_is_short_and_shows_the_four_commands():
    assert len(README.splitlines()) <= MOST_README_LINES
    lines = README.splitlines()
    assert all(command in lines for command in FOUR_COMMANDS)


def test_the_links_lead_somewhere():
    for folder, text in [(ROOT, README), *((ROOT / "docs", page) for page in PAGES.values())]:
        targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)\s]+)\)", text)]
        assert [target for target in targets if "://" not in target and not (folder / target).exists()] == []


@pytest.mark.slow
@pytest.mark.parametrize("line", [line for line in HQMD_LINES if " train " not in line])
def test_lines_run(line, desk, hqmd):
    if theirs := re.search(r"hf:(\S+)", line):
        if find_spec("transformers") is None:
            pytest.skip("the extra hub is not installed")
        from tiny_models import save_model

        # A folder here comes before the hub's model of that name.
        save_model("depth-anything-metric" if "Metric" in theirs[1] else "depth-anything", desk / theirs[1])
    if " push " in line:
        push_as_the_user_would(line, desk)
        return
    result = hqmd(*shlex.split(line)[1:])
    assert result.returncode == 0, result.stderr
    written = re.findall(r"(?:-o|--picture|--report) (\S+)", line)
    assert all((desk / name).exists() for name in written)


def push_as_the_user_would(line, desk):
    """Push in a process of its own to a hub on this machine; test_hub.py says why."""
    _, _, model, name, *_ = shlex.split(line)
    (desk / model / "model.onnx").write_bytes(b"making one is tested elsewhere")
    with HubServer({}, desk / "store", USERS) as server:
        env = environment(server.endpoint, desk, HF_TOKEN="hf_writer")
        command = [sys.executable, "-m", *shlex.split(line.replace("hqmd", "hqmd_cli", 1))]
        done = subprocess.run(command, env=env, cwd=desk, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    weights = (desk / "store" / name / "model.safetensors").read_bytes()
    assert weights == (desk / model / "model.safetensors").read_bytes()


@pytest.mark.slow
def test_the_training_lines_run_one_after_the_other(desk, hqmd):
    shutil.rmtree(desk / "runs" / "mine")
    for line in (line for line in HQMD_LINES if " train " in line and " -o " in line):
        result = hqmd(*shlex.split(line)[1:], *(SHORT_GOING_ON if "--start" in line else SHORT))
        assert result.returncode == 0, result.stderr
        assert (desk / re.search(r"-o (\S+)", line)[1] / "best" / "config.json").is_file()


@pytest.mark.slow
def test_training_without_a_run_folder_makes_one_below_runs(desk, hqmd):
    shutil.rmtree(desk / "runs" / "mine")
    (line,) = (line for line in HQMD_LINES if " train " in line and " -o " not in line)
    result = hqmd(*shlex.split(line)[1:], *SHORT)
    assert result.returncode == 0, result.stderr
    assert len([*desk.glob("runs/*/best/config.json")]) == 1


@pytest.mark.slow
def test_the_python_lines_run(desk):
    (block,) = python_blocks(README)
    names = {}
    exec(block, names)
    assert names["depth_m"].shape == (80, 96) and names["depth_m"].min() > 0


@pytest.mark.slow
@pytest.mark.parametrize("page", [page for page, text in PAGES.items() if python_blocks(text) and page != "serve"])
def test_the_python_of_a_page_runs_after_its_shell_lines(page, desk, hqmd, capsys):
    """But that of docs/serve.md, for which tests/serving/test_docs.py starts a server."""
    write_phone_recording(desk / "scan")
    for line in (line.text for line in shell_lines() if line.page == page and line.text.startswith("hqmd predict ")):
        if "--model" not in line:
            assert hqmd(*shlex.split(line)[1:]).returncode == 0
    names = {}
    for block in python_blocks(PAGES[page]):
        exec(block, names)
    if page == "own_data":
        check_phone_pairs(desk / "lidar_pairs", hqmd)
    elif page == "points":
        a, b = (names["point"](*place) for place in ((20, 30), (70, 30)))
        assert capsys.readouterr().out.endswith(f"{np.linalg.norm(a - b):.2f} m\n") and a[0] < b[0]
    else:
        assert names["depth_m"].shape == (80, 96) and names["depth_m"].dtype == np.float32


@pytest.mark.slow
def test_the_first_page_shows_what_hqmd_says(desk, hqmd):
    """All but the digits, which depend on the processor."""
    line = next(line.text for line in shell_lines() if line.page == "start" and line.text.startswith("hqmd predict "))
    (shown,) = re.findall(r"```text\n(.*?)```", PAGES["start"], re.DOTALL)
    told = hqmd(*shlex.split(line)[1:]).stderr
    assert [re.sub(r"\d+", "#", each.strip()) for each in (shown, told)] == [re.sub(r"\d+", "#", shown.strip())] * 2


def write_phone_recording(folder):
    """Write a recording in the form of Stray Scanner: 61 frames; the phone is not sure of the left half."""
    for name in ("depth", "confidence"):
        (folder / name).mkdir(parents=True)
    frames = cv2.VideoWriter(str(folder / "rgb.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 60, (192, 144))
    sure = np.repeat(np.uint8([[0, 2]]), (128, 128), axis=1).repeat(192, axis=0)
    for number in range(61):
        blocks = np.random.default_rng(number).integers(0, 255, (6, 8, 3), np.uint8)  # no frame looks like another
        frames.write(cv2.resize(blocks, (192, 144), interpolation=cv2.INTER_NEAREST))
        depth_mm = np.arange(1500 + number, 3420 + number, 10, np.uint16)[:, None].repeat(256, axis=1)
        cv2.imwrite(str(folder / "depth" / f"{number:06}.png"), depth_mm)
        cv2.imwrite(str(folder / "confidence" / f"{number:06}.png"), sure)
    frames.release()
    np.savetxt(folder / "camera_matrix.csv", [[150, 0, 96], [0, 150, 72], [0, 0, 1]], delimiter=",")


def check_phone_pairs(pairs, hqmd):
    depth_mm = cv2.imread(str(pairs / "depth" / "scan_000030.png"), cv2.IMREAD_UNCHANGED)
    assert depth_mm.shape == (480, 640) and (depth_mm[:, :320] == 0).all() and (depth_mm[0, 320:] == 1530).all()
    assert (pairs / "frames.csv").read_text().splitlines()[1] == "scan_000000,500.0"  # 150 x 640 / 192
    assert [(pairs / f"{split}.txt").read_text().split() for split in ("train", "val")] == [
        ["scan_000000", "scan_000030"],
        ["scan_000060"],
    ]
    told = hqmd("check", pairs)
    assert told.returncode == 0 and "millimetres" in told.stdout and "focal lengths from frames.csv" in told.stdout


def test_the_two_first_commands_are_what_ci_installs_and_runs():
    first, second, light = (line for line in LINES if line.startswith("pip install "))
    ci = (ROOT / ".ci" / "run").read_text()
    assert "pip install ." in first and "hqmd predict examples/" in first
    assert second == "pip install '.[dev]' && pytest"
    assert light == "pip install ./packaging/light"  # what tests/test_wheels.py builds and installs
    assert "pip install -q '.[dev]'" in ci and re.search(r"^pytest$", ci, re.MULTILINE)


@pytest.mark.slow
def test_the_first_command_writes_a_depth_map(desk, hqmd):
    first = next(line for line in LINES if line.startswith("pip install "))
    _, command = first.split(" && ")
    assert hqmd(*shlex.split(command)[1:]).returncode == 0
    assert (desk / "depth.png").is_file()


@pytest.mark.parametrize("name", bundled_models())
def test_the_cards_of_bundled_models_are_generated(name):
    """The generator takes config.json, and the note that weights/README.md passes to `hqmd export`."""
    folder = ROOT / "weights" / name
    note = (ROOT / "weights" / "recipes" / f"{name.removeprefix('hqmd-')}.md").read_text(encoding="utf-8").rstrip()
    card = model_card(name, replace(read_info(folder), note=note))
    assert (folder / "README.md").read_text(encoding="utf-8") == card, f"weights/{name}/README.md must be:\n\n{card}"


def test_files_that_the_weights_page_names_exist():
    text = (ROOT / "weights" / "README.md").read_text(encoding="utf-8")
    named = set(re.findall(r"weights/recipes/[\w.-]+", text)) | {"weights/LICENSE.md"}
    assert [file for file in named if not (ROOT / file).is_file()] == [] and len(named) > 4


def test_files_and_names_in_architecture_exist():
    """Files are named from the repository's top, from hqmd_cli/, or within the room that the paragraph is about."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    files = set(re.findall(r"`((?:\w+/)*\w+\.(?:py|md|csv))`", text)) | set(re.findall(r"\(([\w.]+\.md)\)", text))
    tracked = [
        path.relative_to(ROOT).as_posix()
        for room in ("hqmd_cli", "tests", "benchmarks", "docs")
        for path in (ROOT / room).rglob("*.*")
    ]
    assert [file for file in files if not any(path == file or path.endswith(f"/{file}") for path in tracked)] == []
    rooms = re.findall(r"^- \*\*(\w+)/\*\*", text, re.MULTILINE)
    assert sorted(rooms) == sorted(path.parent.name for path in (ROOT / "hqmd_cli").glob("*/__init__.py"))
    words: set[str] = set()
    for path in (file for room in ("hqmd_cli", "tests") for file in (ROOT / room).rglob("*.py")):
        words.update(re.findall(r"\w+", path.read_text(encoding="utf-8")))
    names = set(re.findall(r"`([A-Z][A-Z_]{3,}|[a-z]+(?:_[a-z]+)+)`", text))
    assert names and names <= words, names - words


def test_names_and_numbers_of_the_prose_are_the_codes():
    paper, training = ModelConfig(), TrainConfig()
    assert (paper.network.backbone, paper.network.size, training.batching.batch_size, training.optimization.lr) == (
        "resnet50",
        (289, 385),
        8,
        1e-4,
    )
    assert all(f"| `{name}` |" in PAGES["protocols"] for name in PROTOCOLS)
    assert DEFAULT_MODEL in bundled_models() and all(name in README for name in bundled_models())
