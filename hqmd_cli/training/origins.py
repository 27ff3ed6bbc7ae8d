"""The folder of a run, and what the run learns from: in words for its card, by content for `--resume`."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import wraps
from pathlib import Path
from typing import ParamSpec

from hqmd_cli.checkpoints.checkpoint import read_info
from hqmd_cli.checkpoints.hub import BEST, LAST
from hqmd_cli.checkpoints.run_folder import can_resume, refuse_run
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import explain_write_errors
from hqmd_cli.files.locks import claim
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.training.batches import examples_per_epoch
from hqmd_cli.training.identity import GO_ON, changed_models, compare_data, record_data
from hqmd_cli.training.record import RunRecord, read_record
from hqmd_cli.training.reports import Report

DATA_IN_WORDS = ("data", "train data", "val data")  # settings that may differ with --accept-changes
P = ParamSpec("P")


def holding_run_folder(fit: Callable[P, Iterator[Report]]) -> Callable[P, Iterator[Report]]:
    """Let a training hold its folder, its fifth argument, so that another one there is refused, with who holds it.

    A folder that it created and left empty is removed.
    """

    @wraps(fit)
    def held(*args: P.args, **options: P.kwargs) -> Iterator[Report]:
        run_dir = args[4] if len(args) > 4 else options["run_dir"]
        assert isinstance(run_dir, Path)
        with held_folder(run_dir) if Ranks.from_environment().is_first else nullcontext():
            yield from fit(*args, **options)

    return held


@contextmanager
def held_folder(run_dir: Path) -> Iterator[None]:
    """Create a folder and hold it. Raises HqmdError, which tells who holds it, if another process does."""
    is_new = not run_dir.exists()
    with explain_write_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)
    try:
        with claim(run_dir):
            yield
    finally:
        if is_new and all(file.name.endswith(".lock") for file in run_dir.iterdir()):
            for file in run_dir.iterdir():
                file.unlink(missing_ok=True)
            run_dir.rmdir()


def open_run_folder(run_dir: Path, resume: bool) -> None:
    """Create the run's folder. Raises HqmdError if there is no run to resume, or a run that is not to be resumed."""
    if not resume:
        refuse_run(run_dir)
    elif not can_resume(run_dir):
        raise HqmdError(f"{run_dir}: there is no run to resume")
    with explain_write_errors(run_dir):
        run_dir.mkdir(parents=True, exist_ok=True)


def check_identity(
    run_dir: Path,
    record: RunRecord,
    datasets: Mapping[str, Dataset | None],
    resume: bool,
    verify: bool,
    accept: bool,
) -> list[str]:
    """Write run.json and data.json of a new run, or compare those of a resumed one; return what the user should know.

    Raises HqmdError if data or models have changed, unless `accept`.
    """
    if not resume:
        record.write(run_dir)
        return list(record_data(run_dir, datasets, verify))
    said: list[str] = []
    before = read_record(run_dir)
    if before is not None:
        changed = changed_models(before.content, record.content)
        if changed and not accept:
            raise HqmdError(f"{run_dir}: {'; '.join(changed)}; {GO_ON}")
        said += [f"going on although {change}" for change in changed]
    compare_data(run_dir, datasets, verify, accept, said.append)
    if before is None or said:
        kept = before.content if before else {}
        record.write(run_dir) if before is None else replace(before, content=kept | record.content).write(run_dir)
    return said


def origins(
    train_data: Dataset,
    val_data: Dataset,
    extra_data: Dataset | None,
    backbone_weights: str,
    start: Path | None,
    teacher: Path | None,
    origin: str | None = None,
) -> dict[str, str]:
    """Describe what a run learns from. Checkpoints show it, and a resumed run must have the same.

    `origin` describes the first weights of a run that is resumed without naming them again.
    """
    if origin is None:
        origin = Path(backbone_weights).name  # the path may be private
        if start:
            before = read_info(start)
            origin = before.backbone_weights  # of a network of transformers that has not learned here yet
            if before.step or before.data:
                origin = f"{name_of(start)}, which had learned from {before.data} and started from {origin}"
    data = train_data.description + (f", and as much of {extra_data.description}" if extra_data else "")
    return {
        "data": data,
        "train data": f"{data}, {examples_per_epoch(train_data, extra_data)} an epoch",
        "val data": f"{val_data.description}, {len(val_data)}",
        "weights at the start": origin,
        "teacher": name_of(teacher) if teacher else " and ".join(teachers_of(train_data, extra_data)),
    }


def teachers_of(*datasets: Dataset | None) -> dict[str, str]:
    """Return the models that labelled the photos of a run, by name, with their SHA-256 (unlabelled.py)."""
    return {name: digest for data in datasets for name, digest in getattr(data, "teachers", {}).items()}


def contents_of_teachers(*datasets: Dataset | None) -> dict[str, str]:
    """Return what teachers_of does, by the name that RunRecord.content has for them."""
    return {f"teacher {name}": digest for name, digest in teachers_of(*datasets).items()}


def name_of(checkpoint: Path) -> str:
    """Name a checkpoint by its folder; `best` and `last` also get the folder of their run."""
    folder = checkpoint.resolve()
    return f"{folder.parent.name}/{folder.name}" if folder.name in (BEST, LAST) else folder.name
