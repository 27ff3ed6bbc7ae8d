"""`hqmd evaluate`: measure one model on one dataset."""

import sys
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.commands.options import (
    ActorsOption,
    AddressOption,
    BackendOption,
    CpusPerActorOption,
    DeviceOption,
    EngineOption,
    FlipOption,
    GpusPerActorOption,
    ModelKindOption,
    ModelOption,
    OnnxProfileOption,
    OverwriteOption,
    SideOption,
    SizeOption,
    actors_of,
)
from hqmd_cli.commands.scoring_options import (
    DEFAULT_PROTOCOL,
    DEFAULT_REPORT_PICTURES,
    DataOption,
    DepthScaleOption,
    DetailOption,
    PerPictureOption,
    PredAnywayOption,
    PredKindOption,
    PredResizeOption,
    PredScaleOption,
    ProtocolsOption,
    PublishedOption,
    ReportOption,
    ReportPicturesOption,
    SplitOption,
    Table1Option,
)
from hqmd_cli.config.view import DEFAULT_SIZE
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import ALL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from hqmd_cli.evaluation.results import ScoredPicture
    from hqmd_cli.inference.open import OpenOptions
    from hqmd_cli.parallel.ray_actors import Actors

# Options by their names in Python
OF_ONE_PROTOCOL = {"report", "per_picture", "resume", "published", "table1"}
WITH_POINTS = {
    "points",
    "picture",
    "model",
    "model_kind",
    "onnx_profile",
    "backend",
    "device",
    "side",
    "size",
    "flip",
    "in_json",
    "overwrite",
}


def evaluate(
    context: typer.Context,
    data: DataOption = None,
    split: SplitOption = None,
    model: ModelOption = DEFAULT_MODEL,
    model_kind: ModelKindOption = None,
    onnx_profile: OnnxProfileOption = "",
    pred: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR",
            help="Score files made by any tool instead of a model: one map per picture, found by the picture's name.",
        ),
    ] = None,
    pred_scale: PredScaleOption = None,
    pred_kind: PredKindOption = "depth",
    pred_resize: PredResizeOption = None,
    pred_anyway: PredAnywayOption = False,
    protocol: ProtocolsOption = DEFAULT_PROTOCOL,
    depth_scale: DepthScaleOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    side: SideOption = None,
    size: SizeOption = DEFAULT_SIZE,
    flip: FlipOption = False,
    engine: EngineOption = "local",
    address: AddressOption = "",
    actors: ActorsOption = None,
    cpus_per_actor: CpusPerActorOption = None,
    gpus_per_actor: GpusPerActorOption = None,
    detail: DetailOption = None,
    per_picture: PerPictureOption = None,
    published: PublishedOption = False,
    table1: Table1Option = False,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Save the figures of each picture to this file, and continue from it after a stop."
        ),
    ] = None,
    report: ReportOption = None,
    report_pictures: ReportPicturesOption = DEFAULT_REPORT_PICTURES,
    overwrite: OverwriteOption = False,
    record: Annotated[
        bool, typer.Option("--record", help="Write the figures into the model's config.json and card.")
    ] = False,
    in_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
    points: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Use distances that you measured yourself instead of --data: a .csv with rows of photo,x,y,metres.",
        ),
    ] = None,
    picture: Annotated[
        Path | None, typer.Option(help="With --points: draw the photos with both distances, as .png or .jpg.")
    ] = None,
    explain: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Only print the rules of a protocol, or the formula of a metric, and its source."
        ),
    ] = None,
) -> None:
    """Measure a model, or a folder of predictions.

    The table shows RMSE, AbsRel, delta1 and the F1 of depth edges, each with half the width of its 95 % interval; in a
    wide terminal also the bias (the median of prediction / truth), log10, RMSElog, delta2 and delta3.

    \b
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol eigen-filled
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol eigen-filled --pred maps/
    hqmd evaluate --data nyu_depth_v2_labeled.mat --protocol all
    hqmd evaluate --points measured.csv --picture points.png
    hqmd evaluate --explain eigen-filled
    """
    if explain:
        from hqmd_cli.evaluation.explain import explain as explanation_of

        print(explanation_of(explain))
        return

    from hqmd_cli.checkpoints.checkpoint import record_figures
    from hqmd_cli.checkpoints.hub import find_own
    from hqmd_cli.checkpoints.run_folder import held
    from hqmd_cli.evaluation.prediction_folder import FolderOptions
    from hqmd_cli.inference.open import OpenOptions
    from hqmd_cli.terminal.evaluation_output import Extras, add_sources, print_one, print_under_each, start_session

    options = OpenOptions(backend, device, side or (), size, flip, kind=model_kind, profile=onnx_profile)
    if points or picture:
        from hqmd_cli.terminal.points_output import evaluate_points

        refuse_given("--points", given_options(context) - WITH_POINTS)
        evaluate_points(points, model, options, picture, in_json, overwrite)
        return
    on_ray = actors_of(engine, address, actors, cpus_per_actor, gpus_per_actor)
    refuse_contradictions(context, record, pred, options, model, protocol, bool(on_ray))
    folder = find_own(model) if record else None  # a foreign model has no card of ours
    extras = Extras(per_picture, published, table1, report, report_pictures, overwrite)
    folder_options = FolderOptions(pred_scale, pred_kind, pred_resize, pred_anyway)

    session = start_session(data, split, protocol, depth_scale, True, [*extras.files, resume])
    beside = extras.published_rows(session.dataset)
    add_sources(session, [] if pred else [model], options, [pred] if pred else [], folder_options)
    if protocol == ALL:
        print_under_each(session, bool(detail), in_json)
        return
    with held(folder) if folder else nullcontext():  # held while it is measured, so that its figures are its own
        all_figures = detail if detail is not None else any((*extras.files, resume, record, in_json))
        results = session.score(all_figures, bool(report), resume, spread_over(on_ray, model, options))
        if folder:
            record_figures(folder, results[model].to_dict())
    print_one(results, beside, bool(detail), in_json)
    extras.write(session, results, [])


