"""What `hqmd predict` prints about tars, Parquet files and buckets: results on stdout, everything else on stderr."""

import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from hqmd_cli.errors import HqmdError, complain, printable
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.prediction.formats import output_for
from hqmd_cli.prediction.result import Style
from hqmd_cli.prediction.sources import address_of
from hqmd_cli.scale.merge import merge
from hqmd_cli.scale.places import join
from hqmd_cli.scale.results import Outcome
from hqmd_cli.scale.run import Estimate, ScaleRun, estimate, prepare_scale, run_local
from hqmd_cli.terminal.progress import with_progress
from hqmd_cli.terminal.stops import stops_as_interrupts

if TYPE_CHECKING:
    from hqmd_cli.parallel.ray_actors import Actors


def run_shards(
    sources: Sequence[str],
    destinations: Sequence[Path],
    model: str,
    options: OpenOptions,
    formats: str | None,
    style: Style,
    refused: Mapping[str, object],
    dry: bool,
    shard: str | None,
    limit: int | None,
    actors: "Actors | None",
    same: Mapping[str, Any],
) -> None:
    """Do the shards of this part, and sum up. Exit code 1 if a photo or a shard failed, 130 after Ctrl-C.

    `refused` are options that are not for shards, `same` those of prepare_scale by their names there. actors: None:
    this process does them.
    """
    if given := [flag for flag, value in refused.items() if value is not None]:
        raise HqmdError(f"{' and '.join(given)}: not for tars, buckets, --shard, --limit and --dry-run")
    output = address_of(destinations[0])
    if len(destinations) > 1 or output == "-" or output_for(destinations[0]):
        raise HqmdError(
            f"-o {printable(output)}: tars, buckets, --shard, --limit and --dry-run take one -o, a folder or a bucket"
        )
    run = prepare_scale(sources, output, model, options, formats, style, shard=shard, limit=limit, dry=dry, **same)
    print(run.work.photos.model.in_words, file=sys.stderr)
    if dry:
        return describe(estimate(run), run)
    with run.output.held:
        finish(run, run_on_ray(run, actors) if actors else run_local(run))


def run_on_ray(run: ScaleRun, actors: "Actors") -> Iterator[Outcome]:
    """Run the engine that needs Ray, which is imported only now."""
    from hqmd_cli.scale.on_ray import run_ray

    return run_ray(run, actors, partial(print, file=sys.stderr))


def finish(run: ScaleRun, outcomes: Iterable[Outcome]) -> None:
    """Run an engine to its end, name what it wrote, and sum up; ends as run_shards says."""
    total, stopped = list(run.done), None
    try:
        with stops_as_interrupts() as stop:
            for outcome in with_progress(outcomes, "shards", len(run.todo)):
                total.append(outcome)
                say(outcome, run)
    except KeyboardInterrupt:
        stopped = stop.exit_code
    failed = sum(len(outcome.errors) for outcome in total)
    broken = sum(bool(outcome.fault) for outcome in total)
    counts = [f"{sum(each.written for each in total)} written", f"{failed} failed"]
    counts += [f"{kept} left as they are"] if (kept := sum(each.kept for each in total)) else []
    counts += [f"{broken} shards failed"] if broken else []
    counts += [f"{left} shards not begun"] if (left := len(run.shards) - len(total)) else []
    print(f"{len(run.shards)} shards: {', '.join(counts)}", file=sys.stderr)
    if run.left_out.counts:
        print(f"left out: {run.left_out.in_words}", file=sys.stderr)
    if stopped is not None:
        print("hqmd: interrupted; --skip-existing goes on from here", file=sys.stderr)
        raise typer.Exit(stopped)
    if run.output.part.count == 1:
        merge(run.output.address)
    if earlier := sum(len(outcome.errors) for outcome in run.done):
        print(f"{earlier} of these failed in an earlier run; --overwrite does their tars again", file=sys.stderr)
    if failed or broken:
        raise typer.Exit(1)


def say(outcome: Outcome, run: ScaleRun) -> None:
    """Name what became of one shard."""
    for error in (*outcome.errors, *([outcome.fault] if outcome.fault else [])):
        complain(HqmdError(error))
    for file in outcome.files:
        print(printable(join(run.output.address, file)))


def describe(found: Estimate, run: ScaleRun) -> None:
    """Print what a dry run found."""
    about = "" if found.is_exact else "about "
    print(f"{found.shards} shards, {about}{found.photos:,} photos, {found.size:,} bytes to read", file=sys.stderr)
    if found.tried:
        hours = found.seconds / found.tried * found.photos / 3600
        print(
            f"{found.tried} photos took {found.seconds:.1f} s ({found.failed} failed), so all take about {hours:.3g} "
            f"hours on this machine with {run.workers} threads; nothing was written",
            file=sys.stderr,
        )
