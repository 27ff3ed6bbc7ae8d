"""The cache returns what the dataset returns, whichever process builds it and whatever interrupts that."""

import os
import pickle
import shutil
import signal
import struct
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader

from conftest import scene
from hqmd_cli.checkpoints.checkpoint import load_checkpoint
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import Batching, TrainConfig
from hqmd_cli.data import open_dataset
from hqmd_cli.data.cache import build as cache_room
from hqmd_cli.data.cache.build import Plan, cached, readings
from hqmd_cli.data.cache.file_format import DecodedDataset, NotCached, pack_depth, write_decoded
from hqmd_cli.data.sample import Sample, sample_from
from hqmd_cli.errors import HqmdError
from hqmd_cli.training.augmentation import AUGMENTATIONS, TrainTransform, to_network
from hqmd_cli.training.batches import TrainSet
from hqmd_cli.training.loop import fit

PARTS = ("image", "depth_m", "valid", "edges")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Folder of the caches."""
    monkeypatch.setenv("HQMD_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def said() -> list[str]:
    """Collect the lines printed for the user."""
    return []


def train_split(pairs: Path):
    return open_dataset(pairs, "train")


def assert_same(ours: Sample, theirs: Sample) -> None:
    assert ours.name == theirs.name
    for part in PARTS:
        a, b = getattr(ours, part), getattr(theirs, part)
        assert (a is None) == (b is None), part
        if a is not None:
            assert a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes(), part


def built(dataset, said: list[str]) -> DecodedDataset:
    result = cached(dataset, True, 1, said.append)
    assert isinstance(result, DecodedDataset), said
    return result


def test_pairs_come_out_as_they_are(pairs: Path, said: list[str], folder: Path) -> None:
    data = train_split(pairs)
    ours = built(data, said)
    assert (len(ours), ours.names, ours.photos) == (len(data), data.names, data.photos)
    assert (ours.description, ours.ground_truth) == (data.description, data.ground_truth)
    for index in range(len(data)):
        assert_same(ours[index], data[index])
    assert len(said) == 1 and "decoding 4 pictures once, 0.0 GB in" in said[0]
    built(data, said)  # now it is there
    assert len(said) == 1
    file = next(folder.glob("*.decoded"))
    assert file.stat().st_size < 4 * 48 * 64 * 5 + 1000  # millimetres in 2 bytes


def test_the_labelled_file_too(nyu_mat: Path, said: list[str]) -> None:
    data = open_dataset(nyu_mat, "val")
    data.frames = data.frames[:2]
    ours = built(data, said)
    assert_same(ours[1], data[1])
    other = open_dataset(nyu_mat, "val", "raw")
    other.frames = other.frames[:2]
    assert_same(built(other, said)[0], other[0])  # not the filled one's


def test_any_bits(tmp_path: Path) -> None:
    """Depth that no unit gives back, a mask of its own, edges, pictures of any size."""
    rng = np.random.default_rng(0)
    odd = np.array([[np.nan, np.inf, -0.0], [1.0, 1e-9, 70.0]], np.float32)
    mask = np.array([[True, False, True], [False, True, False]])
    samples = [
        Sample("odd", rng.integers(0, 256, (2, 3, 3), np.uint8), odd, mask, ~mask),
        sample_from("plain", *scene(1, (33, 47))),
        Sample("masked", *scene(2, (5, 7)), rng.random((5, 7)) > 0.5),
    ]
    write_decoded(tmp_path / "x", samples)
    ours = DecodedDataset(Listed(samples), tmp_path / "x")
    for index, sample in enumerate(samples):
        assert_same(ours[index], sample)


class Listed(list):
    """Samples as a dataset."""

    ground_truth, description = "as given", "samples"


@pytest.mark.parametrize("units", [1000, 256, 5000, 1])
def test_depth_of_16_bits_stays_so(units: int) -> None:
    numbers = np.arange(65536).astype(np.uint16).reshape(256, 256)
    found, kept = pack_depth(numbers.astype(np.float32) / np.float32(units))
    assert (found, kept.dtype) == ((units, np.uint16) if units > 1 else (0, np.float32))


def test_what_cannot_be_read_is_left_to_the_data(pairs: Path, said: list[str]) -> None:
    photo = pairs / "rgb" / "a2.jpg"
    whole = photo.read_bytes()
    photo.write_bytes(whole[:-200])
    data = train_split(pairs)
    ours = built(data, said)
    with pytest.raises(HqmdError, match=r"a2\.jpg") as theirs:
        data[1]
    with pytest.raises(HqmdError) as from_cache:
        ours[1]
    assert str(from_cache.value) == str(theirs.value)
    assert_same(ours[2], data[2])
    photo.write_bytes(whole)
    assert_same(ours[1], train_split(pairs)[1])  # whole again


@pytest.mark.parametrize("part", ["rgb/a2.jpg", "depth/a2.png"])
def test_a_changed_source_is_read_anew(pairs: Path, said: list[str], folder: Path, part: str) -> None:
    before = built(train_split(pairs), said)
    image, depth_m = scene(99, (48, 64))
    Image.fromarray(image).save(pairs / "rgb" / "a2.jpg", quality=95)
    Image.fromarray(np.round(depth_m * 1000).astype(np.uint16)).save(pairs / "depth" / "a2.png")
    after = built(train_split(pairs), said)
    assert_same(after[1], train_split(pairs)[1])
    assert getattr(before[1], PARTS["depth" in part]).tobytes() != getattr(after[1], PARTS["depth" in part]).tobytes()
    assert len(list(folder.glob("*.decoded"))) == 1  # the old one is gone from the disk


def test_settings_are_part_of_it(pairs: Path, said: list[str]) -> None:
    in_mm, in_half_mm = (open_dataset(pairs, "train", depth_scale=scale) for scale in (1000, 2000))
    assert_same(built(in_mm, said)[0], in_mm[0])
    assert_same(built(in_half_mm, said)[0], in_half_mm[0])
    assert len(built(open_dataset(pairs, "val"), said)) == 2


def test_it_is_found_from_any_folder(pairs: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    built(train_split(pairs), said)
    monkeypatch.chdir(pairs.parent)
    built(train_split(Path("pairs")), said)
    assert len(said) == 1


@pytest.mark.parametrize("cut", [1, 40, 20_000])
def test_a_file_that_is_not_whole_is_built_again(pairs: Path, said: list[str], folder: Path, cut: int) -> None:
    data = train_split(pairs)
    built(data, said)
    file = next(folder.glob("*.decoded"))
    content = file.read_bytes()
    for broken in (content[:-cut], content + bytes(cut), b"", b"x" * 100):
        file.unlink()
        file.write_bytes(broken)
        with pytest.raises(NotCached):
            DecodedDataset(data, file)
        assert_same(built(data, said)[3], data[3])


def test_data_that_changes_while_it_is_read_is_not_kept(
    pairs: Path, said: list[str], folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def disturbed(path: Path, samples) -> None:
        write_decoded(path, samples)
        os.utime(pairs / "rgb" / "a1.jpg", (1, 1))

    monkeypatch.setattr(cache_room, "write_decoded", disturbed)
    data = train_split(pairs)
    assert cached(data, True, 1, said.append) is data
    assert "its files changed while they were read; going on without" in said[-1] and not list(folder.glob("*.decoded"))


# ---- whether ----


def test_it_is_built_where_it_saves_a_minute(pairs: Path, said: list[str], folder: Path, monkeypatch) -> None:
    data = train_split(pairs)
    assert cached(data, None, 24, said.append) is data and not said and not folder.exists()
    assert cached(data, False, 1e9, said.append) is data
    assert isinstance(cached(data, None, 1e9, said.append), DecodedDataset)
    assert isinstance(cached(data, None, 1, said.append), DecodedDataset)  # there it costs nothing
    assert cached(data, False, 1e9, said.append) is data


def test_size_decides() -> None:
    plan = Plan(bytes=100e9, decoding_s=1000)
    assert not plan.objection(free=300e9, memory=300e9, wanted=False)
    assert "100.0 GB of the 150.0 GB that are free" in plan.objection(150e9, 300e9, wanted=False)
    assert "half of the memory" in plan.objection(300e9, 150e9, wanted=False)
    assert not plan.objection(150e9, 1e9, wanted=True)
    assert "needs 100.0 GB of disk, 101.0 GB are free" in plan.objection(101e9, 300e9, wanted=True)


def test_how_often_pictures_are_read() -> None:
    assert readings(Batching(epochs=3, batch_size=8), 100) == 3
    assert readings(Batching(epochs=3, batch_size=8, max_steps=25), 100) == 2


def test_no_room(pairs: Path, said: list[str], folder: Path, monkeypatch) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda path: shutil._ntuple_diskusage(10, 9, 1))
    data = train_split(pairs)
    assert cached(data, True, 1, said.append) is data
    assert len(said) == 1 and "of disk" in said[0] and "going on without" in said[0] and not folder.exists()


def test_a_place_that_is_no_folder(pairs: Path, said: list[str], folder: Path) -> None:
    """Root may write everywhere, so that a read-only folder cannot be had; a file in its place can."""
    folder.write_text("mine")
    data = train_split(pairs)
    assert cached(data, True, 1, said.append) is data
    assert len(said) == 1 and "cannot be used" in said[0] and folder.read_text() == "mine"


def test_data_without_files(said: list[str]) -> None:
    data = Listed([sample_from("a", *scene(1, (8, 8)))])
    assert cached(data, True, 1, said.append) is data and "not read from files" in said[0]


# ---- several processes ----

# Builds a cache from slow pictures, in a process with a limit on the size of files.
BUILDER = """
import resource, sys, time
from pathlib import Path
from hqmd_cli.data import open_dataset, pairs
from hqmd_cli.data.cache.build import cached
path, delay_s, largest = Path(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
read_photo = pairs.read_photo
pairs.read_photo = lambda photo: (time.sleep(delay_s), read_photo(photo))[1]
ours = cached(open_dataset(path, "train"), True, 1, lambda line: print(line, flush=True))
print(type(ours).__name__, sum(int(ours[i].image.sum()) for i in range(len(ours))), flush=True)
"""


def builder(pairs: Path, delay_s: float = 0, largest: int = 10**6) -> subprocess.Popen:
    command = [sys.executable, "-c", BUILDER, str(pairs), str(delay_s), str(largest)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


@pytest.mark.unix
def test_a_disk_that_takes_no_more(pairs: Path, folder: Path) -> None:
    first, error, last = builder(pairs, largest=20_000).communicate(timeout=60)[0].splitlines()
    assert "decoding 4 pictures" in first and last.startswith("PairFolder ")
    assert error == f"cache: {folder}: cannot be used: File too large; going on without; HQMD_CACHE names another place"
    assert [file.suffix for file in folder.iterdir()] == [".lock"]


@pytest.mark.unix
@pytest.mark.slow
def test_of_several_processes_one_builds(pairs: Path, folder: Path) -> None:
    outputs = [process.communicate(timeout=60)[0] for process in [builder(pairs, 0.1) for _ in range(3)]]
    total = sum(int(train_split(pairs)[i].image.sum()) for i in range(4))
    assert all(output.splitlines()[-1] == f"DecodedDataset {total}" for output in outputs)
    assert sum("decoding 4 pictures" in output for output in outputs) == 1
    assert len(list(folder.iterdir())) == 2  # the file and the lock


@pytest.mark.unix
@pytest.mark.slow
def test_a_killed_builder_leaves_nothing_that_passes_for_whole(pairs: Path, folder: Path) -> None:
    for _ in range(2):
        process = builder(pairs, 0.5)
        while not list(folder.glob("*.part")):
            assert process.poll() is None
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert not list(folder.glob("*.decoded")) and len(list(folder.glob("*.part"))) == 1
    output = builder(pairs).communicate(timeout=60)[0]
    assert "waiting" not in output and output.splitlines()[-1].startswith("DecodedDataset")
    assert not list(folder.glob("*.part"))  # of those that were killed


def test_a_worker_that_was_not_forked_opens_it_for_itself(pairs: Path, said: list[str], folder: Path) -> None:
    ours = built(train_split(pairs), said)
    sent = pickle.dumps(ours)
    assert len(sent) < 5000
    assert_same(pickle.loads(sent)[2], ours[2])
    next(folder.glob("*.decoded")).unlink()
    assert_same(pickle.loads(sent)[2], ours[2])  # then of the data


# ---- training ----

MODEL = ModelConfig().with_settings(
    backbone="test_efficientnet", size=(32, 48), output_stride=32, aspp_channels=8, fuse_channels=8
)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same(pairs: Path, said: list[str], workers: int) -> None:
    data = train_split(pairs)
    transform = TrainTransform((32, 48), AUGMENTATIONS["turned"])
    plain, ours = (TrainSet(d, None, lambda position: transform, seed=1, epoch=2) for d in (data, built(data, said)))
    for a, b in zip(DataLoader(plain, 2), DataLoader(ours, 2, num_workers=workers), strict=True):
        assert a["name"] == b["name"] and all(torch.equal(a[key], b[key]) for key in ("rgb", "depth_m", "valid"))


@pytest.mark.slow
def test_training_comes_to_the_same_weights(pairs: Path, tmp_path: Path, said: list[str]) -> None:
    data, train = (
        train_split(pairs),
        TrainConfig().with_settings(batch_size=2, epochs=1, lr=1e-3, augmentation="turned"),
    )
    for name, seen in (("plain", data), ("cached", built(data, said))):
        list(fit(MODEL, train, seen, open_dataset(pairs, "val"), tmp_path / name, backbone_weights="none"))
    ours, theirs = (
        load_checkpoint(tmp_path / name / "last", torch.device("cpu"))[0].state_dict() for name in ("plain", "cached")
    )
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


@pytest.mark.slow
def test_the_command(hqmd, pairs: Path, tmp_path: Path, folder: Path) -> None:
    command = ("train", "--data", pairs, "--backbone", "test_efficientnet", "--backbone-weights", "none")
    command += ("--size", "32x48", "--batch-size", 2, "--max-steps", 1, "--workers", 0)
    result = hqmd(*command, "-o", tmp_path / "a")
    assert result.returncode == 0 and "cache" not in result.stderr and not folder.exists()
    result = hqmd(*command, "-o", tmp_path / "b", "--cache")
    assert result.returncode == 0, result.stderr
    assert result.stderr.count("cache: decoding 4 pictures once") == 1 and list(folder.glob("*.decoded"))


@pytest.mark.parametrize("grey", [0.0, 1.0])
@pytest.mark.parametrize("gamma", [(1.0, 1.0), (0.75, 1.33)])
def test_light_by_table_is_light_by_arithmetic(gamma: tuple[float, float], grey: float) -> None:
    change = replace(AUGMENTATIONS["turned"], gamma=gamma, grey=grey)
    image = np.random.default_rng(0).integers(0, 256, (37, 53, 3), dtype=np.uint8)
    ours = TrainTransform((32, 32), change).recolour(image, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    power, brightness = rng.uniform(*change.gamma), rng.uniform(*change.brightness)
    channels = rng.uniform(*change.colour, size=(3, 1, 1))
    light = to_network(image)
    if grey:
        light = np.repeat(light.mean(axis=0, keepdims=True), 3, axis=0)
    expected = np.clip((light**power if power != 1 else light) * brightness * channels, 0, 1).astype(np.float32)
    np.testing.assert_array_equal(ours, expected)


# ---- damage ----


def spoiled(path: Path, change) -> None:
    content = bytearray(path.read_bytes())
    _, table, _, _ = struct.unpack("<8sQQQ", content[-32:])
    change(content, table)
    path.write_bytes(content)


def zeros(content: bytearray, table: int) -> None:
    content[100 : table // 2] = bytes(table // 2 - 100)  # as blocks that never reached the disk


def elsewhere(content: bytearray, table: int) -> None:
    content[table : table + 8] = struct.pack("<Q", 2**40)


def huge(content: bytearray, table: int) -> None:
    content[table + 8 : table + 16] = struct.pack("<II", 2**31, 2**31)


@pytest.mark.parametrize("change", [zeros, elsewhere, huge])
def test_a_damaged_cache_gives_the_data_itself_and_is_said(pairs: Path, said: list[str], capsys, change) -> None:
    data = train_split(pairs)
    path = built(data, said).path
    spoiled(path, change)
    decoded = built(data, said)
    for index in range(len(data)):
        assert_same(decoded[index], data[index])
    if change is zeros:
        assert capsys.readouterr().err.count("the cache is damaged and was removed") == 1 and not path.exists()
    assert_same(built(data, said)[0], data[0])


def test_a_cache_without_checksums_is_built_again(pairs: Path, said: list[str]) -> None:
    """As hqmd wrote it before."""
    data = train_split(pairs)
    path = built(data, said).path
    content = bytearray(path.read_bytes())
    content[-32:-24] = b"hqmddec1"
    path.write_bytes(content)
    with pytest.raises(NotCached):
        DecodedDataset(data, path)
    assert_same(built(data, said)[0], data[0])
