"""Average the weights of checkpoints of one network: before and after it learned something new, or of several seeds.

Wortsman et al., "Robust fine-tuning of zero-shot models" (https://arxiv.org/abs/2109.01903): the mean of a network and
its fine-tuned copy keeps most of what the first one knew, and takes over most of what the second one learned.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from hqmd_cli.checkpoints.checkpoint import load_checkpoint, save_checkpoint
from hqmd_cli.checkpoints.merge import joined_history
from hqmd_cli.checkpoints.photo_hashes import join_hashes
from hqmd_cli.config.view import View
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.outputs import refuse_existing_outputs


def average_checkpoints(sources: Sequence[Path], folder: Path, shares: Sequence[float] = ()) -> None:
    """Write one checkpoint whose weights are the mean of several, for the same time a photo as one of them.

    `shares` of each checkpoint in the mean; empty: equal ones. Settings are those of the first checkpoint, without its
    calibration and presets, which fit its own weights only: calibrate the new one.

    Raises HqmdError if `folder` exists, or the networks have other layers.
    """
    import torch

    refuse_existing_outputs([folder], overwrite=False, remedy="remove it")
    if shares and (len(shares) != len(sources) or min(shares) <= 0):
        raise HqmdError(f"weights {','.join(map(str, shares))}: give one above 0 for each model")
    networks, infos = zip(*(load_checkpoint(source, torch.device("cpu")) for source in sources), strict=True)
    states = [network.state_dict() for network in networks]
    for source, state in zip(sources, states, strict=True):
        if {n: t.shape for n, t in state.items()} != {n: t.shape for n, t in states[0].items()}:
            raise HqmdError(f"{source} has other layers than {sources[0]}: only weights of one network can be averaged")
    parts = torch.tensor(shares or [1.0] * len(sources), dtype=torch.float64)
    parts = parts / parts.sum()
    mean = {
        name: torch.tensordot(parts, torch.stack([state[name].double() for state in states]), 1).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in states[0].items()
    }
    networks[0].load_state_dict(mean)
    first = infos[0]
    view = View(first.model.view.sides, flip=first.model.view.flip, edge_share=first.model.view.edge_share)
    model = replace(first.model, view=view, presets={})
    save_checkpoint(folder, networks[0], replace(first, model=model, figures={}, **joined_history(infos)))
    join_hashes(sources, folder)
