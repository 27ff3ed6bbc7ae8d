"""An evaluation as a session: open the data, add sources of predictions, score them.

A session prints nothing: it calls `note` with lines for the user, and iterates through `progress`.
"""

import typing
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TypeVar

from hqmd_cli import __version__
from hqmd_cli.checkpoints.catalogue import what_it_saw
from hqmd_cli.checkpoints.photo_hashes import read_hashes
from hqmd_cli.data import default_data, find_reader, open_dataset
from hqmd_cli.data.check.quick_check import HEADERS
from hqmd_cli.data.check.turned import turned_pairs
from hqmd_cli.data.sample import WHOLE, Dataset, evenly, scenes_of, too_many
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.evaluate import score_each, score_under_each
from hqmd_cli.evaluation.omissions import Omissions
from hqmd_cli.evaluation.prediction_folder import FolderOptions, PredictionFolder, folder_source
from hqmd_cli.evaluation.prediction_source import PredictionSource, Said, Tell, model_source
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.protocols import ALL, PROTOCOLS, find_protocol
from hqmd_cli.evaluation.results import Result, ScoredPicture, collect
from hqmd_cli.evaluation.resume import ScoreLog
from hqmd_cli.evaluation.sanity.checks import diagnose
from hqmd_cli.evaluation.scoring import DoesNotFit, NoTruth, require_compatible, require_fit
from hqmd_cli.files.locks import claim
from hqmd_cli.inference.open import OpenModel, OpenOptions, open_models

Item = TypeVar("Item")
Note = Callable[[str], object]

SCORED_SPLIT = "test"
FIRST_CHECKED = 3  # pictures on which a foreign model's maps are checked before the evaluation


class Progress(typing.Protocol):
    """Pass items on one by one, for instance with a progress bar."""

    def __call__(self, items: Iterable[Item], label: str, total: int) -> Iterable[Item]: ...


def no_progress(items: Iterable[Item], label: str, total: int) -> Iterable[Item]:
    """Pass items on without a sign."""
    return items


