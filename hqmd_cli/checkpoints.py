"""A checkpoint is a folder in the Hugging Face hub's convention; it reopens itself without a flag.

config.json         hqmd version, ModelConfig, TrainConfig, what it was trained on, figures with their protocol
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, reading the same weights; not every checkpoint has one (export.py)
README.md           model card
"""

import json
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqmd_cli import __version__
from hqmd_cli.config import ModelConfig, TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from hqmd_cli.images import write_aside, write_text
from hqmd_cli.metrics import DIGITS

if TYPE_CHECKING:
    import torch

    from hqmd_cli.models.network import DepthNetwork


@dataclass(frozen=True)
class CheckpointInfo:
    """Everything about a checkpoint but its weights."""

    model: ModelConfig
    training: TrainConfig
    data: str = ""  # what it was trained on
    step: int = 0
    figures: dict[str, Any] = field(default_factory=dict)  # see evaluation.Result.to_dict
    backbone_weights: str = "none"  # what the backbone started from: default (timm's), none, or the name of a file
    teacher: str = ""  # the model that it learned from besides the ground truth, if there was one

    def to_dict(self) -> dict[str, Any]:
        """Plain data for config.json."""
        return {
            "hqmd_version": __version__,
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
            "data": self.data,
            "backbone_weights": self.backbone_weights,
            "teacher": self.teacher,
            "step": self.step,
            "figures": self.figures,
        }


def save_checkpoint(folder: Path, network: "DepthNetwork", info: CheckpointInfo, half: bool = False) -> None:
    """Write the folder, each file by rename; with `half`, kernels and matrices in half precision.

    Vectors stay in float32: they are few, and the variances of batch norm can exceed what half precision holds.
    """
    from safetensors.torch import save

    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in network.state_dict().items()}
    if half:
        tensors = {name: tensor.half() if tensor.ndim > 1 else tensor for name, tensor in tensors.items()}
        if not all(tensor.isfinite().all() for tensor in tensors.values()):
            raise HqmdError(f"{folder}: a weight is too large for half precision")
    content = save(tensors, metadata={"format": "pt"})  # not save_file: it has words of its own for a full disk
    write_aside(folder / WEIGHTS_FILE, lambda aside: aside.write_bytes(content))
    write_text(folder / CONFIG_FILE, json.dumps(info.to_dict(), indent=2) + "\n")
    write_text(folder / CARD_FILE, model_card(folder.name, info))


def read_info(folder: Path) -> CheckpointInfo:
    """Read config.json. Raises HqmdError naming the file when it is not one of ours."""
    path = folder / CONFIG_FILE
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return CheckpointInfo(
            ModelConfig.from_dict(values["model"]),
            TrainConfig.from_dict(values["training"]),
            values["data"],
            values["step"],
            values["figures"],
            values["backbone_weights"],
            values.get("teacher", ""),  # unknown to version 0.1
        )
    except HqmdError as error:  # a setting that is unknown or cannot be
        raise HqmdError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HqmdError(f"{path}: not an hqmd checkpoint's config: {type(error).__name__} {error}") from error


def load_checkpoint(folder: Path, device: "torch.device") -> "tuple[DepthNetwork, CheckpointInfo]":
    """Rebuild the network, in evaluation mode. Strict: raises HqmdError listing tensors that do not match."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    from hqmd_cli.models import build_model

    info = read_info(folder)
    path = folder / WEIGHTS_FILE
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise HqmdError(f"{path}: cannot be read: {error}") from error
    try:
        network = build_model(info.model, backbone_weights=None)
    except HqmdError as error:  # a decoder, backbone or activation that this version does not have
        raise HqmdError(f"{folder / CONFIG_FILE}: {error}") from error
    own = network.state_dict()
    wrong = sorted(own.keys() ^ state.keys()) + [n for n in own.keys() & state.keys() if own[n].shape != state[n].shape]
    if wrong:
        raise HqmdError(f"{path}: {len(wrong)} tensors do not match {CONFIG_FILE}, such as {wrong[0]}")
    network.load_state_dict({name: tensor.to(own[name].dtype) for name, tensor in state.items()})
    return network.to(device).eval(), info


def publish_checkpoint(source: Path, folder: Path, predict_side: int | None = None) -> None:
    """Copy a checkpoint to a folder that is meant to be kept: half-precision weights, no state of any run.

    Its figures are those of the source; whoever changes `predict_side` measures again. Raises HqmdError when there is
    something at `folder` already.
    """
    import torch

    if folder.exists():
        raise HqmdError(f"{folder}: exists already; remove it, or choose another -o")
    network, info = load_checkpoint(source, torch.device("cpu"))
    if predict_side:
        info = replace(info, model=replace(info.model, predict_side=predict_side))
    save_checkpoint(folder, network, info, half=True)


def model_card(name: str, info: CheckpointInfo) -> str:
    """README.md of a checkpoint: what it is, what it was made from, what it reached and by which protocol."""
    model, training, figures = info.model, info.training, info.figures
    lines = [
        "---",
        "library_name: hqmd",
        "pipeline_tag: depth-estimation",
        "tags: [depth-estimation, monocular-depth, metric-depth]",
        "---",
        f"# {name}",
        "",
        "Metric depth (metres) from a single photo, made by `hqmd train`. To use it:",
        "",
        "    hqmd predict PHOTO -o depth.png --model THIS_FOLDER",
        "",
        f"- Network: {model.backbone} at output stride {model.output_stride}, ASPP, decoder {model.decoder}, "
        f"trained at {model.size[0]} x {model.size[1]}",
        f"- Trained on: {info.data}; {info.step} steps of {training.batch_size} pictures, loss `{training.loss}`, "
        f"seed {training.seed}",
        f"- The backbone started from: {info.backbone_weights}",
        *([f"- Learned from the depth of {info.teacher}, too"] if info.teacher else []),
        "- All settings: `config.json`",
        "",
    ]
    if figures:
        values = ("unknown" if v is None else f"{v:.{DIGITS}f}" for v in figures["metrics"].values())
        lines += [
            f"Measured on {figures['data']} ({figures['n']} pictures):",
            "",
            "| " + " | ".join(figures["metrics"]) + " |",
            "|" + " --- |" * len(figures["metrics"]),
            "| " + " | ".join(values) + " |",
            "",
            f"Protocol {figures['protocol']}: {figures['recipe']}.",
            "",
        ]
    return "\n".join(lines)
