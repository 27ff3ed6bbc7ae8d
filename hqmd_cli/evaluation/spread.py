"""Scores of a dataset that actors of Ray compute: the figures of one machine, to the last digit.

A picture's figures come from one process, and `collect` adds them up in the order of the data, whoever computed them.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from hqmd_cli.data.sample import Dataset, Part
from hqmd_cli.evaluation.evaluate import score_each
from hqmd_cli.evaluation.omissions import Omissions
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.results import ScoredPicture
from hqmd_cli.evaluation.resume import ScoreLog
from hqmd_cli.evaluation.scoring import require_compatible, require_ground_truth
from hqmd_cli.evaluation.session import Session
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.parallel.guarded import Guarded
from hqmd_cli.parallel.ray_actors import Actors, outcomes

CHUNK = 16  # pictures that an actor takes at a time


class Pictures(NamedTuple):
    """Pictures to score, and what an earlier run wrote down of them."""

    indices: range
    known: dict[str, dict[str, Any]] | None  # name -> row of a ScoreLog; None: nothing is written down


class Scores(NamedTuple):
    """What became of Pictures."""

    scores: list[ScoredPicture]
    omissions: Omissions  # their indices count from the first of the Pictures
    rows: list[dict[str, Any]]  # for the ScoreLog


class Rows(ScoreLog):
    """A ScoreLog in memory."""

    def __init__(self, rows: dict[str, dict[str, Any]], path: Path) -> None:
        self.rows, self.path = rows, path
        self.added: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        self.added.append(row)


@dataclass(frozen=True)
class Spread:
    """Score in actors of Ray, as score_each does here: call it with the same arguments.

    The actors open the model by its name, and read the files of the dataset, so every node must see both.
    """

    actors: Actors
    model: str
    options: OpenOptions
    note: Callable[[str], object] = str

    def __call__(
        self,
        source: PredictionSource,
        dataset: Dataset,
        protocol: Protocol,
        detail: bool,
        by_depth: bool,
        log: ScoreLog | None,
        omissions: Omissions,
    ) -> Iterator[ScoredPicture]:
        require_ground_truth(dataset, protocol)
        require_compatible(source, protocol)
        names = dataset.names if log else []
        whole = range(len(dataset))
        parts = [whole[start : start + CHUNK] for start in range(0, len(dataset), CHUNK)]
        rows = {i: log.rows[name] for i, name in enumerate(names) if name in log.rows} if log else None
        units = [
            Pictures(part, None if rows is None else {names[i]: rows[i] for i in part if i in rows}) for part in parts
        ]
        options = replace(self.options, threads=self.actors.cpus)
        open_here = partial(
            scorer, self.model, options, dataset, protocol, detail, by_depth, log.path if log else Path()
        )
        for part, done in zip(parts, outcomes(partial(Guarded, open_here), units, self.actors, self.note), strict=True):
            for index, reason in done.omissions.reasons.items():
                omissions.add(part[index], reason)
            omissions.masked |= {part[index]: count for index, count in done.omissions.masked.items()}
            omissions.remarks |= done.omissions.remarks
            for row in done.rows:
                assert log
                log.write(row)
            yield from done.scores


def scorer(
    model: str, options: OpenOptions, dataset: Dataset, protocol: Protocol, detail: bool, by_depth: bool, path: Path
) -> Callable[[Pictures], Scores]:
    """Open the model, and return what scores some of the pictures. `path` names the ScoreLog in errors."""
    session = Session({protocol.ground_truth: dataset}, [protocol])
    session.add_models([model], options)

    def score(pictures: Pictures) -> Scores:
        omissions = Omissions(len(dataset))
        part = Part(dataset, pictures.indices)
        log = None if pictures.known is None else Rows(pictures.known, path)
        source = session.sources[model]
        scores = list(score_each(source, part, protocol, detail, by_depth, log, omissions=omissions))
        return Scores(scores, omissions, log.added if log else [])

    return score