@dataclass
class Session:
    """Pictures, the protocols under which they are scored, and the sources of predictions by name."""

    datasets: Mapping[str, Dataset]  # the same pictures, by the kind of their ground truth
    protocols: Sequence[Protocol]
    note: Note = str  # by default, notes are dropped
    progress: Progress = no_progress
    sources: dict[str, PredictionSource] = field(default_factory=dict)
    omitted: str = ""  # the pictures that have no score, in words

    @property
    def dataset(self) -> Dataset:
        """The data, with the ground truth of the first protocol."""
        return next(iter(self.datasets.values()))

    @property
    def protocol(self) -> Protocol:
        """The only protocol."""
        (protocol,) = self.protocols
        return protocol

    def add_models(self, names: Sequence[str], options: OpenOptions) -> None:
        """Open models and add them by their names, with a note on foreign ones and those that fell back to the CPU."""
        for name, model in open_models(names, options).items():
            identity = partial(identity_of, model)
            seen = what_it_saw(model.name, getattr(self.dataset, "title", "")) if model.remark else ""
            view = f"with {options.view_in_words}" if options.view_in_words else ""
            remark = "; ".join(filter(None, (model.remark, seen, view)))
            hashes = read_hashes(model.folder) if model.folder else None
            source = model_source(
                model.predict, model.kind, remark, identity, model.follows_camera, telling(model), hashes
            )
            if model.remark or model.fallback:
                self.note(f"model: {model.in_words}{f'; {seen}' if seen else ''}")
            if model.remark and (finding := check_first_maps(source, self.dataset)):
                self.note(f"model: {name}: {finding}")
                source = replace(source, remark=partial(str, f"{remark}; {finding}"))
            self.sources[name] = source

    def add_folder(self, folder: Path, options: FolderOptions) -> None:
        """Add a folder of predictions by its own name, with a note on what it holds."""
        kind, resize = options.kind, options.resize
        predictions = PredictionFolder(folder, self.dataset.names, options.scale, kind, resize)  # type: ignore[arg-type]
        self.note(f"predictions: {predictions.description}")
        self.sources[folder.name] = folder_source(folder, predictions, self.dataset, options.score_anyway)

    def score(
        self,
        detail: bool = False,
        by_depth: bool = False,
        resume: Path | None = None,
        each: Callable[..., Iterator[ScoredPicture]] = score_each,
    ) -> dict[str, Result]:
        """Score every source under the only protocol.

        detail, by_depth: as in scoring.score. resume: the file of a ScoreLog, for a single source. each: what scores
        the pictures, score_each or a Spread.
        """
        for source in self.sources.values():
            require_compatible(source, self.protocol)  # all, before the first takes its minutes
        scenes = scenes_of(self.dataset)
        scored_by: dict[str, list[ScoredPicture]] = {}
        remarks: dict[str, str] = {}
        # Files first: they are quickly found wrong.
        for name, source in sorted(self.sources.items(), key=lambda item: item[1].predict is not None):
            omissions = Omissions(len(self.dataset))
            with claim(resume) if resume else nullcontext():  # a second evaluation would mix its rows in
                log = ScoreLog(resume, self.settings(source, detail, by_depth)) if resume else None
                if log and log.rows:
                    self.note(f"{resume}: {len(log.rows)} of {len(self.dataset)} pictures are scored already")
                scores = each(source, self.dataset, self.protocol, detail, by_depth, log, omissions=omissions)
                with set_complaints_first(source):
                    scored_by[name] = list(self.progress(scores, name, len(self.dataset)))
            remarks[name] = source.remark()  # raises for a wrong set of files, before the next source takes its minutes
            self.leave_out(omissions)
        return {
            name: collect(scored_by[name], self.dataset, self.protocol, self.with_omitted(remarks[name]), scenes)
            for name in self.sources
        }

    def leave_out(self, omissions: Omissions) -> None:
        """Go on without the pictures that have no score, and say so once."""
        if not self.omitted:
            for line in omissions.lines():
                self.note(f"data: {line}")
        if omissions.reasons:
            self.omitted = omissions.in_words()
            self.datasets = {truth: omissions.rest(dataset) for truth, dataset in self.datasets.items()}

    def with_omitted(self, *remarks: str) -> str:
        """Join what readers of figures must know, and what is left out of them."""
        return "; ".join(filter(None, (*remarks, self.omitted)))

    def settings(self, source: PredictionSource, detail: bool, by_depth: bool) -> dict[str, str]:
        """Everything that decides a picture's figures, besides the picture."""
        return {
            "hqmd version": __version__,
            "model or predictions": source.identity(),
            "protocol": f"{self.protocol.name} {self.protocol.digest}",
            "data": f"{self.dataset.description}, {self.dataset.ground_truth}",
            "set of metrics": f"detail {detail}, by depth {by_depth}",
        }

    def score_under_each(self) -> dict[str, Result]:
        """Score the only source under each protocol: protocol -> result.

        Protocols that do not fit the source, or any of the pictures, are left out with a note. Raises HqmdError if none
        fits.
        """
        ((name, source),) = self.sources.items()
        protocols = []
        for protocol in self.protocols:
            try:
                require_compatible(source, protocol)  # before the source sees all pictures in vain
                protocols.append(protocol)
            except DoesNotFit as reason:
                self.note(left_out(protocol, reason))
        if not protocols:
            raise HqmdError(f"{name}: no protocol fits it; write one, see --protocol FILE.toml")
        omissions = Omissions(len(self.dataset))
        scores = score_under_each(source, self.datasets, protocols, omissions)
        with set_complaints_first(source):
            pictures = list(self.progress(scores, name, len(self.dataset)))
        self.leave_out(omissions)
        results = {}
        for protocol in protocols:
            scored = [picture[protocol.name] for picture in pictures]
            figures = [each for each in scored if isinstance(each, ScoredPicture)]
            reasons = [each for each in scored if isinstance(each, DoesNotFit)]
            if too_many(len(reasons), len(scored)) or not all(isinstance(reason, NoTruth) for reason in reasons):
                self.note(left_out(protocol, reasons[0]))
                continue
            without = f"{len(reasons)} of {len(scored)} pictures without truth left out" if reasons else ""
            remark = self.with_omitted(source.remark(), without)
            dataset = self.datasets[protocol.ground_truth]
            results[protocol.name] = collect(figures, dataset, protocol, remark, scenes_of(dataset))
        if not results:
            raise HqmdError(f"{name}: no protocol fits it and all pictures of the data")
        return results


