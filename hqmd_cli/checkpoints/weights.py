"""A checkpoint is a folder in the Hugging Face hub's convention; it reopens itself without a flag.

config.json         hqmd version, ModelConfig, TrainConfig, what it was trained on and how, figures with their protocol
model.safetensors   the weights
model.onnx          the graph for ONNX Runtime, reading the same weights; not every checkpoint has one (export.py)
model.int8.onnx     the same in 8-bit integers, which it makes of the same weights when it is opened
README.md           model card
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.hub import WEIGHTS_FILE
from hqmd_cli.errors import HqmdError

if TYPE_CHECKING:
    from torch import Tensor

    from hqmd_cli.models import Network
    from hqmd_cli.models.base import DepthModel


# Ends of the names of tensors that are not learned: those of batch norm.
COUNTED_NOT = ("running_mean", "running_var", "num_batches_tracked")


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
