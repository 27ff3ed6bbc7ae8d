"""A checkpoint is a folder in the Hugging Face hub's convention; it reopens itself without a flag.

config.json         hqmd version, ModelConfig, TrainConfig, what it was trained on and how, figures with their protocol
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, reading the same weights; not every checkpoint has one (export.py)
model.int8.onnx     the same in 8-bit integers, which it makes of the same weights when it is opened
README.md           model card
"""

from typing import TYPE_CHECKING, Any

from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.settings import compared, paper_of, shown
from hqmd_cli.config.inference import in_pixels
from hqmd_cli.config.network import ModelConfig
from hqmd_cli.units import DIGITS

if TYPE_CHECKING:
    pass


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
        *(
            ["- Its depth is fitted to the photo's edges (hqmd_cli/inference/guided_filter.py)"]
            if info.model.edge_share
            else []
        ),
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
