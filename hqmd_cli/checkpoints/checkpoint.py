"""Write and read checkpoints: folders in the Hugging Face hub's convention, which reopen without a flag.

config.json         hqmd's version, ModelConfig, TrainConfig, the training data, and figures with their protocol; of a
                    network of transformers also its settings there, and preprocessor_config.json
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, which reads the same weights; optional (export/onnx_graph.py)
model.int8.onnx     the graph in 8-bit integers, which are made from the same weights when it is opened; optional
photo_hashes.npy    of what it learned from; optional (photo_hashes.py)
README.md           model card
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from shutil import copyfile
from typing import TYPE_CHECKING, Any

from hqmd_cli import __version__
from hqmd_cli.checkpoints.card import model_card
from hqmd_cli.checkpoints.config_file import read_config
from hqmd_cli.checkpoints.hub import (
    CARD_FILE,
    CONFIG_FILE,
    HASHES_FILE,
    PROCESSOR_FILE,
    WEIGHTS_FILE,
    copy_of,
    shared_place,
)
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.weights import load_weights, require_recorded
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_bytes, write_text

if TYPE_CHECKING:
    import torch

    from hqmd_cli.models import Network


def save_checkpoint(folder: Path, network: "Network", info: CheckpointInfo, half: bool = False, name: str = "") -> None:
    """Write the folder, each file by rename. `name` is for the card; the folder's without one.

    `half` stores kernels and matrices in half precision. Vectors stay in float32: they are small, and the variances of
    batch norm can exceed the range of half precision. Raises HqmdError if a weight does.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise HqmdError(f"{folder}: a weight is too large for half precision")
    content = save(tensors, metadata={"format": "pt"})  # not save_file, which raises errors of its own on a full disk
    config = config_text(info, hashlib.sha256(content).hexdigest())
    processor = foreign_parts(info.model).get("processor")
    card = model_card(name or folder.name, info)
    write_bytes(folder / WEIGHTS_FILE, content)
    write_text(folder / CONFIG_FILE, config)
    write_text(folder / CARD_FILE, card)
    if processor:
        write_text(folder / PROCESSOR_FILE, json.dumps(processor, indent=2) + "\n")


def foreign_parts(model: ModelConfig) -> dict[str, Any]:
    """Return "config" and "processor" of a network of transformers, as that library writes them; empty for others."""
    return json.loads(model.transformers) if model.transformers and not model.others else {}


def copy_checkpoint(source: Path, folder: Path, name: str) -> None:
    """Copy all but the graphs into an empty folder; the card's title becomes `name`."""
    optional = [file for file in (PROCESSOR_FILE, HASHES_FILE) if (source / file).exists()]
    for file in (CONFIG_FILE, WEIGHTS_FILE, *optional):
        copyfile(source / file, folder / file)
    card = (source / CARD_FILE).read_text(encoding="utf-8")
    (folder / CARD_FILE).write_text(card.replace(f"# {source.name}\n", f"# {name}\n", 1), encoding="utf-8")


def read_info(folder: Path) -> CheckpointInfo:
    """Read config.json. Raises HqmdError, which names the file, if hqmd did not write it."""

    def info_of(values: Mapping[str, Any]) -> CheckpointInfo:
        return CheckpointInfo(
            ModelConfig.from_flat(values["model"]),
            TrainConfig.from_flat(values["training"]),
            values["data"],
            values["step"],
            values["figures"],
            values["backbone_weights"],
            values.get("teacher", ""),  # version 0.1 wrote neither this nor the next three
            values.get("note", ""),
            values.get("command", ""),
            values.get("weights_sha256", ""),
        )

    return read_config(folder, info_of)


def load_checkpoint(folder: Path, device: "torch.device") -> "tuple[Network, CheckpointInfo]":
    """Rebuild the network, in evaluation mode. Raises HqmdError if a tensor does not match."""
    from hqmd_cli.models import build_model

    info = read_info(folder)
    try:
        network = build_model(info.model, backbone_weights=None)
    except HqmdError as error:  # a decoder, backbone or activation that this version does not have
        raise HqmdError(f"{folder / CONFIG_FILE}: {error}") from error
    load_weights(network, folder)
    return network.to(device).eval(), info


def publish_checkpoint(source: Path, folder: Path, note: str | None = None, name: str = "") -> None:
    """Copy a checkpoint to a folder for publishing, with half-precision weights and the figures of the source.

    `name` as in save_checkpoint.
    """
    import torch

    network, info = load_checkpoint(source, torch.device("cpu"))
    require_recorded(source, info.weights_sha256)
    if note is not None:
        info = replace(info, note=note)
    save_checkpoint(folder, network, info, half=True, name=name)
    if (source / HASHES_FILE).exists():
        copyfile(source / HASHES_FILE, folder / HASHES_FILE)


def record_figures(folder: Path, figures: dict[str, Any], model: ModelConfig | None = None) -> None:
    """Write figures, and the settings that they were measured with, to config.json and the card."""
    info = read_info(folder)
    write_info(folder, replace(info, figures=figures, model=model or info.model))


def record_model(folder: Path, model: ModelConfig) -> None:
    """Write settings on which the checkpoint's figures do not depend, such as its presets."""
    write_info(folder, replace(read_info(folder), model=model))


def write_info(folder: Path, info: CheckpointInfo) -> None:
    """Write config.json and the card.

    Raises HqmdError for a folder that is not the user's own to change, such as one in the hub's cache.
    """
    if where := shared_place(folder):
        raise HqmdError(f"{folder}: lies in {where}, and is not changed; {copy_of(str(folder))}")
    config, card = config_text(info), model_card(folder.name, info)
    write_text(folder / CONFIG_FILE, config)
    write_text(folder / CARD_FILE, card)


def config_text(info: CheckpointInfo, weights_sha256: str = "") -> str:
    """Return the content of config.json; with the hash of other weights than those of `info`, if it is given."""
    weights_sha256 = weights_sha256 or info.weights_sha256
    values = {
        **foreign_parts(info.model).get("config", {}),
        "hqmd_version": __version__,
        "model": info.model.to_flat(),
        "training": info.training.to_flat(),
        "data": info.data,
        "backbone_weights": info.backbone_weights,
        "teacher": info.teacher,
        "note": info.note,
        "command": info.command,
        **({"weights_sha256": weights_sha256} if weights_sha256 else {}),
        "step": info.step,
        "figures": info.figures,
    }
    return json.dumps(values, indent=2) + "\n"
