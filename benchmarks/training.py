"""Time the step of `hqmd train` against the loop that repositories copy, and its parts.

    python benchmarks/training.py --data NYU_PAIRS --recipe weights/recipes/indoor-small.toml --steps 20 --runs 3

Both train the same network with the same loss, batch size and files, end to end, with one worker process each. The
plain loop follows Hu et al. and its descendants: PIL decodes and rotates, torchvision jitters, tensors are contiguous
and float32. They take turns, so that other work on the machine affects both.
"""

import argparse
import itertools
import random
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader
from torchvision.transforms import ColorJitter

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import open_training_data
from hqmd_cli.losses import build_loss
from hqmd_cli.models import build_system
from hqmd_cli.models.recipes import read_recipe
from hqmd_cli.training.accelerator import open_accelerator
from hqmd_cli.training.batches import batches
from hqmd_cli.training.loop import StepReport, fit, train_step
from hqmd_cli.training.state import Run

CPU = torch.device("cpu")
WARM_UP = 3  # steps that are not counted


class PlainPairs(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Pairs rgb/NAME.jpg and depth/NAME.png, opened by PIL, resized, rotated, cropped, mirrored and jittered."""

    def __init__(self, folder: Path, size: tuple[int, int]) -> None:
        self.folder, self.size, self.names = folder, size, (folder / "train.txt").read_text().split()
        self.jitter = ColorJitter(0.2, 0.2, 0.2)

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        name = self.names[index]
        image = Image.open(self.folder / "rgb" / f"{name}.jpg").convert("RGB")
        depth = Image.fromarray(np.asarray(Image.open(self.folder / "depth" / f"{name}.png"), np.float32) / 1000)
        scale, angle = random.uniform(1, 1.5), random.uniform(-5, 5)
        height, width = self.size
        shorter = round(height * scale)
        enlarged = (round(shorter * image.width / image.height), shorter)
        image = image.resize(enlarged, Image.Resampling.BILINEAR).rotate(angle, Image.Resampling.BILINEAR)
        depth = depth.resize(enlarged, Image.Resampling.NEAREST).rotate(angle, Image.Resampling.NEAREST)
        left, top = random.randint(0, enlarged[0] - width), random.randint(0, enlarged[1] - height)
        box = (left, top, left + width, top + height)
        image, depth = self.jitter(image.crop(box)), depth.crop(box)
        if random.random() < 0.5:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
            depth = depth.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        rgb = torch.from_numpy(np.array(image)).permute(2, 0, 1).float() / 255
        return rgb, torch.from_numpy(np.asarray(depth) / scale)[None]


def plain_loop(model: ModelConfig, train: TrainConfig, data: Path, steps: int) -> Iterator[float]:
    """Train with the plain loop; yield the time at which each step ends."""
    network = build_system(model).train()
    loss_of = build_loss(train.objective.loss)
    optimizer = torch.optim.Adam(network.parameters(), train.optimization.lr, weight_decay=1e-4)
    loader = DataLoader(
        PlainPairs(data, model.network.size), train.batching.batch_size, shuffle=True, num_workers=1, drop_last=True
    )
    for rgb, depth_m in itertools.islice(loader, steps):
        optimizer.zero_grad()
        loss = loss_of(network.estimate(rgb), depth_m, depth_m > 0)
        loss.backward()
        optimizer.step()
        loss.item()
        yield time.perf_counter()


def our_loop(model: ModelConfig, train: TrainConfig, data: Path, steps: int) -> Iterator[float]:
    """Train with `hqmd train`; yield the time at which each step ends."""
    with TemporaryDirectory() as folder:
        pairs = open_training_data(data, None, "filled", None)
        reports = fit(model, train, *pairs, Path(folder) / "run", backbone_weights="none", device=CPU, workers=1)
        for _ in itertools.islice((r for r in reports if isinstance(r, StepReport)), steps):
            yield time.perf_counter()
        reports.close()  # type: ignore[attr-defined]


def pictures_a_second(ends: list[float], batch_size: int) -> float:
    """Return pictures a second, without the steps of the warm-up."""
    return batch_size * (len(ends) - WARM_UP - 1) / (ends[-1] - ends[WARM_UP])


def profile(model: ModelConfig, train: TrainConfig, data: Path, steps: int) -> dict[str, float]:
    """Return the seconds that a step spends in each of its parts, measured inside train_step."""
    spent: dict[str, float] = defaultdict(float)

    def timed(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def wrapper(*args: Any, **kwargs: Any) -> Any:
            began = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                spent[name] += time.perf_counter() - began

        return wrapper

    pairs, _ = open_training_data(data, None, "filled", None)
    accelerator = open_accelerator(train, CPU)
    run = Run(model, train, "none", None, accelerator, steps, {})
    loss_of = timed("loss", build_loss(train.objective.loss))
    run.learner.forward = timed("forward", run.learner.forward)
    accelerator.backward = timed("backward", accelerator.backward)
    run.optimizer.step = timed("optimiser", run.optimizer.step)
    if run.ema:
        run.ema.update_parameters = timed("moving average", run.ema.update_parameters)  # type: ignore[method-assign]
    feed = iter(batches(pairs, None, [model.network.size], train.batching, 0, 0, steps, 1))
    take = timed("waiting for pictures", lambda: next(feed))
    step = timed("step", lambda batch: train_step(run, batch, loss_of))
    for index in range(steps):
        if index == WARM_UP:
            spent.clear()
        step(take())
    parts = {name: seconds / (steps - WARM_UP) for name, seconds in spent.items()}
    whole, waiting = parts.pop("step"), parts.pop("waiting for pictures")
    return parts | {"rest of the step": whole - sum(parts.values()), "waiting for pictures": waiting}


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data", type=Path, required=True)
    arguments.add_argument("--recipe", default="weights/recipes/indoor-small.toml")
    arguments.add_argument("--steps", type=int, default=20)
    arguments.add_argument("--runs", type=int, default=3)
    arguments.add_argument("--threads", type=int, default=2)
    options = arguments.parse_args()
    torch.set_num_threads(options.threads)
    model, train = read_recipe(options.recipe)
    rates: dict[str, list[float]] = {"plain": [], "hqmd": []}
    for turn in range(options.runs):
        for name, loop in (("plain", plain_loop), ("hqmd", our_loop)):
            rate = pictures_a_second(list(loop(model, train, options.data, options.steps)), train.batching.batch_size)
            rates[name].append(rate)
            print(f"run {turn + 1}: {name} {rate:.2f} pictures/s", flush=True)
    plain, ours = (statistics.median(rates[name]) for name in ("plain", "hqmd"))
    print(f"median: plain {plain:.2f}, hqmd {ours:.2f} pictures/s, ratio {ours / plain:.2f}")
    for name, seconds in profile(model, train, options.data, options.steps).items():
        print(f"{name:22} {seconds * 1000:7.0f} ms a step")


if __name__ == "__main__":
    main()
