"""What fit() reports while it trains."""

from dataclasses import dataclass

from hqmd_cli.evaluation.results import Result

GO_ON = "the same command with --resume goes on"


@dataclass(frozen=True)
class StepReport:
    """An optimiser step is done."""

    step: int
    total_steps: int
    loss: float
    pictures_per_second: float  # since the last step, which includes the time to read the batch


@dataclass(frozen=True)
class BrokenPicture:
    """A picture cannot be read, and another one took its place. Reported once for each picture."""

    fault: str


@dataclass(frozen=True)
class Note:
    """A line for the user: what was skipped or left out, how the run starts, or why it stops."""

    text: str


@dataclass(frozen=True)
class EpochReport:
    """An epoch and its validation are done."""

    epoch: int
    step: int
    loss: float  # mean over the epoch's steps
    val: Result
    is_best: bool


Report = StepReport | EpochReport | BrokenPicture | Note
