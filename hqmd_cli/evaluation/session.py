"""What evaluate and compare share: models and data by name, scored with a progress bar."""

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

from hqmd_cli import __version__
from hqmd_cli.data import default_data, open_dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import score_each, score_under_each
from hqmd_cli.evaluation.masking import DoesNotFit, require_fit
from hqmd_cli.evaluation.prediction_folder import PredictionFolder
from hqmd_cli.evaluation.prediction_source import Judged, judged_files, judged_model, require_judgeable
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import ALL, PROTOCOLS, find_protocol
from hqmd_cli.evaluation.results import Result, Scored, collect
from hqmd_cli.evaluation.resume import ScoreLog
from hqmd_cli.evaluation.sanity.checks import Watched, diagnose
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.inference.open import open_models as open_any
from hqmd_cli.terminal.progress import with_progress

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset
    from hqmd_cli.inference.open import OpenModel


LOOKED_AT = 3  # pictures that show what a foreign model gives, before its minutes or hours


def open_judged(
    data: Path | None, split: str, protocol_name: str, depth_scale: float | None
) -> "tuple[Dataset, Protocol]":
    """The protocol, and the data with the ground truth that it asks for."""
    if protocol_name == ALL:
        raise HqmdError(
            f"figures of different protocols are not to be ranked or fitted together: name one of "
            f"{', '.join(PROTOCOLS)}; `hqmd evaluate --protocol {ALL}` shows one model under each"
        )
    protocol = find_protocol(protocol_name)
    dataset = open_dataset(data or default_data(), split, protocol.ground_truth, depth_scale)
    print(f"data: {dataset.description}, {len(dataset)} pictures", file=sys.stderr)
    return dataset, protocol


def open_under_each(
    data: Path | None, split: str, depth_scale: float | None
) -> "tuple[dict[str, Dataset], list[Protocol]]":
    """The data by kind of ground truth, and the protocols that fit it; the others are named with the reason on stderr.

    Raises HqmdError when none fits.
    """
    path = data or default_data()
    datasets: dict[str, Dataset] = {}
    fitting, misfits = [], {}
    for protocol in PROTOCOLS.values():
        try:
            if protocol.ground_truth not in datasets:
                datasets[protocol.ground_truth] = open_dataset(path, split, protocol.ground_truth, depth_scale)
            require_fit(datasets[protocol.ground_truth], protocol)
            fitting.append(protocol)
        except HqmdError as error:
            misfits[protocol.name] = str(error)
    if not fitting:  # most likely one reason for all, such as a path that is none
        raise HqmdError("; ".join(dict.fromkeys(misfits.values())))
    for dataset in datasets.values():
        print(f"data: {dataset.description}, {len(dataset)} pictures", file=sys.stderr)
    for name, reason in misfits.items():
        print_left_out(name, reason)
    return datasets, fitting


def print_left_out(protocol: str, reason: object) -> None:
    """Say on stderr which protocol is not in the table, and why."""
    print(f"without protocol {protocol}: {reason}", file=sys.stderr)


def open_models(models: list[str], options: OpenOptions, dataset: "Dataset") -> dict[str, Judged]:
    """Every model by its name; what there is to know of a foreign one is said on stderr, and in the caption."""
    all_judged = {}
    for name, model in open_any(models, options).items():
        judged = judged_model(model, model.kind, model.remark, partial(identity_of, model))
        if model.remark:
            print(f"model: {model.in_words}", file=sys.stderr)
            if finding := at_first_sight(judged, dataset):
                print(f"model: {name}: {finding}", file=sys.stderr)
                judged = replace(judged, remark=partial(str, f"{model.remark}; {finding}"))
        all_judged[name] = judged
    return all_judged


def identity_of(model: "OpenModel") -> str:
    """Whatever decides its maps."""
    return f"{model.in_words}, {model.precision}, {model.digest()}"