def spread_over(
    actors: "Actors | None", model: str, options: "OpenOptions"
) -> "Callable[..., Iterator[ScoredPicture]]":
    """Return what scores each picture: this process, or actors of Ray."""
    if actors is None:
        from hqmd_cli.evaluation.evaluate import score_each

        return score_each
    from hqmd_cli.evaluation.spread import Spread

    return Spread(actors, model, options, partial(print, file=sys.stderr))


def refuse_contradictions(
    context: typer.Context,
    record: bool,
    pred: Path | None,
    options: "OpenOptions",
    model: str,
    protocol: str,
    on_ray: bool,
) -> None:
    """Raise HqmdError for options that exclude each other, and for --record with other settings than the model's."""
    if protocol == ALL:
        refuse_given("--protocol all", given_options(context) & OF_ONE_PROTOCOL)
    if on_ray and (pred or protocol == ALL):
        raise HqmdError("--engine ray runs a model under one protocol; leave out --pred and --protocol all")
    changes_view = bool(options.sides or options.flip or options.size != DEFAULT_SIZE)
    if record and (changes_view or protocol == ALL):
        raise HqmdError("--record needs the model's own settings and one protocol; leave out --side, --size and --flip")
    if pred and (record or changes_view or model != DEFAULT_MODEL or options.kind or options.profile):
        raise HqmdError(
            "--pred scores files as they are; leave out --model, --model-kind, --side, --size, --flip and --record"
        )


def given_options(context: typer.Context) -> set[str]:
    """Return the names of the options on the command line."""
    sources = {name: context.get_parameter_source(name) for name in context.params}
    return {name for name, source in sources.items() if source and source.name == "COMMANDLINE"}


def refuse_given(chosen: str, given: set[str]) -> None:
    """Raise HqmdError if any of these options was given, since the chosen one leaves them without effect."""
    for name in sorted(given):
        raise HqmdError(f"--{name.replace('_', '-')} has no meaning with {chosen}; leave one of them out")
