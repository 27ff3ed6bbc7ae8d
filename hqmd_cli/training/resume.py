"""Which run `hqmd train` starts or continues, with which settings and from which data.

`--resume` takes everything that is not given from the run: its settings, data and models. A flag with another value
than the run's is refused with both values.
"""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from itertools import count
from pathlib import Path
from typing import Any

from hqmd_cli.checkpoints.hub import find_checkpoint, find_model, scheme_of
from hqmd_cli.checkpoints.run_folder import can_resume, holds_run, refuse_run, saved_states
from hqmd_cli.config.network import OURS, TRANSFORMERS, ModelConfig
from hqmd_cli.config.training import TrainConfig
from hqmd_cli.data import default_data
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.locks import is_claimed
from hqmd_cli.installed import require
from hqmd_cli.models.pretrained import refuse_out_of_reach
from hqmd_cli.models.recipes import override, read_recipe
from hqmd_cli.parallel.processes import Ranks
from hqmd_cli.training.record import RunRecord, changes, is_unfinished, read_record, refuse_changes, teachers_in

RUNS = Path("runs")  # below the current folder
PATHS = (
    "data",
    "val_data",
    "extra_data",
    "unlabelled",
    "start",
    "teacher",
    "backbone_weights",
)  # sources that may be files or folders

Say = Callable[[str], object]


@dataclass(frozen=True)
class Asked:
    """What the user asked for; None where nothing was said."""

    output: Path | None = None
    resume: bool = False
    recipe: str | None = None
    model: str | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    sources: Mapping[str, Any] = field(default_factory=dict)  # as RunRecord.sources


@dataclass(frozen=True)
class Plan:
    """The run to start or to continue."""

    run_dir: Path
    resume: bool
    model: ModelConfig
    train: TrainConfig
    sources: dict[str, Any]  # as RunRecord.sources; `origin` describes the first weights of a run that goes on

    @property
    def backbone_weights(self) -> str:
        """The first weights of the backbone: default, none, or a file."""
        return self.sources.get("backbone_weights") or "default"

    @property
    def start(self) -> Path | str | None:
        """The checkpoint that it starts from, or the name of a network of transformers; None without one.

        Raises HqmdError if there is no such model.
        """
        if not (model := self.sources.get("start")):
            return None
        place = find_model(model)
        address = place.address("torch") if not isinstance(place, Path | str) else place
        return address if isinstance(address, str) and scheme_of(address) == "hf" else find_checkpoint(model)

    @property
    def teacher(self) -> Path | None:
        """The checkpoint that answers for each picture of a batch; None without one, and if photos are labelled before.

        Raises HqmdError if there is no such model.
        """
        teachers = teachers_in(self.sources)
        if self.sources.get("unlabelled"):
            if not teachers:
                raise HqmdError("--unlabelled: name a --teacher to label the photos")
            if self.sources.get("extra_data"):
                raise HqmdError("--unlabelled and --extra-data both take half of an epoch; give one of them")
            return None
        if len(teachers) > 1 or not all(isinstance(find_model(name), Path) for name in teachers):
            raise HqmdError(
                f"--teacher {teachers[-1]}: can only label photos beforehand; name them with --unlabelled PHOTOS"
            )
        return find_checkpoint(teachers[0]) if teachers else None

    def require_weights(self, new_layers: bool = True) -> None:
        """Raise HqmdError within seconds if a model or pretrained weights cannot be had, before the data is read.

        Also if the network that it starts from has other layers, unless `new_layers`.
        """
        start = self.start
        self.teacher  # noqa: B018  # raises
        if isinstance(start, str) and not self.resume:
            from hqmd_cli.training.fine_tuning import require_trainable  # imports torch

            require_trainable(start, self.model)
        if isinstance(start, Path) and not self.resume and not new_layers:
            from hqmd_cli.training.state import require_same_layers  # imports torch

            require_same_layers(str(self.sources["start"]), start, self.model)
        if self.resume or start:
            return
        if self.backbone_weights not in ("default", "none") and not Path(self.backbone_weights).is_file():
            raise HqmdError(f"{self.backbone_weights}: no such backbone weights; pass a file, default or none")
        if self.model.network.system == OURS and self.backbone_weights == "default":
            refuse_out_of_reach(self.model.network.backbone)
            from hqmd_cli.models.backbone import require_pretrained  # imports torch

            require_pretrained(self.model.network.backbone)


def plan_run(asked: Asked, say: Say) -> Plan:
    """Choose the run's folder, and join what was asked with what the run to continue recorded.

    Raises HqmdError if a new run would overwrite one, or a run would continue with other settings.
    """
    require("torch", "hqmd train")
    run_dir = asked.output
    if run_dir is None and asked.resume:
        run_dir = newest_unfinished(asked, say)
    if run_dir is not None and asked.resume and can_resume(run_dir):
        return continued(asked, run_dir)
    model, train = read_recipe(asked.recipe, asked.model)
    model, train = override(model, asked.settings), override(train, asked.settings)
    if run_dir is None:
        run_dir = new_run_folder(system_of(asked), say)
    elif asked.resume and not holds_run(run_dir):
        say(f"{run_dir}: there is no run to resume, so one is started")
    refuse_run(run_dir)
    alone = asked.sources.get("unlabelled") and not asked.sources.get("data")
    main = "val_data" if alone else "data"  # photos without depth need no others but for the validation
    sources = located({**asked.sources, main: asked.sources.get(main) or default_data()})
    if used := next((name for name in PATHS if any(is_place(run_dir, one) for one in each(sources.get(name)))), None):
        raise HqmdError(f"{run_dir}: is what --{used.replace('_', '-')} reads; choose another -o")
    return Plan(run_dir, False, model, train, sources)