def open_session(
    data: Path | None,
    split: str | None,
    protocol_name: str,
    depth_scale: float | None,
    note: Note = str,
    progress: Progress = no_progress,
) -> Session:
    """Open data with the ground truth that a protocol needs; split None: test, or all of data without splits.

    Raises HqmdError for the protocol "all".
    """
    if protocol_name == ALL:
        raise HqmdError(
            f"figures of different protocols cannot be ranked or fitted together: name one of "
            f"{', '.join(PROTOCOLS)}; `hqmd evaluate --protocol {ALL}` shows one model under each"
        )
    protocol = find_protocol(protocol_name)
    path = data or default_data()
    dataset = open_dataset(path, split_to_score(path, split, note), protocol.ground_truth, depth_scale)
    note(f"data: {dataset.description}, {len(dataset)} pictures")
    refuse_turned(dataset, note)
    return Session({protocol.ground_truth: dataset}, [protocol], note, progress)


def split_to_score(path: Path, split: str | None, note: Note) -> str:
    """Return the split to score: the one that is asked for, or else test, or all of data that has no splits."""
    if split is None and find_reader(path).splits(path) == [WHOLE]:
        note(f"data: {path} has no splits, so all of its pictures are taken")
        return WHOLE
    return split or SCORED_SPLIT


def refuse_turned(dataset: Dataset, note: Note) -> None:
    """Raise HqmdError if EXIF turns the photos but not the depth; note it if that is only likely."""
    text, is_error = turned_pairs(dataset, evenly(len(dataset), HEADERS))
    if is_error:
        raise HqmdError(f"{dataset.description}: {text}")
    if text:
        note(f"data: {text}")


def open_session_for_all(
    data: Path | None, split: str | None, depth_scale: float | None, note: Note = str, progress: Progress = no_progress
) -> Session:
    """Open data for all protocols that fit it, with a note on the others. Raises HqmdError if none fits."""
    path = data or default_data()
    split = split_to_score(path, split, note)
    datasets: dict[str, Dataset] = {}
    fitting, misfits = [], {}
    for protocol in PROTOCOLS.values():
        try:
            if protocol.ground_truth not in datasets:
                datasets[protocol.ground_truth] = open_dataset(path, split, protocol.ground_truth, depth_scale)
            require_fit(datasets[protocol.ground_truth], protocol)
            fitting.append(protocol)
        except HqmdError as error:
            misfits[protocol] = str(error)
    if not fitting:  # most likely for one reason, such as a path that does not exist
        raise HqmdError("; ".join(dict.fromkeys(misfits.values())))
    for dataset in datasets.values():
        note(f"data: {dataset.description}, {len(dataset)} pictures")
    refuse_turned(next(iter(datasets.values())), note)
    for protocol, reason in misfits.items():
        note(left_out(protocol, reason))
    return Session(datasets, fitting, note, progress)


def left_out(protocol: Protocol, reason: object) -> str:
    """Say which protocol is not in the table, and why."""
    return f"without protocol {protocol.name}: {reason}"


def identity_of(model: OpenModel) -> str:
    """Name and hash everything that decides a model's maps."""
    return f"{model.in_words}, {model.precision}, {model.digest()}"


def telling(model: OpenModel) -> Tell | None:
    """Return what predicts with a model and tells what it says besides; None if it says nothing.

    It is not told the camera, as in an evaluation without detail.
    """
    sees, surely = model.sees, model.surely
    if surely:
        return lambda image: ((told := surely(image))[0], Said(uncertainty=told[1]))
    if sees:
        return lambda image: ((seen := sees(image, None)).depth, Said(seen.focal_px))
    return None


def check_first_maps(source: PredictionSource, dataset: Dataset) -> str:
    """Say that the maps of a few pictures, all of them, look like another kind or unit; empty if they do not."""
    findings, omissions = [], Omissions(len(dataset))
    for index in sorted({place * (len(dataset) - 1) // (FIRST_CHECKED - 1) for place in range(FIRST_CHECKED)}):
        sample = omissions.read(dataset, index)
        if sample is not None and sample.valid.any():
            findings.append(diagnose(source(sample), sample.depth_m, sample.valid, source.kind))
    if not findings or not all(findings):
        return ""
    finding, _, _ = str(findings[0]).partition("; ")  # the remedy there is for files
    return f"{finding}; if so, state with --model-kind what it gives"


@contextmanager
def set_complaints_first(source: PredictionSource) -> Iterator[None]:
    """If one map cannot be scored, raise the complaint about all of them instead, if there is one."""
    try:
        yield
    except HqmdError:
        source.remark()
        raise
