"""Checkpoints that are cut off, zeroed, of another kind or by a newer hqmd are refused, and the file is named."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_torch

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, publish_checkpoint, read_info, save_checkpoint
from hqmd_cli.checkpoints.config_file import read_model_config, read_version
from hqmd_cli.checkpoints.hub import bundled_models
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.safetensors_file import SAMPLED, read_header, require_whole
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.engines.select import open_engine
from hqmd_cli.models import build_model

CPU = torch.device("cpu")
TINY = ModelConfig.from_flat(
    {"backbone": "test_efficientnet", "aspp_channels": 8, "fuse_channels": 8, "size": [64, 96]}
)


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of a tiny network. For reading only."""
    folder = tmp_path_factory.mktemp("saved") / "model"
    figures = {
        "data": "pairs", "n": 2, "protocol": "hqmd", "recipe": "all pixels",
        "metrics": {"RMSE": 0.5}, "intervals": {"RMSE": [0.4, 0.6]}, "intervals_by": "bootstrap",
    }  # fmt: skip
    save_checkpoint(folder, build_model(TINY), CheckpointInfo(TINY, TrainConfig(), "pairs", 3, figures))
    return folder


@pytest.fixture
def checkpoint(saved: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    return shutil.copytree(saved, tmp_path / "model")


# ---- the header of weights ----


def tensors_of(count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {f"layer{i:03}.weight": rng.normal(size=(7, 5, 3)).astype(np.float16) for i in range(count)}


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    zeros = {"layer.bias": np.zeros(500, np.float32), "steps": np.zeros((2, 2), np.int64), "place": np.zeros((1, 4, 4))}
    save_file({**tensors_of(100), **zeros}, path)
    return path


def test_the_header_is_that_of_safetensors(weights: Path) -> None:
    header = read_header(weights)
    assert len(header) == 103 and header["layer007.weight"].shape == (7, 5, 3)
    content = weights.read_bytes()
    for name, array in tensors_of(100).items():
        assert content[header[name].begin : header[name].end] == array.tobytes()
    require_whole(weights)  # a bias of zeros is no damage, nor are counters and what is learned from 0 on


@pytest.mark.parametrize("kept", [0, 5, 8, 500, 12_000, 20_000, -1])
def test_weights_that_are_cut_off_are_refused(weights: Path, kept: int) -> None:
    weights.write_bytes(weights.read_bytes()[:kept])
    with pytest.raises(
        HqmdError, match=rf"{weights}: cannot be read: it (has|ends|is no).*; it was cut off or damaged"
    ):
        require_whole(weights)


@pytest.mark.unix
def test_a_pipe_in_place_of_weights_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model.safetensors")
    with pytest.raises(HqmdError, match=r"model\.safetensors: a pipe or device, not a file"):
        require_whole(tmp_path / "model.safetensors")


def test_weights_with_more_behind_them_are_refused(weights: Path) -> None:
    weights.write_bytes(weights.read_bytes() + b"more")
    with pytest.raises(HqmdError, match="bytes instead of"):
        require_whole(weights)


@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.985])
def test_a_file_that_ends_in_zeros_is_refused(weights: Path, share: float) -> None:
    content = weights.read_bytes()
    kept = int(share * len(content))
    weights.write_bytes(content[:kept] + bytes(len(content) - kept))
    with pytest.raises(HqmdError, match=r"layer\d+\.weight holds nothing but zeros; it was cut off or damaged"):
        require_whole(weights)


def test_a_tensor_that_begins_and_ends_with_zeros_is_none_of_zeros(tmp_path: Path) -> None:
    array = np.zeros((100, 100), np.float32)
    array[13, 13] = 1
    save_file({"a.weight": array}, tmp_path / "a.safetensors")
    require_whole(tmp_path / "a.safetensors")


