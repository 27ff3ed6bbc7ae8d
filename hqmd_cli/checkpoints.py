"""A checkpoint is a folder in the Hugging Face hub's convention; it reopens itself without a flag.

config.json         hqmd version, ModelConfig, TrainConfig, what it was trained on and how, figures with their protocol
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, reading the same weights; not every checkpoint has one (export.py)
model.int8.onnx     the same in 8-bit integers, which it makes of the same weights when it is opened
README.md           model card
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hqmd_cli import __version__
from hqmd_cli.config import ModelConfig, TrainConfig
from hqmd_cli.errors import HqmdError
from hqmd_cli.hub import CARD_FILE, CONFIG_FILE, WEIGHTS_FILE
from hqmd_cli.images import write_aside, write_text
from hqmd_cli.metrics import DIGITS
from hqmd_cli.settings import compared, paper_of, shown
from hqmd_cli.views import in_pixels

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from hqmd_cli.models import Network
    from hqmd_cli.models.system import DepthModel

HISTORY = ("data", "backbone_weights", "teacher")  # what a checkpoint's info says in words about where it came from

# Ends of the names of tensors that are not learned: those of batch norm.
COUNTED_NOT = ("running_mean", "running_var", "num_batches_tracked")


@dataclass(frozen=True)
class CheckpointInfo:
    """Everything about a checkpoint but its weights."""

    model: ModelConfig
    training: TrainConfig
    data: str = ""  # what it was trained on
    step: int = 0
    figures: dict[str, Any] = field(default_factory=dict)  # see figures.Result.to_dict
    backbone_weights: str = "none"  # what it started from: default (timm's), none, a file, or another model
    teacher: str = ""  # the model that it learned from besides the ground truth, if there was one
    note: str = ""  # the publisher's, Markdown for the card: licences, limits
    command: str = ""  # that made it, as command_line.py tells it; not known of those of version 0.1

    def to_dict(self) -> dict[str, Any]:
        """Plain data for config.json."""
        return {
            "hqmd_version": __version__,
            "model": self.model.to_dict(),
            "training": self.training.to_dict(),
            "data": self.data,
            "backbone_weights": self.backbone_weights,
            "teacher": self.teacher,
            "note": self.note,
            "command": self.command,
            "step": self.step,
            "figures": self.figures,
        }


def save_checkpoint(folder: Path, network: "Network", info: CheckpointInfo, half: bool = False, name: str = "") -> None:
    """Write the folder, each file by rename; with `half`, kernels and matrices in half precision.

    `name` is what the card calls it, when that is not the folder's.

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
    write_info(folder, info, name)


def read_info(folder: Path) -> CheckpointInfo:
    """Read config.json. Raises HqmdError naming the file when it is not one of ours."""
    path, values = folder / CONFIG_FILE, None
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return CheckpointInfo(
            ModelConfig.from_dict(values["model"]),
            TrainConfig.from_dict(values["training"]),
            values["data"],
            values["step"],
            values["figures"],
            values["backbone_weights"],
            values.get("teacher", ""),  # unknown to version 0.1, as are the next
            values.get("note", ""),
            values.get("command", ""),
        )
    except HqmdError as error:  # a setting that is unknown or cannot be
        raise HqmdError(f"{path}: {error}") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        if isinstance(values, dict) and "model_type" in values:
            raise HqmdError(f"{path}: that of a model of transformers; write hf: before its name") from error
        raise HqmdError(f"{path}: not an hqmd checkpoint's config: {type(error).__name__} {error}") from error


def load_checkpoint(folder: Path, device: "torch.device") -> "tuple[Network, CheckpointInfo]":
    """Rebuild the network, in evaluation mode. Strict: raises HqmdError listing tensors that do not match."""
    from hqmd_cli.models import build_model

    info = read_info(folder)
    try:
        network = build_model(info.model, backbone_weights=None)
    except HqmdError as error:  # a decoder, backbone or activation that this version does not have
        raise HqmdError(f"{folder / CONFIG_FILE}: {error}") from error
    load_weights(network, folder)
    return network.to(device).eval(), info


def count_parameters(folder: Path) -> int:
    """How many numbers were learned, by the head of the weights' file: torch is not needed.

    Raises HqmdError when that cannot be read.
    """
    from safetensors import SafetensorError, safe_open

    path = folder / WEIGHTS_FILE
    try:
        with safe_open(path, "np") as file:
            names = [name for name in file.keys() if not name.endswith(COUNTED_NOT)]  # noqa: SIM118  # it is no dict
            return sum(math.prod(file.get_slice(name).get_shape()) for name in names)
    except (OSError, SafetensorError) as error:
        raise HqmdError(f"{path}: cannot be read: {error}") from error


