"""Model cards: README.md of a checkpoint."""

import json
from functools import cache
from typing import Any

from hqmd_cli.checkpoints.info import CheckpointInfo, require_figures
from hqmd_cli.checkpoints.settings import compared, paper_of, shown
from hqmd_cli.config.network import OURS, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.config.view import View, sides_in_words
from hqmd_cli.units import DIGITS

# Cards and `hqmd models` say it alike.
WEIGHTS_LICENCE = "the terms of the training data decide how the weights may be used; Apache-2.0 is that of hqmd's code"


def model_card(name: str, info: CheckpointInfo, address: str = "THIS_FOLDER") -> str:
    """Write a checkpoint's README.md: networks, data, recipe, and figures with their protocol.

    `address` is the name that --model takes for the checkpoint.
    """
    model, training, members = info.model, info.training, (info.model, *info.model.others)
    networks = [
        f"{parts_of(member)}, trained at {member.network.size[0]} x {member.network.size[1]}"
        f"{f', sees photos at {member.view_percent} % of the first' if member.view_percent != 100 else ''}"
        for member in members
    ]
    weights = " : ".join(f"{member.weight:g}" for member in members)
    lines = [
        "---",
        "library_name: hqmd",
        "pipeline_tag: depth-estimation",
        "tags: [depth-estimation, monocular-depth, metric-depth]",
        "license: other",
        "license_name: terms-of-the-training-data",
        "---",
        f"# {name}",
        "",
        "Metric depth (metres) from a single photo, made by `hqmd train`. To use it:",
        "",
        f"    hqmd predict PHOTO -o depth.png --model {address}",
        "",
        *(f"- Network: {network}" for network in networks),
        *(
            [f"- Their depths are averaged, {weights}; the training described below is that of the first"]
            if members[1:]
            else []
        ),
        f"- Trained on: {info.data}; {info.step} steps of {training.batching.batch_size} pictures, "
        f"loss `{training.objective.loss}`, seed {training.batching.seed}",
        f"- Started from: {info.backbone_weights}",
        *([f"- Also learned from the depth of: {info.teacher}"] if info.teacher else []),
        f"- Sees photos with their shorter side at {seen(model.shown_sides, model.view)}",
        *(f"- With `--size {name}`: at {seen(v.sides, v)}" for name, v in model.presets.items()),
        *(
            ["- Its depth is fitted to the photo's edges (hqmd_cli/inference/guided_filter.py)"]
            if model.view.edge_share
            else []
        ),
        *(
            [f"- Calibrated on held-out photos: its depth {model.view.calibration_in_words}"]
            if model.view.is_calibrated
            else []
        ),
        f"- Recipe: {recipe_of(training, model.network.system)}",
        f"- Protocol of the validation after each epoch: {training.objective.protocol}",
        "- All settings: `config.json`",
        f"- Licence: {WEIGHTS_LICENCE}",
        "",
        *(["Made by", "", f"    {info.command}", ""] if info.command else []),
        *([info.note, ""] if info.note else []),
        *figures_table(info.figures),
    ]
    return "\n".join(lines)


def seen(sides: tuple[int, ...], view: View) -> str:
    """Describe at which sizes a view shows photos."""
    return sides_in_words(sides, view.flip, view.detail_sides)


@cache
def recipe_of(training: TrainConfig, system: str) -> str:
    """List the training settings that differ from those of the system's authors; a run asks after each epoch."""
    others = [setting for setting in compared(training, paper_of(system)[1]) if setting.differs]
    told = ", ".join(f"{setting.name} {shown(setting.value)} ({shown(setting.paper)})" for setting in others)
    return f"the paper's, except (paper's values in brackets) {told}" if others else "the paper's"


def parts_of(model: ModelConfig) -> str:
    """Describe a network in a line."""
    network = model.network
    if network.system == OURS:
        blocks = ", ".join(map(str, network.high_blocks))  # of a ViT, which has no strides to choose
        features = f"features of blocks {blocks}" if blocks else f"output stride {network.output_stride}"
        return f"{network.backbone} with {features}, ASPP, decoder {network.decoder}"
    if model.transformers:
        family = json.loads(model.transformers)["config"]["model_type"]
        return f"{family} of transformers, which opens this folder, too"
    return f"{network.system} (`hqmd models` says whose)"


def figures_table(figures: dict[str, Any]) -> list[str]:
    """Return Markdown lines: each metric with its interval, and the protocol; no lines if nothing was measured.

    Raises HqmdError for incomplete figures.
    """
    if not figures:
        return []
    require_figures(figures)

    def shown(value: float | None) -> str:
        return "unknown" if value is None else f"{value:.{DIGITS}f}"

    rows = [
        f"| {name} | {shown(value)} | {' to '.join(map(shown, figures['intervals'].get(name) or [None]))} |"
        for name, value in figures["metrics"].items()
    ]
    return [
        f"Measured on {figures['data']} ({figures['n']} pictures).",
        f"Protocol {figures['protocol']}: {figures['recipe']}.",
        "",
        f"| metric | figure | {figures.get('intervals_by', '')} |",
        "| --- | --- | --- |",
        *rows,
        "",
    ]
