"""Fine-tune a depth network of `transformers`: `hqmd train --start hf:org/name`.

RUN_DIR/start holds the network as it was before the first step, as a checkpoint of hqmd's. A network that gives
disparity is made to give metres there: its last layer is scaled and shifted by least squares on training pictures.
"""

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from hqmd_cli.checkpoints.checkpoint import read_info, save_checkpoint
from hqmd_cli.checkpoints.info import CheckpointInfo
from hqmd_cli.config.network import OURS, TRANSFORMERS, Compute, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import Dataset, Sample, evenly
from hqmd_cli.errors import HqmdError
from hqmd_cli.inference.foreign.hugging_face import explained, find_network, load, quiet
from hqmd_cli.inference.foreign.output_kinds import meaning_of
from hqmd_cli.models import build_system
from hqmd_cli.models.foreign_network import TRAINED, ForeignNetwork, last_layer, parts_of, size_of, step_of
from hqmd_cli.models.layers import resize
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.training.augmentation import Augmentation, TrainTransform

START = "start"  # folder in RUN_DIR
LOOKED_AT = 32  # training pictures whose depth is compared with what a network can give
FITTED = 8  # of them, those that turn disparity into metres
AUTHORS_CAPS_M = (20, 80)  # of Depth Anything's metric models, indoors and outdoors
BEYOND = 0.001  # share of the depth that a cap may cut off
AS_IT_IS = Augmentation(scale=(1, 1), rotation_deg=0, colour=(1, 1), flip=0)


class Start(NamedTuple):
    """What a run begins from."""

    model: ModelConfig
    checkpoint: Path
    notes: list[str]  # for the user


def require_trainable(name: str, model: ModelConfig) -> None:
    """Raise HqmdError if hqmd cannot train a model of transformers, before the data is read."""
    if Ranks.from_environment().world > 1:
        raise HqmdError(
            f"{name}: several processes begin from a checkpoint; make it with one process, `hqmd train --start {name} "
            "--max-steps 1 -o DIR`, and pass --start DIR/start"
        )
    usual, given = ModelConfig().to_flat(), model.to_flat()
    if given["system"] != OURS or (changed := [n for n in usual if n != "size" and given[n] != usual[n]]):
        flags = f"--model {given['system']}" if given["system"] != OURS else ", ".join(changed)
        raise HqmdError(f"{name}: brings its own network, for which only --size can be chosen; leave out {flags}")
    source, config = find_network(name.partition(":")[2])
    stated = meaning_of(config, source.repo)
    if config.model_type not in TRAINED or (stated and stated[0] == "relative"):
        raise HqmdError(f"{source.name}: hqmd trains {', '.join(TRAINED)}, but no {config.model_type} such as this one")


def begin(model: ModelConfig, start: Path | str, train_data: Dataset, run_dir: Path, resume: bool = False) -> Start:
    """Return the settings of the network that a run begins, or began, from, and its checkpoint.

    A checkpoint of hqmd's own systems must fit `model`; a network of transformers brings its settings. Raises HqmdError
    if it cannot be opened.
    """
    if isinstance(start, str):
        if not resume:
            return from_transformers(model, start, train_data, run_dir / START)
        start = run_dir / START
    theirs = read_info(start).model
    if theirs.network.system != TRANSFORMERS:
        return Start(model, start, [])
    size = size_from(model, theirs.network.size, theirs.compute.size_multiple)
    notes = [in_pictures_of(size)]
    if not resume:
        notes = over_cap(parts_of(theirs.transformers), look_at(train_data)) + notes
    # Not its view, whose calibration is that of its old weights.
    return Start(
        ModelConfig(replace(theirs.network, size=size), theirs.compute, transformers=theirs.transformers), start, notes
    )


def from_transformers(model: ModelConfig, name: str, train_data: Dataset, folder: Path) -> Start:
    """Write a network of transformers as a checkpoint that gives metres. Raises HqmdError if it cannot be opened."""
    source, config = find_network(name.partition(":")[2])
    stated, samples = meaning_of(config, source.repo), look_at(train_data)
    is_metric = stated is not None and stated[0] == "depth"
    if not is_metric and config.model_type == "depth_anything":
        config.depth_estimation_type, config.max_depth = "metric", cap_for(depths_of(samples))
    with quiet(), explained(f"{source.name}: cannot be opened"):
        opened = load(source, config, torch.device("cpu"))
    written = {"config": config.to_json_string(use_diff=False), "processor": opened.processor.to_json_string()}
    parts = {part: json.loads(text) for part, text in written.items()}
    parts["config"].pop("_name_or_path", None)  # it may be private
    step = step_of(parts)
    size = size_from(model, size_of(parts), step)
    model = model.with_settings(system=TRANSFORMERS, transformers=json.dumps(parts), size=size, size_multiple=step)
    network = build_system(model)
    assert isinstance(network, ForeignNetwork)
    network.load_state_dict(opened.network.state_dict())
    known_as = source.name if source.repo else f"hf:{source.folder.name}"
    origin, notes = f"{known_as}, under its publisher's licence", over_cap(parts, samples)
    if not is_metric:
        origin += f"; its {stated[0] if stated else 'numbers'} became metres by least squares"
        notes.insert(0, to_metres(network, samples[:: math.ceil(len(samples) / FITTED)], cap_of(parts), source.name))
    notes.append(in_pictures_of(size))
    save_checkpoint(folder, network, CheckpointInfo(model, TrainConfig(), backbone_weights=origin), name=START)
    return Start(model, folder, notes)