def load_weights(network: "Network", folder: Path) -> None:
    """Give a network the weights of a checkpoint. Raises HqmdError when the two are not alike in every tensor."""
    state, own = read_weights(folder), network.state_dict()
    if wrong := sorted(own.keys() ^ state.keys()) + unlike(own, state):
        raise mismatch(folder, wrong)
    fill(network, state)


def start_weights(network: "DepthModel", folder: Path) -> list[str]:
    """The same as far as two networks are alike: the start of training. Returns which layers begin anew.

    The backbone takes all its weights from there, but need not take all that there are (ModelConfig.high_blocks);
    layers behind it that are of another size than the checkpoint's begin anew. Raises HqmdError for another backbone,
    and for a network without one whose layers differ.
    """
    state, own = read_weights(folder), network.state_dict()
    new = sorted({*(own.keys() - state.keys()), *unlike(own, state)})
    firm = {name for name in own if name.startswith("backbone.")} or own.keys()
    if wrong := [name for name in new if name in firm]:
        raise mismatch(folder, wrong)
    fill(network, {name: tensor for name, tensor in state.items() if name in own and name not in new})
    return sorted({name.rpartition(".")[0] for name in new})


def read_weights(folder: Path) -> "dict[str, Tensor]":
    """The tensors of a checkpoint by name. Raises HqmdError when they cannot be read."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS_FILE
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise HqmdError(f"{path}: cannot be read: {error}") from error


def unlike(own: "Mapping[str, Tensor]", state: "Mapping[str, Tensor]") -> list[str]:
    """The tensors that both have, in other shapes."""
    return [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]


def mismatch(folder: Path, wrong: Sequence[str]) -> HqmdError:
    """What is said of tensors that do not fit."""
    path = folder / WEIGHTS_FILE
    return HqmdError(f"{path}: {len(wrong)} tensors do not match the network's settings, such as {wrong[0]}")


def fill(network: "Network", state: "Mapping[str, Tensor]") -> None:
    """Copy tensors into a network's, in its own precision; those that `state` does not have stay."""
    own = network.state_dict()
    network.load_state_dict({**own, **{name: tensor.to(own[name].dtype) for name, tensor in state.items()}})


def publish_checkpoint(source: Path, folder: Path, note: str | None = None, name: str = "") -> None:
    """Copy a checkpoint to a folder that is meant to be kept: half-precision weights, no state of any run.

    Its figures are those of the source; `name` as in save_checkpoint. Raises HqmdError when there is something at
    `folder` already.
    """
    import torch

    if folder.exists():
        raise HqmdError(f"{folder}: exists already; remove it, or choose another -o")
    network, info = load_checkpoint(source, torch.device("cpu"))
    if note is not None:
        info = replace(info, note=note)
    save_checkpoint(folder, network, info, half=True, name=name)


def merge_checkpoints(
    sources: Sequence[Path], folder: Path, view_percents: Sequence[int] = (), weights: Sequence[float] = ()
) -> None:
    """Write one checkpoint that averages several (models/committee.py). It has no figures until it is measured.

    view_percents: how large each model sees the picture, of what the first one sees; none: as large. weights: how much
    each counts; none: every network alike.

    Raises HqmdError when there is something at `folder` already, or the networks do not go together.
    """
    import torch

    from hqmd_cli.models import build_model

    if folder.exists():
        raise HqmdError(f"{folder}: exists already; remove it, or choose another -o")
    networks, infos = zip(*(load_checkpoint(source, torch.device("cpu")) for source in sources), strict=True)
    members = [member for info in infos for member in info.model.members]
    first = infos[0]
    # What is made of each model's depth, averaged as their depths are; exact where all have one power.
    laws = [(info.model.calibration, info.model.calibration_power) for info in infos for _ in info.model.members]
    calibration = round(math.exp(math.fsum(math.log(factor) for factor, _ in laws) / len(laws)), 4)
    power = round(math.fsum(power for _, power in laws) / len(laws), 4)
    sides = first.model.predict_sides
    views = view_percents or [100] * len(sources)
    if len(views) != len(sources) or views[0] != 100:
        raise HqmdError(f"views {','.join(map(str, views))}: give one for each model, 100 for the first")
    if weights and len(weights) != len(sources):
        raise HqmdError(f"weights {','.join(map(str, weights))}: give one for each model")
    views = [
        view * member.view_percent // 100
        for info, view in zip(infos, views, strict=True)
        for member in info.model.members
    ]
    counts = [
        weight * member.weight
        for info, weight in zip(infos, weights or [1.0] * len(sources), strict=True)
        for member in info.model.members
    ]
    try:
        plain = [
            replace(member, calibration=1.0, calibration_power=1.0, presets=(), view_percent=view, weight=weight)
            for member, view, weight in zip(members, views, counts, strict=True)
        ]
        model = replace(
            plain[0], also=tuple(plain[1:]), predict_sides=sides, calibration=calibration, calibration_power=power
        )
    except HqmdError as error:
        raise HqmdError(f"{' and '.join(map(str, sources))}: {error}") from error
    committee = build_model(model, backbone_weights=None)
    parts = [part for network in networks for part in getattr(network, "members", [network])]
    for place, part in zip(committee.members, parts, strict=True):  # type: ignore[arg-type]
        place.load_state_dict(part.state_dict())
    together = {name: " + ".join(dict.fromkeys(filter(None, (getattr(i, name) for i in infos)))) for name in HISTORY}
    note = "\n\n".join(dict.fromkeys(filter(None, (info.note for info in infos))))
    commands = [info.command for info in infos]
    command = " && ".join(dict.fromkeys(commands)) if all(commands) else ""  # a part of them would mislead
    save_checkpoint(folder, committee, replace(first, model=model, figures={}, note=note, command=command, **together))


