"""What a training run needs before it starts: its data, checked and, where it pays, cached, and its folder."""

from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import NamedTuple

import torch

from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import default_data, open_extra_data, open_training_data
from hqmd_cli.data.cache.build import cached, readings
from hqmd_cli.data.check.quick_check import require_usable
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.parallel.processes import Ranks

RUNS = Path("runs")  # below the current folder


class RunData(NamedTuple):
    """The data of a training run."""

    train: Dataset
    val: Dataset
    extra: Dataset | None


def open_run_data(
    train: TrainConfig,
    data: Path | None,
    val_data: Path | None,
    extra_data: Path | None,
    depth_scale: float | None,
    cache: bool | None,
    device: torch.device,
    say: Callable[[str], object],
) -> RunData:
    """Open the data, with the ground truth that the validation's protocol asks for.

    `data` None opens the default data, `val_data` None validates on `data`. `cache` True builds a cache, False uses
    none, None builds one if it saves a minute. `say` prints warnings and the progress of the cache. Raises HqmdError if
    data cannot be used, or a photo is in the training and the validation data.
    """
    ground_truth = find_protocol(train.objective.protocol).ground_truth
    seen, held_out = open_training_data(data or default_data(), val_data, ground_truth, depth_scale)
    extra = open_extra_data(extra_data, held_out, depth_scale) if extra_data else None
    for warning in require_usable([seen, held_out, *([extra] if extra else [])]):
        say(f"data: {warning}")
    # A step on a CPU takes far longer than decoding (benchmarks/training.md): read a cache, but do not build one.
    times = readings(train.batching, len(seen)) if device.type != "cpu" else 1
    cached_extra = cached(extra, cache, times * min(1, len(seen) / len(extra)), say) if extra else None
    return RunData(cached(seen, cache, times, say), held_out, cached_extra)


def new_run_folder(system: str, resume: bool, say: Callable[[str], object]) -> Path:
    """Return the first free folder of runs/SYSTEM-1, runs/SYSTEM-2, ... and say which one it is.

    Raises HqmdError if a run is to be resumed, or if several processes would each choose a folder.
    """
    if resume:
        raise HqmdError("--resume: name the run with -o RUN_DIR")
    if Ranks.from_environment().world > 1:
        raise HqmdError("several processes need one folder: name it with -o RUN_DIR")
    run_dir = next(folder for number in count(1) if not (folder := RUNS / f"{system}-{number}").exists())
    say(f"run folder: {run_dir}")
    return run_dir
