"""What fit() reports while it trains."""

from dataclasses import dataclass
from pathlib import Path

from hqmd_cli.evaluation.results import Result


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
class NewLayers:
    """Layers whose size differs from the model that training starts from, so that they start untrained."""

    names: tuple[str, ...]


@dataclass(frozen=True)
class BrokenState:
    """A state cannot be read: the run resumes from an older one, and the file is removed."""

    path: Path


@dataclass(frozen=True)
class BadBatch:
    """A batch is skipped because its loss, or a gradient, is not finite."""

    complaint: str
    so_far: int  # in this run
    tolerated: int


@dataclass(frozen=True)
class EmptyBatch:
    """A batch is skipped because none of its pictures has depth, as they were cropped for this step."""

    complaint: str


@dataclass(frozen=True)
class Note:
    """What the user should know of the data, the run or its validation, in a line."""

    text: str


@dataclass(frozen=True)
class Stopped:
    """The run stops before its end, with its state saved."""

    step: int
    reason: str


@dataclass(frozen=True)
class EpochReport:
    """An epoch and its validation are done."""

    epoch: int
    step: int
    loss: float  # mean over the epoch's steps
    val: Result
    is_best: bool


Report = StepReport | EpochReport | BrokenPicture | NewLayers | BrokenState | BadBatch | EmptyBatch | Note | Stopped
