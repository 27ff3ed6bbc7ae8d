"""Merge checkpoints into one that averages their depth."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.checkpoints.photo_hashes import join_hashes
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.outputs import refuse_existing_outputs

HISTORY = ("data", "backbone_weights", "teacher")  # fields of CheckpointInfo that are joined as text


def merge_checkpoints(
    sources: Sequence[Path], folder: Path, view_percents: Sequence[int] = (), weights: Sequence[float] = ()
) -> None:
    """Write one checkpoint that averages several (models/ensemble.py). It has no figures until it is evaluated.

    view_percents: the size at which each model sees the picture, in percent of the first model's; empty: the same size.
    weights: of each model in the mean; empty: every network counts the same.

    Raises HqmdError if `folder` exists, or the networks do not fit together.
    """
    refuse_existing_outputs([folder], overwrite=False, remedy="remove it")
    import torch  # only now, since it takes seconds

    from hqmd_cli.models import build_model

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
                view=replace(member.view, calibration=1.0, power=1.0, scale_error=(), shape_error=()),
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
    save_checkpoint(folder, ensemble, replace(infos[0], model=model, figures={}, **joined_history(infos)))
    join_hashes(sources, folder)


def joined_history(infos: Sequence[CheckpointInfo]) -> dict[str, Any]:
    """Join what several checkpoints say about where they come from, each thing once."""
    together = {name: " + ".join(dict.fromkeys(filter(None, (getattr(i, name) for i in infos)))) for name in HISTORY}
    note = "\n\n".join(dict.fromkeys(filter(None, (info.note for info in infos))))
    commands = [info.command for info in infos]
    command = " && ".join(dict.fromkeys(commands)) if all(commands) else ""  # some of them alone would mislead
    return {**together, "note": note, "command": command}
