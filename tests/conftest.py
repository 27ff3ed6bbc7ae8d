"""Fixtures shared by all tests: small data in the shapes that users have, and the command line as users run it."""

import gc
import hashlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from PIL import Image

import hqmd_cli

# Set before anything imports torch. Networks as small as the tests' are slower in several threads, and much slower if
# other processes use the same cores.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# With torch and transformers in memory, each garbage collection takes half a second.
gc.set_threshold(50_000, 20, 20)
# nohup ignores SIGHUP, and a shell SIGINT of what it starts with &; processes that a test starts would inherit that.
if hangup := getattr(signal, "SIGHUP", None):
    signal.signal(hangup, signal.SIG_DFL)
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

PAIR_SIZE = (48, 64)
TRAIN_NAMES, VAL_NAMES = ["a1", "a2", "a3", "a4"], ["b1", "b2"]

# The header that MATLAB 7.3 puts before the HDF5 data (see shared/tools/make_nyu_mat.py).
MAT_HEADER = (
    b"MATLAB 7.3 MAT-file, Platform: GLNXA64, HDF5 schema 1.00 .".ljust(116) + bytes(8) + b"\x00\x02IM"
).ljust(512)
# Frames of each split, 1-based: the first two of test, the first three of train, the first two of val.
FILLED_SLOTS = (1, 2, 3, 4, 5, 44, 45)


