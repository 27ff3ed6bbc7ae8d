"""Checkpoints: what is written comes back without a flag; what is damaged is refused by name."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from hqmd_cli import __version__
from hqmd_cli.checkpoints.checkpoint import load_checkpoint, read_info, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.models import build_model
from hqmd_cli.models.network import DepthNetwork

CPU = torch.device("cpu")
TENSOR = "decoder.logits.weight"

# Far from the defaults, so that a setting lost on the way shows.
INFO = CheckpointInfo(
    ModelConfig().with_settings(
        backbone="test_efficientnet",
        decoder="baseline",
        activation="exp",
        size=(64, 96),
        output_stride=8,
        low_stages=2,
        high_stages=2,
        aspp_rates=(2, 3),
        aspp_channels=5,
        low_channels=4,
        fuse_channels=6,
    ),
    TrainConfig().with_settings(
        loss="hu", batch_size=3, lr=2e-3, max_steps=7, schedule="cosine", ema_decay=0.5, seed=11
    ),
    "pairs, train",
    7,
    {
        "protocol": "hqmd",
        "recipe": "filled ground truth, whole picture",
        "data": "pairs, val",
        "n": 2,
        "metrics": {"AbsRel": 0.25, "bias": 1.0, "edgeF1": None},
        "intervals": {"AbsRel": [0.2, 0.375], "bias": [0.9, 1.1], "edgeF1": None},
        "intervals_by": "95% intervals: bootstrap",
    },
)


def network_of(info: CheckpointInfo) -> DepthNetwork:
    """In training mode, its batch norms far from where they start, as after a training."""
    torch.manual_seed(0)
    network = build_model(info.model)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 1.5)
            module.num_batches_tracked.fill_(41)
    return network.train()


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A whole checkpoint, for one test to spoil."""
    save_checkpoint(tmp_path / "model", network_of(INFO), INFO)
    return tmp_path / "model"


def depth_of(network: DepthNetwork) -> Tensor:
    with torch.no_grad():
        return network(torch.rand(2, 3, 48, 64, generator=torch.Generator().manual_seed(0)))


def test_round_trip(checkpoint: Path) -> None:
    network, info = load_checkpoint(checkpoint, CPU)
    assert info == INFO
    assert network.config == INFO.model.network
    assert not any(module.training for module in network.modules())
    assert torch.equal(depth_of(network), depth_of(network_of(INFO).eval()))
    saved, loaded = network_of(INFO).state_dict(), network.state_dict()
    assert saved.keys() == loaded.keys()
    assert all(torch.equal(saved[name], loaded[name]) for name in saved)


@pytest.mark.parametrize("decoder", ["baseline", "baseline+"])
def test_round_trip_of_mostly_defaults(decoder: str, tmp_path: Path) -> None:
    info = CheckpointInfo(
        ModelConfig().with_settings(backbone="test_vit", decoder=decoder, aspp_channels=4, fuse_channels=4),
        TrainConfig(),
    )
    save_checkpoint(tmp_path, network_of(info), info)
    network, again = load_checkpoint(tmp_path, CPU)
    assert again == info
    assert torch.equal(depth_of(network), depth_of(network_of(info).eval()))


def test_loading_leaves_the_seed_to_the_weights(checkpoint: Path) -> None:
    """No tensor keeps what the fresh network was given at random."""
    depths = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        depths.append(depth_of(load_checkpoint(checkpoint, CPU)[0]))
    assert torch.equal(*depths)


def test_saving_does_not_touch_the_network(tmp_path: Path) -> None:
    network = network_of(INFO)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    save_checkpoint(tmp_path / "model", network, INFO)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


def test_saving_again_replaces(checkpoint: Path) -> None:
    network = network_of(INFO)
    nn.init.constant_(network.decoder.logits.bias, 0.125)
    save_checkpoint(checkpoint, network, INFO)
    assert load_checkpoint(checkpoint, CPU)[0].decoder.logits.bias.item() == 0.125


def test_files_of_a_checkpoint(checkpoint: Path) -> None:
    assert sorted(file.name for file in checkpoint.iterdir()) == ["README.md", "config.json", "model.safetensors"]
    assert json.loads((checkpoint / "config.json").read_text())["hqmd_version"] == __version__
    card = (checkpoint / "README.md").read_text()
    for text in ("test_efficientnet", "baseline", "pairs, train", "7 steps", "`hu`", "seed 11"):
        assert text in card
    assert "0.2500" in card
    assert "Protocol hqmd: filled ground truth, whole picture." in card  # a figure never stands without it


