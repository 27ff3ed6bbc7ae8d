"""The data of a training run, checked and, where it pays, cached."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch

from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import default_data, open_extra_data, open_split_or_all, open_training_data
from hqmd_cli.data.cache.build import cached, readings
from hqmd_cli.data.check.quick_check import require_usable
from hqmd_cli.data.sample import Dataset
from hqmd_cli.evaluation.protocols import find_protocol
from hqmd_cli.training.record import teachers_in
from hqmd_cli.training.unlabelled import open_unlabelled


class RunData(NamedTuple):
    """The data of a training run."""

    train: Dataset
    val: Dataset
    extra: Dataset | None


def open_run_data(
    train: TrainConfig,
    sources: Mapping[str, Any],
    cache: bool | None,
    device: torch.device,
    say: Callable[[str], object],
) -> RunData:
    """Open the data, with the ground truth that the validation's protocol asks for.

    `sources` as in record.py: without `data` the default data is opened, without `val_data` it validates on `data`.
    With `unlabelled` photos it trains on them alone, or on as many of them as of `data` if that is named.
    `cache` True builds a cache, False uses none, None builds one if it saves a minute. `say` prints warnings and the
    progress of the cache. Raises HqmdError if data cannot be used, or a photo is in the training and validation data.
    """
    ground_truth = find_protocol(train.objective.protocol).ground_truth
    paths = {name: Path(sources[name]) for name in ("data", "val_data", "extra_data") if sources.get(name)}
    depth_scale, extra_data, photos = sources.get("depth_scale"), paths.get("extra_data"), sources.get("unlabelled")
    seen = None
    if photos and "data" not in paths:  # everything is learned from teachers
        held_out = open_split_or_all(paths.get("val_data") or default_data(), "val", ground_truth, depth_scale)
    else:
        data = paths.get("data") or default_data()
        seen, held_out = open_training_data(data, paths.get("val_data"), ground_truth, depth_scale)
    extra = open_extra_data(extra_data, held_out, depth_scale) if extra_data else None
    for warning in require_usable([part for part in (seen, held_out, extra) if part]):
        say(f"data: {warning}")
    taught = None
    if photos:
        taught = open_unlabelled(photos, teachers_in(sources), held_out, device.type, seen is not None, say)
    if seen is None:
        assert taught
        return RunData(taught, held_out, None)
    # A step on a CPU takes far longer than decoding (benchmarks/training.md): read a cache, but do not build one.
    times = readings(train.batching, len(seen)) if device.type != "cpu" else 1
    cached_extra = cached(extra, cache, times * min(1, len(seen) / len(extra)), say) if extra else None
    return RunData(cached(seen, cache, times, say), held_out, taught or cached_extra)
