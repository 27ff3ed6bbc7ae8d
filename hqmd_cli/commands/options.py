"""Options of the commands that open a model."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL
from hqmd_cli.errors import HqmdError
from hqmd_cli.files.limits import LARGEST_PIXELS, sides_in
from hqmd_cli.inference.engines.providers import PROVIDERS
from hqmd_cli.inference.engines.select import BACKENDS
from hqmd_cli.units import KINDS

if TYPE_CHECKING:
    from hqmd_cli.parallel.ray_actors import Actors

KINDS_HELP = f"{', '.join(KINDS)} (depth is in metres)."

MODEL_HELP = "A bundled name, a checkpoint folder, or org/name[@revision] on the Hugging Face hub."

ANY_MODEL_HELP = (
    f"{MODEL_HELP} Or a third-party model: a name that `hqmd models` lists; hf:org/name[@revision] of transformers; "
    "onnx:FILE or onnx:org/name[@revision]/FILE; py:module:function."
)

ModelOption = Annotated[str, typer.Option("--model", "-m", help=ANY_MODEL_HELP, show_default=DEFAULT_MODEL)]
ModelKindOption = Annotated[
    str | None,
    typer.Option(help=f"What a third-party model returns, if it does not say: {KINDS_HELP}"),
]
OnnxProfileOption = Annotated[
    str,
    typer.Option(metavar="NAME|FILE.toml", help="What an onnx: model expects as input, and what it returns."),
]
ACCELERATORS = ", ".join(PROVIDERS)
DeviceOption = Annotated[
    str, typer.Option(help=f"auto, cpu, cuda, cuda:N, mps; {ACCELERATORS} with an ONNX Runtime for it.")
]
BackendOption = Annotated[
    str,
    typer.Option(help="; ".join(f"{name}: {backend.about}" for name, backend in BACKENDS.items()) + "."),
]


def parse_sides(text: str) -> tuple[int, ...]:
    """Parse sides as sides_in does; a ValueError becomes an error of the command line."""
    try:
        return sides_in(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def parse_size(text: str) -> tuple[int, int]:
    """ "289x385" -> (289, 385)."""
    height, _, width = text.lower().partition("x")
    if not (height.isdecimal() and width.isdecimal()):
        raise typer.BadParameter(f"{text!r} is not HEIGHTxWIDTH, such as 289x385")
    if not (int(height) and int(width) and int(height) * int(width) <= LARGEST_PIXELS):
        raise typer.BadParameter(
            f"{text!r}: a picture has at least 1 pixel, and {LARGEST_PIXELS // 10**6} million at most"
        )
    return int(height), int(width)


def sides_option(text: str) -> Any:
    """Make an option that takes one side or several, with this help."""
    return typer.Option(parser=parse_sides, metavar="N[,N]", help=text)


SideOption = Annotated[
    tuple | None,
    sides_option(
        "Shorter side, in pixels, of a picture that adds detail. Several are averaged. The metres still come from "
        "the model's own sides.  [default: the model's]"
    ),
]
SizeOption = Annotated[
    str,
    typer.Option(metavar="NAME", help="A preset of the model, such as fast or detail."),
]
FlipOption = Annotated[
    bool, typer.Option("--flip", help="Average with the depth of the mirrored photo, which takes twice the time.")
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace existing files.")]
ENGINES = ("local", "ray")
EngineOption = Annotated[
    str, typer.Option(metavar="|".join(ENGINES), help="Where to compute: in this process, or in Ray (hqmd[ray]).")
]
AddressOption = Annotated[
    str,
    typer.Option(
        metavar="HOST:PORT",
        help="With --engine ray: the cluster to join; auto finds one on this machine.  [default: start one]",
    ),
]
ActorsOption = Annotated[
    int | None,
    typer.Option(min=1, help="With --engine ray: number of processes.", show_default="as many as fit"),
]
CpusPerActorOption = Annotated[
    int | None, typer.Option(min=1, help="With --engine ray: cores, and threads, per process.", show_default="1")
]
GpusPerActorOption = Annotated[
    float | None, typer.Option(min=0, help="With --engine ray: GPUs per process; 0.5: two share one.", show_default="0")
]


def actors_of(engine: str, address: str, number: int | None, cpus: int | None, gpus: float | None) -> "Actors | None":
    """Return where `--engine ray` computes; None for local.

    Raises HqmdError for Ray's options without it, if Ray is not installed, and for more actors than fit.
    """
    if engine not in ENGINES:
        raise HqmdError(f"no engine named {engine!r}; there are: {', '.join(ENGINES)}")
    if engine == "ray":
        from hqmd_cli.parallel.ray_actors import Actors

        actors = Actors(address, number or 0, cpus or 1, gpus or 0.0)
        actors.check()  # before anything is read or written
        return actors
    if address or any(each is not None for each in (number, cpus, gpus)):
        raise HqmdError("--address, --actors, --cpus-per-actor and --gpus-per-actor are for --engine ray")
    return None