def test_half_precision_weights_load_into_float32(checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    state = load_file(path)
    save_file({name: t.half() if t.is_floating_point() else t for name, t in state.items()}, path)
    network, _ = load_checkpoint(checkpoint, CPU)
    assert {p.dtype for p in network.parameters()} == {torch.float32}
    assert torch.equal(network.state_dict()[TENSOR], state[TENSOR].half().float())
    torch.testing.assert_close(depth_of(network), depth_of(network_of(INFO).eval()), rtol=0.01, atol=0.01)


def changed_tensors(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    """Spoil model.safetensors by changing its tensors."""

    def spoil(path: Path) -> None:
        state = load_file(path)
        change(state)
        save_file(state, path)

    return spoil


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def replace_by_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


@pytest.mark.parametrize(
    ("spoil", "complaint"),
    [
        (changed_tensors(lambda state: state.pop(TENSOR)), TENSOR),
        (changed_tensors(lambda state: state.update({"decoder.more": torch.zeros(2)})), "decoder.more"),
        (changed_tensors(lambda state: state.update({TENSOR: state[TENSOR][:, :-1].clone()})), TENSOR),
        (changed_tensors(lambda state: state.update({TENSOR: state[TENSOR].flatten()})), TENSOR),
        (changed_tensors(lambda state: state.clear()), "do not match"),
        (truncate, "cannot be read"),
        (lambda path: path.write_bytes(b""), "cannot be read"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\n"), "cannot be read"),
        (Path.unlink, "cannot be read"),
        (replace_by_folder, "cannot be read"),
    ],
    ids=["missing", "extra", "misshapen", "flattened", "none", "truncated", "empty", "pointer", "absent", "folder"],
)
def test_damaged_weights(spoil: Callable[[Path], None], complaint: str, checkpoint: Path) -> None:
    path = checkpoint / "model.safetensors"
    spoil(path)
    with pytest.raises(HqmdError) as refusal:
        load_checkpoint(checkpoint, CPU)
    assert str(path) in str(refusal.value)
    assert complaint in str(refusal.value)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xff\xfe\x00garbage",
        b"{",
        b"[]",
        b"7",
        b"null",
        b'"text"',
        b"{}",
        b'{"architectures": ["BertModel"], "model_type": "bert"}',
    ],
)
def test_config_that_is_not_ours(content: bytes, checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    path.write_bytes(content)
    with pytest.raises(HqmdError) as refusal:
        load_checkpoint(checkpoint, CPU)
    assert str(path) in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("section", "key", "value"),
    [
        ("model", "wings", 2),
        ("training", "wings", 2),
        ("model", "output_stride", 5),
        ("model", "size", [64]),
        ("training", "lr", -1),
    ],
)
def test_config_with_a_setting_that_cannot_be(section: str, key: str, value: Any, checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    values = json.loads(path.read_text())
    values[section][key] = value
    path.write_text(json.dumps(values))
    with pytest.raises(HqmdError) as refusal:
        read_info(checkpoint)
    assert str(path) in str(refusal.value)
    assert key in str(refusal.value)


@pytest.mark.parametrize("section", ["model", "training", "data", "step", "figures"])
def test_config_without_a_section(section: str, checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    values = json.loads(path.read_text())
    del values[section]
    path.write_text(json.dumps(values))
    with pytest.raises(HqmdError, match=section) as refusal:
        read_info(checkpoint)
    assert str(path) in str(refusal.value)


def test_a_folder_without_config(tmp_path: Path) -> None:
    with pytest.raises(HqmdError) as refusal:
        read_info(tmp_path)
    assert str(tmp_path / "config.json") in str(refusal.value)


def test_weights_of_another_network(checkpoint: Path) -> None:
    path = checkpoint / "config.json"
    path.write_text(path.read_text().replace('"aspp_channels": 5', '"aspp_channels": 8'))
    with pytest.raises(HqmdError, match="do not match") as refusal:
        load_checkpoint(checkpoint, CPU)
    assert str(checkpoint / "model.safetensors") in str(refusal.value)