def test_a_few_tensors_are_all_looked_into(tmp_path: Path) -> None:
    for count in (1, 2, SAMPLED, SAMPLED + 1):
        for damaged in {0, count - 1}:
            tensors = tensors_of(count)
            tensors[f"layer{damaged:03}.weight"][:] = 0
            save_file(tensors, tmp_path / "a.safetensors")
            with pytest.raises(HqmdError, match=f"layer{damaged:03}.weight holds nothing but zeros"):
                require_whole(tmp_path / "a.safetensors")


@pytest.mark.parametrize(
    "entry",
    [
        [], "x", None, {}, {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]},
        {"dtype": "F32", "shape": [1], "data_offsets": [4, 8]},
        {"dtype": "F32", "shape": [1], "data_offsets": [0, 4, 4]},
        {"dtype": "F32", "shape": "1", "data_offsets": [0, 4]},
    ],
)  # fmt: skip
def test_a_header_of_another_kind_is_refused(entry: Any, tmp_path: Path) -> None:
    header = json.dumps({"a": entry}).encode()
    (tmp_path / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
    with pytest.raises(HqmdError, match="cannot be read: its header"):
        read_header(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", bundled_models())
def test_bundled_weights_pass(name: str) -> None:
    require_whole(bundled_models()[name] / "model.safetensors")


# ---- weights of a checkpoint ----


def change(folder: Path, name: str, value: float) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors[name].fill_(value)
    save_torch(tensors, folder / "model.safetensors", metadata={"format": "pt"})


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("decoder.logits.weight", 0.0, "holds nothing but zeros"),
        ("decoder.logits.bias", float("nan"), "holds values that are not finite"),
        ("decoder.logits.weight", float("inf"), "holds values that are not finite"),
    ],
)
def test_weights_that_are_no_weights_are_refused(checkpoint: Path, name: str, value: float, why: str) -> None:
    change(checkpoint, name, value)
    with pytest.raises(HqmdError, match=rf"model\.safetensors: {name} {why}"):
        load_checkpoint(checkpoint, CPU)