def scene(seed: int, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Draw a floor with one box on it: (H, W, 3) uint8 RGB and (H, W) metres.

    The picture shows the depth (far is dark, the box is red), so that a network can learn from it. The median is 2 to
    4 m; as 16-bit numbers, only millimetres are plausible.
    """
    height, width = size
    rng = np.random.default_rng(seed)
    depth_m = np.repeat(np.linspace(4.5, 1.8, height)[:, None], width, axis=1)
    top, left = rng.integers(height // 4, height // 2), rng.integers(width // 8, width // 2)
    box = (slice(top, top + height // 3), slice(left, left + width // 4))
    depth_m[box] = depth_m[top + height // 3, 0]
    nearness = 255 * (1 - depth_m / 6)
    image = np.stack([nearness, nearness, 0.6 * nearness], axis=2)
    image[box] *= (1.0, 0.4, 0.4)
    image += rng.normal(0, 2, (height, width, 1))
    return np.clip(np.round(image), 0, 255).astype(np.uint8), depth_m.astype(np.float32)


def write_pairs(folder: Path) -> Path:
    """Write a folder of six 64 x 48 pairs: rgb/NAME.jpg, depth/NAME.png (16-bit mm, no tag), train.txt and val.txt."""
    (folder / "rgb").mkdir(parents=True)
    (folder / "depth").mkdir()
    for seed, name in enumerate(TRAIN_NAMES + VAL_NAMES):
        image, depth_m = scene(seed, PAIR_SIZE)
        Image.fromarray(image).save(folder / "rgb" / f"{name}.jpg", quality=95)
        Image.fromarray(np.round(depth_m * 1000).astype(np.uint16)).save(folder / "depth" / f"{name}.png")
    (folder / "train.txt").write_text("\n".join(TRAIN_NAMES) + "\n")
    (folder / "val.txt").write_text("\n".join(VAL_NAMES) + "\n")
    return folder


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip on Windows what needs named pipes, signals between processes, or users."""
    if os.name == "nt":
        for item in items:
            if item.get_closest_marker("unix"):
                item.add_marker(pytest.mark.skip(reason="needs what only Unix has"))


def pytest_unconfigure() -> None:
    """Skip the interpreter's last garbage collection, which takes seconds just before the process ends."""
    gc.freeze()


class Blank:
    """A stand-in for a matplotlib figure."""

    def savefig(self, path: Path, format: str) -> None:
        Image.new("RGB", (9, 9)).save(path, format)


@pytest.fixture
def real_curves() -> None:
    """Let a test draw the curves of a run, which `hurried` replaces."""


@pytest.fixture(autouse=True)
def hurried(request: pytest.FixtureRequest) -> Iterator[None]:
    """Skip what takes longer than an epoch of a tiny network: drawing the curves of a run, and waiting for the disk.

    Curves are still drawn for `trained_run` and in processes of their own. No test can see if a file survives a power
    cut.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        if "real_curves" not in request.fixturenames:
            patch.setattr("hqmd_cli.training.curves.curves", lambda rows, title: Blank())
        yield


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    """A folder as write_pairs makes it, which the test may change."""
    return write_pairs(tmp_path / "pairs")


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a finished run of two steps, with best/ and last/: checkpoints of a tiny network. Read only."""
    from hqmd_cli.config.network import ModelConfig
    from hqmd_cli.config.training import TrainConfig
    from hqmd_cli.data import open_training_data
    from hqmd_cli.training.loop import fit

    folder = tmp_path_factory.mktemp("trained")
    data = open_training_data(write_pairs(folder / "pairs"), None)
    model = ModelConfig().with_settings(
        backbone="test_efficientnet", size=(48, 64), output_stride=32, aspp_channels=16, fuse_channels=16
    )
    train = TrainConfig().with_settings(
        batch_size=2, epochs=1, lr=1e-2
    )  # high enough that depth depends on the photo, by 10 to 20 cm
    for _ in fit(model, train, *data, folder / "run", backbone_weights="none"):
        pass
    return folder / "run"


@pytest.fixture(scope="session")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small photo, 96 x 80."""
    path = tmp_path_factory.mktemp("photo") / "photo.png"
    Image.fromarray(scene(9, (80, 96))[0]).save(path)
    return path


@pytest.fixture
def hqmd(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """`hqmd("predict", path, ...)` runs a command in this process, where torch is already imported."""
    from hqmd_cli.app import main

    def run(*args: object) -> subprocess.CompletedProcess:
        monkeypatch.setattr(sys, "argv", ["hqmd", *map(str, args)])
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        written = capsys.readouterr()
        return subprocess.CompletedProcess(sys.argv, code, written.out, written.err)

    return run


@pytest.fixture(scope="session")
def traced_once() -> Callable[..., Any]:
    """A stand-in for `graph_of`, which takes ten seconds: networks of equal weights get one graph in all tests."""
    from hqmd_cli.export.onnx_graph import graph_of
    from hqmd_cli.export.traced_layers import WIDELY_KNOWN

    graphs: dict[tuple, Any] = {}

    def traced(network: Any, size: tuple[int, int] | None = None, opset: int = WIDELY_KNOWN) -> Any:
        weights = b"".join(tensor.numpy().tobytes() for tensor in network.state_dict().values())
        strides = tuple(getattr(part, "depth_stride", None) for part in network.modules())
        key = (hashlib.sha256(weights).digest(), repr(network), strides, size, opset)
        if key not in graphs:
            graphs[key] = graph_of(network, size, opset)
        return deepcopy(graphs[key])

    return traced


@pytest.fixture
def quick_export(traced_once: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let exports take the graph of another test's export of that network."""
    monkeypatch.setattr("hqmd_cli.export.onnx_graph.graph_of", traced_once)


@pytest.fixture(scope="session")
def nyu_slots() -> dict[int, tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """The frames in `nyu_mat`, by 1-based number: (480, 640, 3) uint8 RGB, filled metres, raw metres (0 = hole)."""
    slots = {}
    for frame in FILLED_SLOTS:
        small, depth_m = scene(frame, (120, 160))
        image = np.repeat(np.repeat(small, 4, axis=0), 4, axis=1)
        filled = np.repeat(np.repeat(depth_m, 4, axis=0), 4, axis=1)
        raw = filled.copy()
        raw[:40] = raw[:, :20] = 0  # holes on two sides, so that a mixed-up axis shows
        slots[frame] = (image, filled, raw)
    return slots


@pytest.fixture(scope="session")
def nyu_mat(tmp_path_factory: pytest.TempPathFactory, nyu_slots: dict) -> Path:
    """The official file with 1449 frames, of which only FILLED_SLOTS are written and take space. Read only."""
    path = tmp_path_factory.mktemp("nyu") / "nyu_depth_v2_labeled.mat"
    with h5py.File(path, "w", userblock_size=len(MAT_HEADER)) as file:
        options = {"compression": "gzip", "compression_opts": 1}
        images = file.create_dataset("images", (1449, 3, 640, 480), np.uint8, chunks=(1, 3, 640, 480), **options)
        depths = file.create_dataset("depths", (1449, 640, 480), np.float32, chunks=(1, 640, 480), **options)
        raw_depths = file.create_dataset("rawDepths", (1449, 640, 480), np.float32, chunks=(1, 640, 480), **options)
        for frame, (image, filled, raw) in nyu_slots.items():
            images[frame - 1] = image.transpose(2, 1, 0)  # MATLAB's axes are reversed
            depths[frame - 1], raw_depths[frame - 1] = filled.T, raw.T
    with path.open("r+b") as file:
        file.write(MAT_HEADER)
    return path


@pytest.fixture
def run_hqmd() -> Callable[..., subprocess.CompletedProcess]:
    """`run_hqmd("predict", path, ..., env={...}, cwd=...)` runs `python -m hqmd_cli predict ...` in its own process.

    It has one thread, no network and none of the user's hqmd settings.
    """

    def run(*args: object, env: dict[str, str] | None = None, cwd: Path | None = None) -> subprocess.CompletedProcess:
        settings = {name: value for name, value in os.environ.items() if not name.startswith(("HQMD_", "HF_"))}
        # Run the package under test, even if it is not installed and `cwd` is elsewhere.
        paths = [str(Path(hqmd_cli.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        settings |= {"PYTHONPATH": os.pathsep.join(filter(None, paths)), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
        command = [sys.executable, "-m", "hqmd_cli", *map(str, args)]
        return subprocess.run(
            command, env=settings | (env or {}), cwd=cwd, capture_output=True, text=True, timeout=300, check=False
        )

    return run
