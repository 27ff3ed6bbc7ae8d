"""The pictures of a dataset that have no score, under the one rule that check, train and evaluate share.

A picture that cannot be read, or has no pixel of truth under the protocol, is left out and named. With more than 1 % of
them nothing is scored.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from hqmd_cli.data.no_depth import IN_WORDS
from hqmd_cli.data.sample import TOLERATED_FAULTS, Dataset, Part, Sample, remarks_in_words, too_many
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.scoring import DoesNotFit, NoTruth, compared_truth
from hqmd_cli.parallel.thread_pool import run_jobs


@dataclass
class Omissions:
    """Counts what is left out of a dataset with so many pictures."""

    total: int
    reasons: dict[int, HqmdError] = field(default_factory=dict)  # why a picture has no score, by its index
    masked: dict[int, int] = field(default_factory=dict)  # pixels whose number stands for no depth, by index
    remarks: dict[str, tuple[str, ...]] = field(default_factory=dict)  # on how a photo was read, by name

    def read(self, dataset: Dataset, index: int) -> Sample | None:
        """Read a picture; None if it cannot be read. Raises HqmdError as `add`."""
        try:
            sample = dataset[index]
        except HqmdError as error:
            self.add(index, error)
            return None
        if sample.masked:
            self.masked[index] = sample.masked
        if sample.remarks:
            self.remarks[sample.name] = sample.remarks
        return sample

    def add(self, index: int, reason: HqmdError) -> None:
        """Leave a picture out. Raises HqmdError if that is one too many."""
        self.reasons[index] = reason
        if too_many(len(self.reasons), self.total):
            if len(self.reasons) == 1:  # of so few pictures that none is tolerated: a share would say nothing
                raise reason
            raise HqmdError(
                f"{len(self.reasons)} of {self.total} pictures cannot be scored, more than {TOLERATED_FAULTS:.0%}, "
                f"such as {next(iter(self.reasons.values()))}; `hqmd check` finds all"
            ) from reason

    def rest(self, dataset: Dataset) -> Dataset:
        """Return the dataset without the pictures that are left out."""
        kept = [index for index in range(len(dataset)) if index not in self.reasons]
        return Part(dataset, kept) if self.reasons else dataset

    def in_words(self) -> str:
        """Say for a caption what is left out; empty if nothing is."""
        if not self.reasons:
            return ""
        return f"{len(self.reasons)} of {self.total} pictures left out that cannot be read or have no ground truth"

    def lines(self) -> Iterator[str]:
        """Name each picture that is left out, and count the pixels that are, for the user."""
        yield from (f"left out: {reason}" for reason in self.reasons.values())
        if self.masked:
            yield (
                f"{sum(self.masked.values())} pixels of {len(self.masked)} pictures hold a number that stands for no "
                f"depth ({IN_WORDS}) and count as unknown"
            )
        yield from remarks_in_words(self.remarks.items())


def find_omissions(dataset: Dataset, protocol: Protocol, workers: int) -> Omissions:
    """Read all pictures and find those that cannot be scored. Raises HqmdError if too few can be.

    Raises DoesNotFit if the protocol is not for pictures of their size.
    """
    omissions = Omissions(len(dataset))

    def look_at(index: int) -> int:
        sample = dataset[index]
        compared_truth(sample, protocol)
        return sample.masked

    for index, outcome in run_jobs(range(len(dataset)), look_at, workers):
        if isinstance(outcome, DoesNotFit) and not isinstance(outcome, NoTruth):
            raise outcome
        if isinstance(outcome, HqmdError):
            omissions.add(index, outcome)
        elif outcome:
            omissions.masked[index] = outcome
    return omissions
