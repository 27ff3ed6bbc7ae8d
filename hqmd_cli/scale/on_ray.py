"""The engine that does shards in actors of Ray: each does whole ones, as this machine would, so that bytes are equal.

An actor reads the shard and writes its results. A process of its own sees the photos: one that ends it twice, as when
the memory runs out or a library crashes, becomes an error row.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial

from hqmd_cli.errors import HqmdError
from hqmd_cli.files import atomic
from hqmd_cli.parallel.guarded import Guarded
from hqmd_cli.parallel.ray_actors import Actors, outcomes
from hqmd_cli.prediction.sources import LeftOut
from hqmd_cli.scale.recipe import Answer, Recipe, answer, failed
from hqmd_cli.scale.results import Outcome, Output, Todo
from hqmd_cli.scale.run import Limit, ScaleRun, shard_done
from hqmd_cli.scale.samples import Sample

Done = tuple[Outcome, Counter[str]]  # with what tars hold besides photos


def run_ray(run: ScaleRun, actors: Actors, note: Callable[[str], object]) -> Iterator[Outcome]:
    """Do the shards in actors, and yield what became of each, in their order. Raises HqmdError as ray_actors.outcomes.

    A shard whose actor or node is lost is done again.
    """
    if run.limit.left is not None:
        raise HqmdError("--limit counts photos in their order; leave it out with --engine ray")
    output = replace(run.output, held=ExitStack())  # this process holds the output for all of them
    make = partial(in_actor, run.recipe, output, actors.cpus, atomic.RUN)
    for outcome, left_out in outcomes(make, run.todo, actors, note):
        run.left_out.counts.update(left_out)
        yield outcome
    run.output.clear((todo.shard.name for todo in run.todo), atomic.RUN)  # of actors that were lost


def in_actor(recipe: Recipe, output: Output, threads: int, run: str) -> Callable[[Todo], Done]:
    """Return what does a shard in an actor of this run."""
    atomic.RUN = run  # whoever goes on with the run may remove what this process leaves unfinished
    guarded = Guarded(partial(answering, recipe, threads, output.settings_sha256))
    guarded.start()  # what is wrong with the model, or this node, ends the run

    def each(sample: Sample) -> Answer:
        try:
            return guarded(sample)
        except HqmdError as error:
            return failed(sample, f"{sample.name}: {error}")

    def do(todo: Todo) -> Done:
        left_out = LeftOut()
        return shard_done(todo, output, each, 1, left_out, Limit()), left_out.counts

    return do


def answering(recipe: Recipe, threads: int, settings_sha256: str) -> Callable[[Sample], Answer]:
    """Open the model, and return what does a photo. Raises HqmdError if it computes otherwise than the driver's."""
    work = recipe.open(threads)
    if work.settings_sha256 != settings_sha256:
        raise HqmdError(
            f"a node computes with {work.photos.model.in_words}, which is not as the driver does; start hqmd on a "
            "machine like the nodes, or give --device and --backend"
        )
    return partial(answer, work=work)
