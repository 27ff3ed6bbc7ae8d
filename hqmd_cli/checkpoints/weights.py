"""Weights of checkpoints: count, read and load model.safetensors."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.checkpoints.hub import CONFIG_FILE, WEIGHTS_FILE
from hqmd_cli.checkpoints.safetensors_file import REMEDY, is_kernel, read_header, require_whole
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.regular import file_hash

if TYPE_CHECKING:
    from torch import Tensor

    from hqmd_cli.models import Network
    from hqmd_cli.models.base import DepthModel


NOT_LEARNED = ("running_mean", "running_var", "num_batches_tracked")  # endings of names: statistics of batch norm


def count_parameters(folder: Path) -> int:
    """Count the learned numbers from the header of the weights' file, without torch.

    Raises HqmdError if it cannot be read.
    """
    tensors = read_header(folder / WEIGHTS_FILE)
    return sum(math.prod(tensor.shape) for name, tensor in tensors.items() if not name.endswith(NOT_LEARNED))


def load_weights(network: "Network", folder: Path) -> None:
    """Load a checkpoint's weights. Raises HqmdError unless every tensor matches in name and shape."""
    state, own = read_weights(folder), network.state_dict()
    if wrong := sorted(own.keys() ^ state.keys()) + unlike(own, state):
        raise mismatch(folder, wrong)
    fill(network, state)


def start_weights(network: "DepthModel", folder: Path) -> list[str]:
    """Load a checkpoint's weights as the start of training. Return the names of layers that stay untrained.

    The checkpoint must have all weights of the backbone, and may have more (NetworkConfig.high_blocks). Layers behind
    the backbone whose size differs stay untrained. Raises HqmdError for another backbone, and for a network without a
    backbone whose layers differ.
    """
    state, own = read_weights(folder), network.state_dict()
    new = sorted({*(own.keys() - state.keys()), *unlike(own, state)})
    firm = {name for name in own if name.startswith("backbone.")} or own.keys()
    if wrong := [name for name in new if name in firm]:
        raise mismatch(folder, wrong)
    fill(network, {name: tensor for name, tensor in state.items() if name in own and name not in new})
    return sorted({name.rpartition(".")[0] for name in new})


def require_recorded(folder: Path, sha256: str) -> None:
    """Raise HqmdError unless a checkpoint's weights have the SHA-256 that config.json notes (empty: nothing noted).

    Reads the whole file; for downloads and exports, not for every start.
    """
    path = folder / WEIGHTS_FILE
    if sha256 and path.is_file() and file_hash(path) != sha256:
        raise HqmdError(
            f"{path}: not the weights that {CONFIG_FILE} was written for: their SHA-256 differs; download or copy both "
            f'again, or remove "weights_sha256" from {CONFIG_FILE} if you changed them'
        )


def read_weights(folder: Path) -> "dict[str, Tensor]":
    """Read a checkpoint's tensors, by name.

    Raises HqmdError if they cannot be read or are not finite, or if a kernel or a matrix holds nothing but zeros.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = folder / WEIGHTS_FILE
    require_whole(path)
    try:
        state = load_file(path)
    except (OSError, SafetensorError) as error:
        raise HqmdError(f"{path}: cannot be read: {error}") from error
    for name, tensor in state.items():
        if not tensor.is_floating_point():
            continue
        if not tensor.isfinite().all():
            raise HqmdError(f"{path}: {name} holds values that are not finite; the weights are damaged, or diverged")
        if is_kernel(name, tensor.shape) and tensor.numel() and not tensor.any():
            raise HqmdError(f"{path}: {name} holds nothing but zeros; {REMEDY}")
    return state


def unlike(own: "Mapping[str, Tensor]", state: "Mapping[str, Tensor]") -> list[str]:
    """Return the names of tensors whose shapes differ."""
    return [name for name in own.keys() & state.keys() if own[name].shape != state[name].shape]


def mismatch(folder: Path, wrong: Sequence[str]) -> HqmdError:
    """Return the error for tensors that do not match."""
    path = folder / WEIGHTS_FILE
    return HqmdError(f"{path}: {len(wrong)} tensors do not match the network's settings, such as {wrong[0]}")


def fill(network: "Network", state: "Mapping[str, Tensor]") -> None:
    """Copy tensors into a network, in its own precision; tensors that are not in `state` stay as they are."""
    own = network.state_dict()
    network.load_state_dict({**own, **{name: tensor.to(own[name].dtype) for name, tensor in state.items()}})