def test_both_engines_name_weights_that_are_cut_off(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    (checkpoint / "model.onnx").write_bytes(b"graph")
    for backend in ("onnx", "torch"):
        with pytest.raises(HqmdError, match=r"model\.safetensors: cannot be read: it .* download or copy it again"):
            open_engine(checkpoint, backend, "cpu")


def test_a_published_copy_is_of_the_weights_that_were_saved(checkpoint: Path, tmp_path: Path) -> None:
    assert len(json.loads((checkpoint / "config.json").read_text())["weights_sha256"]) == 64
    publish_checkpoint(checkpoint, tmp_path / "good")
    assert read_info(tmp_path / "good").weights_sha256 != read_info(checkpoint).weights_sha256  # half precision
    change(checkpoint, "decoder.logits.bias", 0.25)
    load_checkpoint(checkpoint, CPU)  # whoever changes weights may use them
    with pytest.raises(HqmdError, match=r"model\.safetensors: not the weights that config\.json was written for"):
        publish_checkpoint(checkpoint, tmp_path / "bad")


# ---- config.json ----


def spoil(folder: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    values = json.loads((folder / "config.json").read_text())
    damage(values)
    (folder / "config.json").write_text(json.dumps(values))


def put(*keys: str, value: Any) -> Callable[[dict[str, Any]], object]:
    def damage(values: dict[str, Any]) -> None:
        for key in keys[:-1]:
            values = values[key]
        values[keys[-1]] = value

    return damage


MODEL_DAMAGE = {
    "list": put("model", value=[]),
    "text": put("model", value="x"),
    "nothing": put("model", value=None),
    "also text": put("model", "also", value="abc"),
    "also number": put("model", "also", value=[1]),
    "also object": put("model", "also", value={"a": 1}),
    "presets": put("model", "presets", value=[["fast"]]),
    "preset name": put("model", "presets", value=[{"name": 3}]),
    "too many members": put("model", "also", value=[{}] * 1000),
    "sides": put("model", "predict_sides", value=[10**9]),
    "detail sides": put("model", "detail_sides", value=[10**6]),
    "many sides": put("model", "predict_sides", value=[64] * 40),
    "width": put("model", "aspp_channels", value=10**7),
    "bins": put("model", "depth_bins", value=10**6),
    "rates": put("model", "aspp_rates", value=[10**6]),
    "size": put("model", "size", value=[10**6, 10**6]),
    "stages": put("model", "high_stages", value=10**6),
    "range": put("model", "depth_range_m", value=[1, 1e300]),
    "weight": put("model", "weight", value=1e300),
    "backbone": put("model", "backbone", value="hf-hub:org/name"),
    "folder": put("model", "backbone", value="local-dir:/tmp/model"),
    "underscore": put("model", "backbone", value="hf_hub:org/name"),
    "path": put("model", "backbone", value="../model"),
    "huge": put("model", "depth_bins", value=10**30),
}


@pytest.mark.parametrize("damage", MODEL_DAMAGE.values(), ids=MODEL_DAMAGE)
def test_a_model_of_another_kind_is_refused(checkpoint: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    spoil(checkpoint, damage)
    with pytest.raises(HqmdError, match=rf"^{checkpoint}/config\.json: ") as refusal:
        read_model_config(checkpoint)
    assert len(str(refusal.value)) < 1000


@pytest.mark.parametrize(
    "damage",
    [
        put("training", value=[]), put("training", value="x"), put("training", "batch_size", value=10**12),
        put("note", value={"a": 1}), put("data", value=None), put("step", value="3"), put("step", value=-1),
        put("figures", value=[]), put("command", value=5),
    ],
)  # fmt: skip
def test_a_config_of_another_kind_is_refused(checkpoint: Path, damage: Callable[[dict[str, Any]], object]) -> None:
    spoil(checkpoint, damage)
    with pytest.raises(HqmdError, match=rf"^{checkpoint}/config\.json: "):
        read_info(checkpoint)


@pytest.mark.parametrize("content", ["[" * 100_000, "[]", "5", "null", '{"model": NaN}', "", "\xff"])
def test_a_file_that_is_no_config_is_refused(checkpoint: Path, content: str) -> None:
    (checkpoint / "config.json").write_text(content, encoding="latin-1")
    for read in (read_info, read_model_config, read_version):
        with pytest.raises(HqmdError, match=rf"^{checkpoint}/config\.json: not an hqmd checkpoint's config"):
            read(checkpoint)


@pytest.mark.parametrize(
    ("version", "said"),
    [
        ("99.0", "written by a newer hqmd, 99.0, and this is"),
        ("0.1.0", "perhaps written by a newer hqmd; update this one"),
        (None, "perhaps written by a newer hqmd"),
        ([], "perhaps written by a newer hqmd"),
    ],
)
def test_a_newer_config_is_told(checkpoint: Path, version: Any, said: str) -> None:
    spoil(checkpoint, put("hqmd_version", value=version))
    read_model_config(checkpoint)  # its settings are known here
    spoil(checkpoint, put("model", "attention", value="windowed"))
    with pytest.raises(HqmdError, match=rf"config\.json: {said}.*unknown ModelConfig setting attention"):
        read_model_config(checkpoint)


@pytest.mark.parametrize(
    "damage",
    [
        put("figures", "intervals", value={"RMSE": 5}), put("figures", "metrics", value={"RMSE": "low"}),
        put("figures", "intervals", value=[]), put("figures", value={"n": 2}), put("figures", "remark", value=3),
    ],
)  # fmt: skip
def test_figures_of_another_kind_are_refused_by_info(checkpoint: Path, damage: Any, hqmd: Any) -> None:
    spoil(checkpoint, damage)
    read_info(checkpoint)  # they are of no interest to predict
    result = hqmd("info", checkpoint)
    assert result.returncode == 1 and "config.json: its figure" in result.stderr and result.stderr.count("\n") == 1