def size_from(model: ModelConfig, theirs: tuple[int, int], step: int) -> tuple[int, int]:
    """Return the size (H, W) that the user chose, in whole steps of the network, or else `theirs`."""
    is_chosen = model.network.size != ModelConfig().network.size
    return Compute(size_multiple=step).rounded(model.network.size) if is_chosen else theirs


def in_pictures_of(size: tuple[int, int]) -> str:
    """Say at which size (H, W) the network learns, for those who did not choose it."""
    return f"it learns from pictures of {size[0]} x {size[1]}; with a smaller --size it is faster"


def look_at(data: Dataset) -> list[Sample]:
    """Read some training pictures, evenly spaced; those that cannot be read are left to the training, which says so."""
    samples = []
    for index in evenly(len(data), LOOKED_AT):
        try:
            samples.append(data[index])
        except HqmdError:
            continue
    if not any(sample.valid.any() for sample in samples):
        raise HqmdError(f"{data.description}: none of {LOOKED_AT} pictures looked at has depth; `hqmd check` says more")
    return samples


def depths_of(samples: list[Sample]) -> NDArray[np.float32]:
    """Return all known depths, as a network learns them: (N,) metres as NYU's camera would see them."""
    return np.concatenate([sample.depth_m[sample.valid] / np.float32(sample.camera_factor) for sample in samples])


def cap_for(depths_m: NDArray[np.float32]) -> int:
    """Choose the largest depth that a network will give: the authors' for rooms or streets, or all that there is."""
    fitting = [cap_m for cap_m in AUTHORS_CAPS_M if (depths_m > cap_m).mean() <= BEYOND]
    return fitting[0] if fitting else math.ceil(depths_m.max())


def cap_of(parts: Any) -> float | None:
    """Return the largest depth that a network can give, in metres; None if it has no limit."""
    config = parts["config"]
    if config["model_type"] == "zoedepth":
        return max(float(bins["max_depth"]) for bins in config["bin_configurations"])
    return None if config["model_type"] == "dpt" else float(config.get("max_depth", 10))  # 10: GLPN's default


def over_cap(parts: Any, samples: list[Sample]) -> list[str]:
    """Say which share of the depth a network can never give; nothing if it can give all."""
    cap_m, depths_m = cap_of(parts), depths_of(samples)
    beyond = float((depths_m > cap_m).mean()) if cap_m else 0.0
    if not beyond:
        return []
    return [
        f"{max(beyond, 0.001):.1%} of the training depth lies beyond {cap_m:g} m, the most that this network can give "
        f"(seen in {len(samples)} pictures, up to {depths_m.max():.1f} m): it will be too near there; start from one "
        "for larger scenes, or from a relative one"
    ]


@torch.no_grad()
def to_metres(network: ForeignNetwork, samples: list[Sample], cap_m: float | None, name: str) -> str:
    """Scale and shift the last layer by least squares so that the network gives metres; return what was done.

    The last layer's numbers follow disparity. Under a sigmoid they are fitted to the logit of depth / cap, under a ReLU
    to metres: both fall where disparity grows, so the sign turns, and training does the rest.
    """
    _, last = last_layer(network.net)
    seen: list[torch.Tensor] = []
    hook = last.register_forward_hook(lambda layer, given, numbers: seen.append(numbers))
    transform, pairs = TrainTransform(network.config.size, AS_IT_IS), []
    network.eval()
    for number, sample in enumerate(samples):
        example = {
            part: torch.from_numpy(v)[None] for part, v in transform(sample, np.random.default_rng(number)).items()
        }
        network.estimate(example["rgb"])
        numbers, depth_m = resize(seen.pop(), network.config.size), example["depth_m"]
        wanted = torch.logit((depth_m / cap_m).clamp(0.001, 0.999)) if cap_m else depth_m
        pairs.append(torch.stack([part[example["valid"]].double() for part in (numbers, wanted)]))
    hook.remove()
    found = torch.cat(pairs, dim=1)
    (variance, shared), (_, _) = torch.cov(found).tolist()
    scale = shared / variance if variance and shared else 1.0
    shift = (found[1].mean() - scale * found[0].mean()).item()
    last.weight.mul_(scale)
    if last.bias is not None:
        last.bias.mul_(scale).add_(shift)
    up_to = f", up to {cap_m:g} m" if cap_m else ""
    return (
        f"{name} gives no metres: they are fitted to its numbers by least squares on {len(samples)} training pictures"
        f"{up_to}; checkpoints of this run give metres"
    )
