"""The batches of an epoch: which pictures, in which order, with which augmentation.

The order depends on (seed, epoch) and the augmentation of a picture on (seed, epoch, index). So an epoch's batches are
the same whichever process reads them, and wherever a run was resumed.
"""

import traceback
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import Batching
from hqmd_cli.data.sample import TOLERATED_FAULTS, Dataset, Sample, too_many
from hqmd_cli.errors import HqmdError
from hqmd_cli.geometry.resize import Preprocess
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.registry import pick
from hqmd_cli.training.augmentation import AUGMENTATIONS, TrainTransform
from hqmd_cli.training.interruption import ignore_stop_signals, stop_signals_blocked
from hqmd_cli.units import KINDS


class TrainSet(torch.utils.data.Dataset[dict[str, Any]]):
    """One epoch's examples: all samples of `data` and as many of `extra`, drawn anew each epoch, shuffled.

    `transform_of` returns what turns the sample at a position of the epoch into an example.
    """

    def __init__(
        self,
        data: Dataset,
        extra: Dataset | None,
        transform_of: Callable[[int], TrainTransform],
        seed: int,
        epoch: int,
        skip: int = 0,
    ) -> None:
        self.data, self.extra, self.transform_of, self.seed, self.epoch = data, extra, transform_of, seed, epoch
        rng = np.random.default_rng((seed, epoch))
        self.order = rng.permutation(examples_per_epoch(data, extra))
        self.drawn = rng.permutation(len(extra) if extra else 0)
        self.skip = skip
        self.mixes_kinds = any(getattr(part, "mixes_kinds", False) for part in (data, extra))  # as TaughtPhotos do

    def __len__(self) -> int:
        return len(self.order) - self.skip

    def __getitem__(self, position: int) -> dict[str, Any]:
        """Return an example. If its picture cannot be read, take the next one in the order, and say why in `faults`."""
        faults: list[str] = []
        transform = self.transform_of(self.skip + position)
        while True:
            index = int(self.order[(self.skip + position + len(faults)) % len(self.order)])
            try:
                sample = self.sample(index)
                example = transform(sample, np.random.default_rng((self.seed, self.epoch, index)))
                # Text, since a DataLoader collates text into a list.
                kind = {"kind": KINDS.index(sample.kind)} if self.mixes_kinds else {}
                return {**example, **kind, "name": sample.name, "faults": "\n".join(faults)}
            except HqmdError as error:
                faults.append(" ".join(str(error).split()))
                require_few(faults, self.data, self.extra)

    def sample(self, index: int) -> Sample:
        """Return a sample of `data` or, for indices past its end, of `extra`."""
        own = len(self.data)
        return self.data[index] if index < own or not self.extra else self.extra[int(self.drawn[index - own])]


def require_few(faults: Collection[str], data: Dataset, extra: Dataset | None) -> None:
    """Raise HqmdError if more pictures are broken than a run may skip."""
    total = len(data) + (len(extra) if extra else 0)
    if too_many(len(faults), total):
        raise HqmdError(
            f"{len(faults)} of {total} training pictures cannot be read, more than {TOLERATED_FAULTS:.0%}, such as "
            f"{next(iter(faults))}; `hqmd check` finds all"
        )


def examples_per_epoch(data: Dataset, extra: Dataset | None) -> int:
    """Count all of `data` and as many of `extra`, or all of `extra` if it has fewer."""
    return len(data) + (min(len(data), len(extra)) if extra else 0)


def new_faults(batch: dict[str, Any], known: dict[str, None]) -> list[str]:
    """Return the faults of a batch that are not yet `known`, and add them to `known`."""
    new = [fault for text in batch["faults"] for fault in text.splitlines() if fault not in known]
    known.update(dict.fromkeys(new))
    return list(dict.fromkeys(new))


def plain_errors(loader: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """Yield the batches. Raise a worker's HqmdError with its own message, without the traceback that torch adds."""
    with stop_signals_blocked():
        batches = iter(loader)  # starts the workers
    try:
        yield from batches
    except HqmdError as error:
        # The frames hold the loader. Freed by the garbage collector, its processes would take 5 s to end.
        del batches
        traceback.clear_frames(error.__traceback__)
        raise HqmdError(str(error).rpartition("errors.HqmdError: ")[2]) from error


def training_sizes(model: ModelConfig, sides: Sequence[int]) -> list[tuple[int, int]]:
    """Return the sizes (H, W) at which a network learns: its own, or its own brought to each of the shorter `sides`."""
    size, multiple = model.network.size, model.compute.size_multiple
    return [Preprocess((side, side), multiple).working_size(*size) for side in sides] or [size]


def batches(
    data: Dataset,
    extra: Dataset | None,
    sizes: Sequence[tuple[int, int]],
    train: Batching,
    epoch: int,
    done: int,
    left: int,
    workers: int,
) -> DataLoader[dict[str, Any]]:
    """Load this process's part of each of the `left` batches that follow the first `done` of an epoch.

    The pictures of a batch have one of the `sizes` (H, W), drawn by (seed, epoch, batch).
    """
    augmentation = pick(AUGMENTATIONS, train.augmentation, "augmentation")
    transforms = [TrainTransform(size, augmentation) for size in sizes]

    def transform_of(position: int) -> TrainTransform:
        drawn = np.random.default_rng((train.seed, epoch, position // train.batch_size, len(sizes)))
        return transforms[drawn.integers(len(transforms))]

    examples = TrainSet(data, extra, transform_of, train.seed, epoch, skip=done * train.batch_size)
    ranks = Ranks.from_environment()
    share = train.batch_size // ranks.world
    starts = (batch * train.batch_size + ranks.rank * share for batch in range(left))
    parts = [list(range(start, start + share)) for start in starts]
    return DataLoader(examples, batch_sampler=parts, num_workers=workers, worker_init_fn=ignore_stop_signals)