def each(source: str | list[str] | None) -> list[str]:
    """Return the names of a source, of which a teacher may have several."""
    return [str(source)] if isinstance(source, str | Path) else source or []


def is_place(folder: Path, source: str) -> bool:
    """True if a source lies at this very place, links resolved."""
    return os.path.exists(source) and os.path.realpath(source) == os.path.realpath(folder)


def continued(asked: Asked, run_dir: Path) -> Plan:
    """Plan to continue a run. Raises HqmdError with old and new values of settings that are asked for otherwise."""
    record = record_of(run_dir)
    model, train = record.configs if asked.recipe is None else read_recipe(asked.recipe, asked.model)
    settings = dict(asked.settings)
    if record.configs[0].network.system == TRANSFORMERS:  # which no recipe describes
        model = record.configs[0]
        settings["size"] = settings.get("size") and model.compute.rounded(settings["size"])
    model, train = override(model, settings), override(train, settings)
    now = model.to_flat() | train.to_flat() | ({"system": asked.model} if asked.model else {})
    refuse_changes(run_dir, changes(record.settings, now), run_dir)
    given = located({name: value for name, value in asked.sources.items() if value is not None})
    sources: dict[str, Any] = {**record.sources, **given}
    if not given.keys() & {"start", "backbone_weights"} and "weights at the start" in record.about:
        sources |= {"start": None, "origin": record.about["weights at the start"]}
    return Plan(run_dir, True, *record.configs, sources)


def record_of(run_dir: Path) -> RunRecord:
    """Return the record of a run that can continue; of an earlier hqmd's, what its newest readable state says.

    Raises HqmdError if no state can be read.
    """
    record = read_record(run_dir)
    if record is not None:
        return record
    from hqmd_cli.training.state import newest_state

    settings = newest_state(run_dir)[1]["settings"]
    known = ModelConfig().to_flat() | TrainConfig().to_flat()
    return RunRecord(
        {name: value for name, value in settings.items() if name in known},
        {name: value for name, value in settings.items() if name not in known},
        hqmd_version="",
    )


def located(sources: Mapping[str, Any]) -> dict[str, Any]:
    """Make the paths of files and folders absolute, so that a run continues from any folder."""
    result = dict(sources)
    for name in PATHS:
        if found := [located_one(one, name) for one in each(result.get(name))]:
            result[name] = found if found[1:] else found[0]
    return result


def located_one(source: str, name: str) -> str:
    """Make the path of a file or a folder absolute, and that of a pattern of photos."""
    path = Path(source)
    return str(path.absolute()) if path.exists() or name == "unlabelled" else source


def newest_unfinished(asked: Asked, say: Say) -> Path | None:
    """Find the newest run in runs/ that has steps left, of the same system and data, and say which it is.

    Without a word of system and data, a run of any is taken if there is none of the default ones. None if there is no
    such run. Runs that another process holds are passed over and named.
    """
    if Ranks.from_environment().world > 1:
        raise HqmdError("several processes need one folder: name it with -o RUN_DIR")
    unfinished = []
    for folder in sorted(RUNS.iterdir()) if RUNS.is_dir() else ():
        if can_resume(folder) and is_unfinished(folder, record := read_record(folder)):
            if is_claimed(folder):
                say(f"{folder}: skipped, since another process is training it")
            else:
                newest = max(state.stat().st_mtime_ns for state in saved_states(folder))
                unfinished.append((newest, folder, record))
    system, data = system_of(asked), data_of(asked)
    same = [each for each in unfinished if each[2] and is_of(each[2], system, data)]
    if not same and not (asked.model or asked.recipe or asked.sources.get("data")):
        same = unfinished
    if not same:
        others = ", ".join(str(folder) for _, folder, _ in unfinished)
        say(
            f"there is no unfinished run of {system} on this data to resume"
            + (f" (others: {others})" if others else "")
        )
        return None
    _, folder, record = max(same, key=lambda each: each[:2])
    about = f", {record.settings.get('system', OURS)} on {record.about.get('data', 'unknown data')}" if record else ""
    say(f"resuming {folder}{about}")
    return folder


def is_of(record: RunRecord, system: str, data: str | None) -> bool:
    """True if a run is of this system and data; None: any data."""
    return record.settings.get("system", OURS) == system and data in (None, record.sources.get("data"))


def system_of(asked: Asked) -> str:
    """Return the system that was asked for."""
    if scheme_of(asked.sources.get("start") or ""):
        return TRANSFORMERS
    return read_recipe(asked.recipe, asked.model)[0].network.system


def data_of(asked: Asked) -> str | None:
    """Return the absolute path of the data that was asked for, or else of the default data; None without either."""
    try:
        return str(Path(asked.sources.get("data") or default_data()).absolute())
    except HqmdError:
        return None


def new_run_folder(system: str, say: Say) -> Path:
    """Return the first free folder of runs/SYSTEM-DATE-1, runs/SYSTEM-DATE-2, ... and say which one it is.

    Raises HqmdError if several processes would each choose a folder.
    """
    if Ranks.from_environment().world > 1:
        raise HqmdError("several processes need one folder: name it with -o RUN_DIR")
    name = f"{system}-{date.today().isoformat()}"
    run_dir = next(folder for number in count(1) if not (folder := RUNS / f"{name}-{number}").exists())
    say(f"run folder: {run_dir}")
    return run_dir