def at_first_sight(judged: Judged, dataset: "Dataset") -> str:
    """What the maps of a few pictures, all of them, give away: that they are of another kind or unit; else nothing."""
    findings = []
    for index in sorted({place * (len(dataset) - 1) // (LOOKED_AT - 1) for place in range(LOOKED_AT)}):
        sample = dataset[index]
        findings.append(diagnose(judged(sample), sample.depth_m, sample.valid, judged.kind))
    if not all(findings):
        return ""
    finding, _, _ = str(findings[0]).partition("; ")  # its remedy is for files
    return f"{finding}; say with --model-kind what it gives, where that is so"


@dataclass(frozen=True)
class FilesWish:
    """How the user wants folders of predictions to be read, see PredictionFolder; and scored `anyway`?"""

    scale: float | None = None
    kind: str = "depth"
    resize: str | None = None
    anyway: bool = False

    def of(self, folders: object) -> Self:
        """The wish itself. Raises HqmdError where there is no folder that it could be about."""
        if not folders and self != FilesWish():
            raise HqmdError("--pred-scale, --pred-kind, --pred-resize and --pred-anyway are for --pred")
        return self


def open_files(folder: Path, dataset: "Dataset", wish: FilesWish) -> Judged:
    """A folder of predictions, whose maps are examined as they are scored.

    Its remark raises HqmdError for what is suspicious; where the user wants that scored anyway, it is the remark.
    """
    predictions = PredictionFolder(folder, dataset.names, wish.scale, wish.kind, wish.resize)  # type: ignore[arg-type]
    print(f"predictions: {predictions.description}", file=sys.stderr)

    def remark() -> str:
        complaints = "; ".join(watched.complaints())
        if complaints and not wish.anyway:
            raise HqmdError(f"{folder}: {complaints}; or, where that is wrong, score them with --pred-anyway")
        return f"scored although {complaints}" if complaints else ""

    watched = Watched(predictions, dataset, on_early=str if wish.anyway else remark)
    return judged_files(predictions, watched, remark)


@contextmanager
def told_of_all(judged: Judged) -> Iterator[None]:
    """Where one map cannot be scored, what is wrong with all of them is the better reason."""
    try:
        yield
    except HqmdError:
        judged.remark()
        raise


def judge(
    all_judged: Mapping[str, Judged],
    dataset: "Dataset",
    protocol: Protocol,
    detail: bool = False,
    by_depth: bool = False,
    resume: Path | None = None,
) -> dict[str, Result]:
    """Name -> its figures; with those of boundaries.py and error_by_depth.py where they are asked for.

    `resume`, of one only, is the file that keeps what is scored: ScoreLog.
    """
    for judged in all_judged.values():
        require_judgeable(judged, protocol)  # all, before the first takes its minutes
    results = {}
    # Files first: what is wrong with them is told before models take their minutes.
    for name, judged in sorted(all_judged.items(), key=lambda item: item[1].predict is not None):
        log = ScoreLog(resume, question_of(judged, dataset, protocol, detail, by_depth)) if resume else None
        if log and log.rows:
            print(f"{resume}: {len(log.rows)} of {len(dataset)} pictures are scored already", file=sys.stderr)
        scores = with_progress(score_each(judged, dataset, protocol, detail, by_depth, log), name, len(dataset))
        with told_of_all(judged):
            scored = list(scores)
        results[name] = collect(scored, dataset, protocol, judged.remark())
    return {name: results[name] for name in all_judged}


def question_of(
    judged: Judged, dataset: "Dataset", protocol: Protocol, detail: bool, by_depth: bool
) -> dict[str, object]:
    """All that decides a picture's figures but the picture."""
    return {
        "hqmd version": __version__,
        "model or predictions": judged.identity(),
        "protocol": f"{protocol.name} {protocol.digest}",
        "data": f"{dataset.description}, {dataset.ground_truth}",
        "set of metrics": f"detail {detail}, by depth {by_depth}",
    }


def judge_under_each(
    name: str, judged: Judged, datasets: "Mapping[str, Dataset]", protocols: list[Protocol]
) -> dict[str, Result]:
    """Protocol -> figures. One that does not fit what is judged, or some picture, is left out, with why on stderr."""
    protocols = judgeable_under(judged, protocols)  # before the model has seen all pictures for nothing
    if not protocols:
        raise HqmdError(f"{name}: no protocol fits it; write one, see --protocol FILE.toml")
    total = len(next(iter(datasets.values())))
    with told_of_all(judged):
        pictures = list(with_progress(score_under_each(judged, datasets, protocols), name, total))
    results, remark = {}, judged.remark()
    for protocol in protocols:
        scores = [picture[protocol.name] for picture in pictures]
        scored = [score for score in scores if isinstance(score, Scored)]
        if len(scored) == len(scores):
            results[protocol.name] = collect(scored, datasets[protocol.ground_truth], protocol, remark)
        else:
            print_left_out(protocol.name, next(score for score in scores if not isinstance(score, Scored)))
    if not results:
        raise HqmdError(f"{name}: no protocol fits it and all pictures of the data")
    return results


def judgeable_under(judged: Judged, protocols: Iterable[Protocol]) -> list[Protocol]:
    """The protocols that can judge it at all; the others are named with the reason on stderr."""
    fitting = []
    for protocol in protocols:
        try:
            require_judgeable(judged, protocol)
            fitting.append(protocol)
        except DoesNotFit as reason:
            print_left_out(protocol.name, reason)
    return fitting
