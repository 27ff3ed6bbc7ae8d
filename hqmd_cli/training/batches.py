"""The batches of an epoch: which pictures, in which order, changed how.

The order of an epoch follows from (seed, epoch), the augmentation of a picture from (seed, epoch, index): whoever reads
it, and wherever a run was taken up again, an epoch's batches are the same.
"""

import traceback
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch.utils.data import DataLoader

from hqmd_cli.config.network import ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data.sample import TOLERATED_FAULTS, Dataset, Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.registry import pick
from hqmd_cli.training.augmentation import AUGMENTATIONS, TrainTransform
from hqmd_cli.training.interruption import obey, unheard


class TrainSet(torch.utils.data.Dataset[dict[str, Any]]):
    """A dataset's samples and as many of `extra`, another draw each epoch, augmented for one epoch, in one order."""

    def __init__(
        self, data: Dataset, extra: Dataset | None, transform: TrainTransform, seed: int, epoch: int, skip: int = 0
    ) -> None:
        self.data, self.extra, self.transform, self.seed, self.epoch = data, extra, transform, seed, epoch
        rng = np.random.default_rng((seed, epoch))
        self.order = rng.permutation(examples_an_epoch(data, extra))
        self.drawn = rng.permutation(len(extra) if extra else 0)
        self.skip = skip

    def __len__(self) -> int:
        return len(self.order) - self.skip

    def __getitem__(self, position: int) -> dict[str, Any]:
        """An example; for a picture that cannot be read the next one in the order, and `faults` says why."""
        faults: list[str] = []
        while True:
            index = int(self.order[(self.skip + position + len(faults)) % len(self.order)])
            try:
                sample = self.sample(index)
                example = self.transform(sample, np.random.default_rng((self.seed, self.epoch, index)))
                # Texts, for those of a batch become a list.
                return {**example, "name": sample.name, "faults": "\n".join(faults)}
            except HqmdError as error:
                faults.append(" ".join(str(error).split()))
                require_few(faults, self.data, self.extra)

    def sample(self, index: int) -> Sample:
        """Of the data itself or, from its end on, of those drawn from the extra data."""
        own = len(self.data)
        return self.data[index] if index < own or not self.extra else self.extra[int(self.drawn[index - own])]


def require_few(faults: Collection[str], data: Dataset, extra: Dataset | None) -> None:
    """Raise HqmdError for more broken pictures than a run may leave out."""
    total = len(data) + (len(extra) if extra else 0)
    if len(faults) > TOLERATED_FAULTS * total:
        raise HqmdError(
            f"{len(faults)} of {total} training pictures cannot be read, more than {TOLERATED_FAULTS:.0%}, such as "
            f"{next(iter(faults))}; `hqmd check` finds all"
        )


def examples_an_epoch(data: Dataset, extra: Dataset | None) -> int:
    """How many pictures an epoch has: all of `data`, and of `extra` as many, or all where it has fewer."""
    return len(data) + (min(len(data), len(extra)) if extra else 0)


def new_faults(batch: dict[str, Any], known: dict[str, None]) -> list[str]:
    """What was wrong with pictures that this batch does without, as far as it is not known yet; then it is."""
    new = [fault for text in batch["faults"] for fault in text.splitlines() if fault not in known]
    known.update(dict.fromkeys(new))
    return list(dict.fromkeys(new))


def unwrapped(loader: Iterable[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    """The batches; an HqmdError that a worker process put at the end of its traceback comes as it was raised."""
    with unheard():
        batches = iter(loader)  # which starts the workers
    try:
        yield from batches
    except HqmdError as error:
        # Its frames and this one hold the loader, whose processes take 5 s to end where the garbage collector finds it.
        del batches
        traceback.clear_frames(error.__traceback__)
        raise HqmdError(str(error).rpartition("errors.HqmdError: ")[2]) from error


def batches(
    data: Dataset,
    extra: Dataset | None,
    model: ModelConfig,
    train: TrainConfig,
    epoch: int,
    done: int,
    left: int,
    workers: int,
) -> DataLoader[dict[str, Any]]:
    """The `left` batches of one epoch that come after `done` ones; of each, this process's part."""
    transform = TrainTransform(model.size, pick(AUGMENTATIONS, train.augmentation, "augmentation"))
    examples = TrainSet(data, extra, transform, train.seed, epoch, skip=done * train.batch_size)
    ranks = Ranks.from_environment()
    share = train.batch_size // ranks.world
    starts = (batch * train.batch_size + ranks.rank * share for batch in range(left))
    parts = [list(range(start, start + share)) for start in starts]
    return DataLoader(examples, batch_sampler=parts, num_workers=workers, worker_init_fn=obey)
