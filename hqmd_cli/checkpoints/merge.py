"""A checkpoint is a folder in the Hugging Face hub's convention; it reopens itself without a flag.

config.json         hqmd version, ModelConfig, TrainConfig, what it was trained on and how, figures with their protocol
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, reading the same weights; not every checkpoint has one (export.py)
model.int8.onnx     the same in 8-bit integers, which it makes of the same weights when it is opened
README.md           model card
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from hqmd_cli.errors import HqmdError

if TYPE_CHECKING:
    pass


HISTORY = ("data", "backbone_weights", "teacher")  # what a checkpoint's info says in words about where it came from


def merge_checkpoints(
    sources: Sequence[Path], folder: Path, view_percents: Sequence[int] = (), weights: Sequence[float] = ()
) -> None:
    """Write one checkpoint that averages several (models/ensemble.py). It has no figures until it is measured.

    view_percents: how large each model sees the picture, of what the first one sees; none: as large. weights: how much
    each counts; none: every network alike.

    Raises HqmdError when there is something at `folder` already, or the networks do not go together.
    """
    import torch

    from hqmd_cli.models import build_model

    if folder.exists():
        raise HqmdError(f"{folder}: exists already; remove it, or choose another -o")
    networks, infos = zip(*(load_checkpoint(source, torch.device("cpu")) for source in sources), strict=True)
    views = view_percents or [100] * len(sources)
    if len(views) != len(sources) or views[0] != 100:
        raise HqmdError(f"views {','.join(map(str, views))}: give one for each model, 100 for the first")
    if weights and len(weights) != len(sources):
        raise HqmdError(f"weights {','.join(map(str, weights))}: give one for each model")
    try:
        members = [
            replace(
                member,
                view=replace(member.view, calibration=1.0, power=1.0),
                presets={},
                view_percent=percent * member.view_percent // 100,
                weight=weight * member.weight,
            )
            for info, percent, weight in zip(infos, views, weights or [1.0] * len(sources), strict=True)
            for member in info.model.members
        ]
        # The mean of the models' calibrations, as their depths are averaged; exact where all have one power.
        laws = [(info.model.view.calibration, info.model.view.power) for info in infos for _ in info.model.members]
        calibration = round(math.exp(math.fsum(math.log(factor) for factor, _ in laws) / len(laws)), 4)
        power = round(math.fsum(power for _, power in laws) / len(laws), 4)
        view = replace(members[0].view, calibration=calibration, power=power)
        model = replace(members[0], others=tuple(members[1:]), view=view)
    except HqmdError as error:
        raise HqmdError(f"{' and '.join(map(str, sources))}: {error}") from error
    ensemble = build_model(model, backbone_weights=None)
    parts = [part for network in networks for part in getattr(network, "members", [network])]
    for place, part in zip(ensemble.members, parts, strict=True):  # type: ignore[arg-type]
        place.load_state_dict(part.state_dict())
    together = {name: " + ".join(dict.fromkeys(filter(None, (getattr(i, name) for i in infos)))) for name in HISTORY}
    note = "\n\n".join(dict.fromkeys(filter(None, (info.note for info in infos))))
    commands = [info.command for info in infos]
    command = " && ".join(dict.fromkeys(commands)) if all(commands) else ""  # a part of them would mislead
    save_checkpoint(
        folder, ensemble, replace(infos[0], model=model, figures={}, note=note, command=command, **together)
    )
