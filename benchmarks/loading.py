"""Measure data loaders alone, beside the training step that they feed: pictures a second.

    HQMD_CACHE=/tmp/decoded python benchmarks/loading.py --data NYU_PAIRS --recipe weights/recipes/indoor-small.toml

The plain loader is the one in training.py. Ours reads the files or the cache of decoded pictures. Loaders yield
augmented batches that nobody uses; the step is that of `hqmd train`, on a batch that is ready. All take turns, so that
other work on the machine affects each of them. The time before a loader's first batch, once an epoch, is reported
apart.
"""

import argparse
import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import torch
from torch.utils.data import DataLoader

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.data.cache.build import cached
from hqmd_cli.losses import build_loss
from hqmd_cli.models.recipes import read_recipe
from hqmd_cli.training.accelerator import open_accelerator
from hqmd_cli.training.batches import batches
from hqmd_cli.training.loop import train_step
from hqmd_cli.training.state import Run
from training import CPU, PlainPairs

WARM_UP = 2  # steps that are not counted
WORKERS = (0, 1, 2)


def loaders(data: Path, model: ModelConfig, train: TrainConfig, number: int) -> dict[str, Callable[[int], Iterable]]:
    """Return loaders by name: functions from a number of workers to `number` batches."""
    seen, _ = open_training_data(data)
    kept = cached(seen, True, train.batching.epochs, print)
    plain = PlainPairs(data, model.network.size)

    def ours(dataset, workers: int) -> Iterable:
        return batches(dataset, None, [model.network.size], train.batching, 0, 0, number, workers)

    def copied(workers: int) -> Iterable:
        return itertools.islice(DataLoader(plain, train.batching.batch_size, shuffle=True, num_workers=workers), number)

    return {"plain": copied, "hqmd, no cache": partial(ours, seen), "hqmd, cache": partial(ours, kept)}


def time_loader(feed: Iterable, batch_size: int) -> tuple[float, float]:
    """Return pictures a second after the first batch, and the seconds before it."""
    ends = [time.perf_counter()]
    ends += [time.perf_counter() for _ in feed]
    return batch_size * (len(ends) - 2) / (ends[-1] - ends[1]), ends[1] - ends[0]


def stepper(data: Path, model: ModelConfig, train: TrainConfig) -> Callable[[int], float]:
    """Return a function from a number of steps, on the same batch, to pictures a second."""
    seen, _ = open_training_data(data)
    batch = next(iter(batches(seen, None, [model.network.size], train.batching, 0, 0, 1, 0)))
    run = Run(model, train, "none", None, open_accelerator(train, CPU), 10_000, {})
    loss_of = build_loss(train.objective.loss)

    def steps(number: int) -> float:
        for index in range(number + WARM_UP):
            if index == WARM_UP:
                began = time.perf_counter()
            train_step(run, batch, loss_of)
        return train.batching.batch_size * number / (time.perf_counter() - began)

    return steps


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--recipe", default="weights/recipes/indoor-small.toml")
    arguments.add_argument("--batches", type=int, default=24, help="of each loader, per turn")
    arguments.add_argument("--steps", type=int, default=8, help="per turn")
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2, help="for the step")
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    model, train = read_recipe(options.recipe)
    feeds, steps = loaders(options.data, model, train, options.batches), stepper(options.data, model, train)
    rates: dict[str, list[float]] = defaultdict(list)
    first: dict[str, list[float]] = defaultdict(list)
    for _ in range(options.runs):
        rates["step"].append(steps(options.steps))
        print(f"step: {rates['step'][-1]:.1f} pictures a second", flush=True)
        for (name, feed), workers in itertools.product(feeds.items(), WORKERS):
            rate, start = time_loader(feed(workers), train.batching.batch_size)
            rates[f"{name}, workers {workers}"].append(rate)
            first[f"{name}, workers {workers}"].append(start)
            print(f"{name}, workers {workers}: {rate:.1f} pictures a second, first after {start:.2f} s", flush=True)
    step = statistics.median(rates["step"])
    size, batch = model.network.size, train.batching.batch_size
    print(f"torch {torch.__version__}, {options.threads} threads, {size}, batches of {batch}")
    print("| what | pictures a second, of each run | median | x step | first batch after |")
    print("| --- | --- | --- | --- | --- |")
    for name, found in rates.items():
        start = f"{statistics.median(first[name]):.2f} s" if name in first else ""
        runs, median = ", ".join(f"{rate:.1f}" for rate in found), statistics.median(found)
        print(f"| {name} | {runs} | {median:.1f} | {median / step:.1f} | {start} |")


if __name__ == "__main__":
    main()
