"""A run over shards: what is checked before the first photo, and the engine that uses this machine's cores."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from time import monotonic
from typing import NamedTuple

from hqmd_cli.errors import HqmdError, printable
from hqmd_cli.geometry.camera import require_camera
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.installed import require
from hqmd_cli.parallel.processes import Ranks, usable_cores
from hqmd_cli.parallel.thread_pool import run_jobs
from hqmd_cli.prediction.formats import DEFAULT_FORMAT
from hqmd_cli.prediction.photo_run import camera_in
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import LeftOut
from hqmd_cli.scale.places import require_scheme
from hqmd_cli.scale.recipe import Answer, Recipe, Work, answer, failed
from hqmd_cli.scale.results import Outcome, Output, Todo
from hqmd_cli.scale.samples import Sample, samples
from hqmd_cli.scale.shards import Part, Shard, find_shards

TRIED = 20  # photos that a dry run does, to estimate the time
TRIED_SHARDS = 4


@dataclass
class Limit:
    """Counts the photos that are left to do; None: all."""

    left: int | None = None
    is_cut: bool = False  # True if a photo was left out

    def of(self, found: Iterator[Sample]) -> Iterator[Sample]:
        """Yield samples until none is left to do."""
        for sample in found:
            if self.left == 0:
                self.is_cut = True
                return
            if self.left is not None:
                self.left -= 1
            yield sample


@dataclass
class ScaleRun:
    """A checked run; an engine does its `todo`."""

    recipe: Recipe
    work: Work  # opened for this process
    workers: int
    output: Output
    shards: list[Shard]
    todo: list[Todo]
    done: list[Outcome]  # by earlier runs
    left_out: LeftOut
    limit: Limit = field(default_factory=Limit)


class Estimate(NamedTuple):
    """What a dry run found."""

    shards: int
    size: int  # bytes to read
    photos: int
    is_exact: bool  # of the photos: False if they were estimated from the bytes of some
    tried: int  # photos that were really done
    failed: int  # of these
    seconds: float  # for those


def prepare_scale(
    sources: Sequence[str],
    output: str,
    model: str,
    options: OpenOptions,
    formats: str | None,
    style: Style,
    *,
    shard: str | None = None,
    limit: int | None = None,
    fov: float | None = None,
    fx: float | None = None,
    camera: Path | None = None,
    picture: int | None = None,
    as_json: bool = False,
    skip_existing: bool = False,
    overwrite: bool = False,
    allow_private: bool = False,
    dry: bool = False,
) -> ScaleRun:
    """Do everything that comes before the first photo; a `dry` run writes nothing.

    Raises HqmdError if a source, the output or an option is refused.
    """
    part = Part.parse(shard) if shard else Part()
    require("pyarrow", "a run over shards")
    require_scheme(output)
    require_camera(fov, fx, camera)
    if Ranks.from_environment().world > 1:
        raise HqmdError("torchrun divides folders of photos; give each process its own --shard I/N instead")
    left_out = LeftOut()
    shards = find_shards(sources, output, part, left_out)
    names = dict.fromkeys(name.strip() for name in (formats or DEFAULT_FORMAT).split(","))
    lens = camera_in(camera) if camera else None
    recipe = Recipe(model, options, tuple(names), style, fov, fx, lens, picture, as_json, allow_private)
    workers = usable_cores()
    work = recipe.open(1 if workers > 1 else 0)
    to = Output(output, part, work.settings_sha256)
    run = ScaleRun(recipe, work, workers, to, shards, [], [], left_out, Limit(limit))
    if not dry:
        suffixes = [each.suffix for each in work.outputs] + ([".json"] if as_json else [])
        try:
            run.todo, run.done = to.begin(shards, suffixes, skip_existing, overwrite)
        except BaseException:
            to.held.close()
            raise
    return run


def run_local(run: ScaleRun) -> Iterator[Outcome]:
    """Do the shards, one after the other, with a thread for each core, and yield what became of each.

    Ctrl-C leaves a tar that is not finished as it was, and records the loose photos that are done.
    """
    for todo in run.todo:
        if run.limit.left == 0:
            return
        yield do_shard(run, todo)


def do_shard(run: ScaleRun, todo: Todo) -> Outcome:
    """Do one shard with this process's threads. A fault of the whole shard is in the outcome."""
    found = run.limit.of(samples(todo.shard, run.left_out))
    do = doing(run.work, run.output, todo)
    try:
        answers = (as_answer(sample, outcome) for sample, outcome in run_jobs(found, do, run.workers))
        return run.output.write_shard(todo, answers, lambda: not run.limit.is_cut)
    except HqmdError as error:
        return Outcome(todo.shard.name, fault=str(error))


def doing(work: Work, output: Output, todo: Todo) -> Callable[[Sample], Answer]:
    """Return the function that does one photo of a shard, from any thread; it writes those of loose photos at once."""

    def do(sample: Sample) -> Answer:
        if not todo.shard.is_loose:
            return answer(sample, work)
        if output.is_current(sample, todo.known):
            return Answer(todo.known[printable(sample.key)])
        return output.store(answer(sample, work))

    return do


def as_answer(sample: Sample, outcome: Answer | HqmdError) -> Answer:
    """Turn a result that could not be written into a row that says so."""
    return failed(sample, str(outcome)) if isinstance(outcome, HqmdError) else outcome


def estimate(run: ScaleRun) -> Estimate:
    """Count what a run would do, and do some photos of evenly spaced shards to measure their time; write nothing."""
    step = max(1, len(run.shards) // TRIED_SHARDS)
    chosen = run.shards[::step][:TRIED_SHARDS]
    each = -(-TRIED // max(1, len(chosen)))
    tried = [list(islice(samples(shard, LeftOut()), each)) for shard in chosen]
    some = [sample for found in tried for sample in found]
    began = monotonic()
    outcomes = [outcome for _, outcome in run_jobs(iter(some), lambda sample: answer(sample, run.work), run.workers)]
    seconds = monotonic() - began
    size = sum(shard.size for shard in run.shards)
    loose = [shard for shard in run.shards if shard.is_loose]
    photos = sum(len(shard.entries) for shard in loose)
    packed = size - sum(shard.size for shard in loose)
    pairs = [(shard, found) for shard, found in zip(chosen, tried, strict=True) if found and not shard.is_loose]
    read = sum(shard.size if len(found) < each else found[-1].end for shard, found in pairs)
    if packed and read:
        photos += round(packed * sum(len(found) for _, found in pairs) / read)
    failures = sum(1 for each in outcomes if isinstance(each, HqmdError) or each.row["error"])
    return Estimate(len(run.shards), size, photos, not packed, len(some), failures, seconds)
