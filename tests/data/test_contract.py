"""Every dataset in DATASETS keeps the contract of FileDataset: what opening, training, the cache and check rely on."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from test_benchmark_layouts import (
    write_eth3d,
    write_hypersim,
    write_moge,
    write_scannet,
    write_sintel,
    write_sun_rgbd,
    write_syns,
)
from test_near_layouts import write_tum
from test_published_layout import write_diode, write_ibims, write_kitti

from conftest import write_pairs
from hqmd_cli.data import DATASETS, find_reader, open_dataset, open_extra_data, open_training_data
from hqmd_cli.data.cache.build import cached
from hqmd_cli.data.cache.file_format import DecodedDataset
from hqmd_cli.data.sample import FileDataset, GroundTruth, Sample
from hqmd_cli.errors import HqmdError
from kinect_room import write_scene

RAW = "NYU's raw recordings/"  # the only one that is recognised in order to be refused


def listed(folder: Path, suffix: str, delimiter: str) -> Path:
    pairs = write_pairs(folder)
    rows = [delimiter.join((f"rgb/{name}.jpg", f"depth/{name}.png")) for name in ("a1", "a2")]
    path = pairs / f"list{suffix}"
    path.write_text("\n".join(rows))
    return path


# A small instance of each dataset in a folder, and a split of it; the labelled file is a fixture.
INSTANCES: dict[str, tuple[Callable[[Path], Path], str]] = {
    ".csv": (lambda folder: listed(folder, ".csv", ","), "all"),
    ".tsv": (lambda folder: listed(folder, ".tsv", "\t"), "all"),
    ".txt": (lambda folder: listed(folder, ".txt", " "), "all"),
    "KITTI/": (write_kitti, "val"),
    "iBims-1/": (write_ibims, "test"),
    "DIODE/": (write_diode, "val"),
    "TUM RGB-D/": (write_tum, "all"),
    "ETH3D/": (write_eth3d, "pipes"),
    "Sintel/": (write_sintel, "final"),
    "SUN RGB-D/": (write_sun_rgbd, "kv2"),
    "Hypersim/": (write_hypersim, "val"),
    "ScanNet/": (write_scannet, "scene0000_00"),
    "SYNS-Patches/": (write_syns, "val"),
    "MoGe/": (write_moge, "test"),
    "pairs/": (write_pairs, "train"),
}


@pytest.fixture(params=[name for name in DATASETS if name != RAW])
def instance(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, Path, str]:
    """Name in DATASETS, path, split."""
    monkeypatch.setenv("HQMD_CACHE", str(tmp_path / "cache"))
    name = request.param
    if name == ".mat":
        return name, request.getfixturevalue("nyu_mat"), "val"
    write, split = INSTANCES[name]
    (tmp_path / "data").mkdir()
    return name, write(tmp_path / "data" / "instance"), split


def few(dataset: FileDataset) -> FileDataset:
    """The first pictures only: most slots of the small labelled file are empty."""
    for pictures in ("frames", "pairs"):
        if hasattr(dataset, pictures):
            setattr(dataset, pictures, getattr(dataset, pictures)[:2])
    return dataset


def assert_same(a: Sample, b: Sample) -> None:
    assert a.name == b.name
    for part in ("image", "depth_m", "valid"):
        np.testing.assert_array_equal(getattr(a, part), getattr(b, part))
    assert (a.edges is None) == (b.edges is None)


def test_the_path_leads_to_the_class(instance: tuple[str, Path, str]) -> None:
    name, path, split = instance
    reader = find_reader(path)
    assert issubclass(reader, FileDataset) and reader.split_help
    assert f"{reader.__module__}:{reader.__qualname__}" == DATASETS[name]
    if name.endswith("/"):
        assert reader.layout and reader.recognises(path) and not reader.recognises(path.parent)
    assert split in reader.splits(path) and all(isinstance(line, str) for line in reader.unpaired(path))
    with pytest.raises(HqmdError) as refusal:
        open_dataset(path, "no such split")
    assert reader.split_help in str(refusal.value)


def test_samples(instance: tuple[str, Path, str]) -> None:
    _, path, split = instance
    dataset = few(open_dataset(path, split))
    assert dataset.ground_truth in get_args(GroundTruth) and split in dataset.description
    assert 0 < len(dataset) == len(dataset.names) == len(dataset.photos) == len(set(dataset.photos))
    assert dataset.files and all(isinstance(file, Path) and file.is_file() for file in dataset.files)
    for index, name in enumerate(dataset.names):
        sample = dataset[index]
        size = sample.depth_m.shape
        assert sample.name == name and len(size) == 2
        assert sample.image.shape == (*size, 3) and sample.image.dtype == np.uint8
        assert sample.depth_m.dtype == np.float32 and np.isfinite(sample.depth_m).all()
        assert sample.valid.any() and np.array_equal(sample.valid, sample.depth_m > 0)
        assert sample.edges is None or (sample.edges.shape == size and sample.edges.dtype == bool)


def test_workers_and_the_cache_give_the_same(instance: tuple[str, Path, str]) -> None:
    _, path, split = instance
    dataset = few(open_dataset(path, split))
    copy = pickle.loads(pickle.dumps(dataset))
    decoded = cached(dataset, True, 1, print)
    assert isinstance(decoded, DecodedDataset) and decoded.names == dataset.names
    for index in range(len(dataset)):
        assert_same(copy[index], dataset[index])
        assert_same(decoded[index], dataset[index])


def test_nothing_is_trained_and_validated_on(instance: tuple[str, Path, str], tmp_path: Path) -> None:
    """Every dataset serves as training data beside other validation data, and never beside itself."""
    _, path, split = instance
    seen, _ = open_training_data(path, write_pairs(tmp_path / "other"))
    assert len(seen)
    held_out = open_dataset(path, "train" if "train" in find_reader(path).splits(path) else split)
    with pytest.raises(HqmdError, match="in the training and the validation data"):
        open_extra_data(path, held_out)


def test_raw_recordings_are_refused_with_the_command(tmp_path: Path) -> None:
    path = write_scene(tmp_path / "kitchen_0004", count=1).parent
    reader = find_reader(path)
    assert f"{reader.__module__}:{reader.__qualname__}" == DATASETS[RAW] and reader.layout
    with pytest.raises(HqmdError, match="hqmd data nyu-raw"):
        open_dataset(path, "all")