def record_figures(folder: Path, figures: dict[str, Any], model: ModelConfig | None = None) -> None:
    """Make figures, and the settings they were measured with, those of a checkpoint: in config.json and on its card."""
    info = read_info(folder)
    write_info(folder, replace(info, figures=figures, model=model or info.model))


def record_model(folder: Path, model: ModelConfig) -> None:
    """Change settings that a checkpoint's figures do not depend on, such as its presets."""
    write_info(folder, replace(read_info(folder), model=model))


def write_info(folder: Path, info: CheckpointInfo, name: str = "") -> None:
    """config.json and card; `name` as in save_checkpoint."""
    write_text(folder / CONFIG_FILE, json.dumps(info.to_dict(), indent=2) + "\n")
    write_text(folder / CARD_FILE, model_card(name or folder.name, info))


def model_card(name: str, info: CheckpointInfo, address: str = "THIS_FOLDER") -> str:
    """README.md of a checkpoint: what it is, how it was made and from what, what it reached and by which protocol.

    `address` is what --model takes for it.
    """
    training, members = info.training, info.model.members
    asked = [f"- Its depth {info.model.calibration_in_words}, as held-out photos asked"]
    networks = [
        f"{parts_of(member)}, trained at {member.size[0]} x {member.size[1]}"
        f"{f', sees photos at {member.view_percent} % of the first' if member.view_percent != 100 else ''}"
        for member in members
    ]
    weights = " : ".join(f"{member.weight:g}" for member in members)
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
        f"    hqmd predict PHOTO -o depth.png --model {address}",
        "",
        *(f"- Network: {network}" for network in networks),
        *([f"- Their answers are averaged, {weights}; what follows is true of the first"] if members[1:] else []),
        f"- Trained on: {info.data}; {info.step} steps of {training.batch_size} pictures, loss `{training.loss}`, "
        f"seed {training.seed}",
        f"- It started from: {info.backbone_weights}",
        *([f"- Learned from the depth of {info.teacher}, too"] if info.teacher else []),
        f"- Sees photos with their shorter side at {in_pixels(info.model.shown_sides, info.model.predict_flip)}",
        *(f"- With `--size {p.name}`: at {in_pixels(p.sides, p.flip)}" for p in info.model.presets),
        *(["- Its depth is fitted to the photo's edges (hqmd_cli/edges.py)"] if info.model.edge_share else []),
        *(asked if info.model.is_calibrated else []),
        f"- Recipe: {recipe_of(info)}",
        f"- The validation after each epoch was by protocol {training.protocol}",
        "- All settings: `config.json`",
        "",
        *(["Made by", "", f"    {info.command}", ""] if info.command else []),
        *([info.note, ""] if info.note else []),
        *figures_table(info.figures),
    ]
    return "\n".join(lines)


def recipe_of(info: CheckpointInfo) -> str:
    """How it was trained, in words: what is not as its network's authors did it."""
    others = [setting for setting in compared(info.training, paper_of(info.model.system)[1]) if setting.differs]
    told = ", ".join(f"{setting.name} {shown(setting.value)} ({shown(setting.paper)})" for setting in others)
    return f"the paper's, but for (in brackets the paper's) {told}" if others else "the paper's"


def parts_of(member: ModelConfig) -> str:
    """A network in words."""
    if member.system == ModelConfig.system:
        return f"{member.backbone} at output stride {member.output_stride}, ASPP, decoder {member.decoder}"
    return f"{member.system} (`hqmd models` says whose)"


def figures_table(figures: dict[str, Any]) -> list[str]:
    """Each metric with its interval, and the protocol, as lines of Markdown; nothing where nothing was measured."""
    if not figures:
        return []

    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.{DIGITS}f}"

    rows = [
        f"| {name} | {shown(value)} | {' to '.join(map(shown, figures['intervals'][name] or [None]))} |"
        for name, value in figures["metrics"].items()
    ]
    return [
        f"Measured on {figures['data']} ({figures['n']} pictures).",
        f"Protocol {figures['protocol']}: {figures['recipe']}.",
        "",
        f"| metric | figure | {figures['intervals_by']} |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]
