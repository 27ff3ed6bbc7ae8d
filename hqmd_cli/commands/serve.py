"""`hqmd serve`: depth over HTTP, and a page."""

from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.checkpoints.hub import DEFAULT_MODEL, QUICK_MODEL
from hqmd_cli.commands.options import ANY_MODEL_HELP, BackendOption, DeviceOption, ModelKindOption
from hqmd_cli.serving.settings import DEFAULT_PORT

DEFAULT_MODELS = (DEFAULT_MODEL, QUICK_MODEL)


def serve(
    model: Annotated[
        list[str] | None,
        typer.Option(
            "--model",
            "-m",
            help=f"{ANY_MODEL_HELP} May repeat; a webcam gets the last.",
            show_default=", ".join(DEFAULT_MODELS),
        ),
    ] = None,
    model_kind: ModelKindOption = None,
    backend: BackendOption = "auto",
    device: DeviceOption = "auto",
    host: Annotated[
        str,
        typer.Option(help="Address to listen on. If others can reach it, a token is needed.", show_default="loopback"),
    ] = "",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0 picks a free one.")] = DEFAULT_PORT,
    token: Annotated[
        str,
        typer.Option(
            envvar="HQMD_TOKEN",
            help="Token that clients must send.  [default: random, if others can reach the server]",
        ),
    ] = "",
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME[:PORT]", help="Another host name that requests may use, such as a proxy's. May repeat."
        ),
    ] = None,
    tls_cert: Annotated[Path | None, typer.Option(metavar="FILE", help="Certificate in PEM, for https.")] = None,
    tls_key: Annotated[Path | None, typer.Option(metavar="FILE", help="Its key in PEM.")] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Don't print a line for each request.")] = False,
) -> None:
    """Serve depth over HTTP, with a page to see and measure it.

    The model stays in memory. Without --host only this machine can reach the server. Needs the extra `serve`.

    \b
    hqmd serve
    curl --data-binary @photo.jpg -H "Content-Type: image/jpeg" http://localhost:8350/v1/depth -o depth.mm.png
    """
    import secrets
    from contextlib import closing

    from hqmd_cli.errors import HqmdError, complain
    from hqmd_cli.inference.open import OpenOptions
    from hqmd_cli.installed import require
    from hqmd_cli.serving.settings import ServerSettings, is_loopback

    for package in ("starlette", "uvicorn", "python_multipart"):
        require(package, "hqmd serve")
    from hqmd_cli.serving.worker import Worker

    def say(line: str) -> None:
        complain(HqmdError(line))

    token = token or ("" if is_loopback(host) else secrets.token_urlsafe(24))
    names = tuple(name.lower() for name in allow_host or ())
    settings = ServerSettings(host, port, token, names, tls_cert, tls_key)
    if not settings.is_local and settings.cert is None:
        complain(HqmdError("without --tls-cert and --tls-key, token and photos travel in clear text, without a webcam"))
    with closing(Worker(model or [*DEFAULT_MODELS], OpenOptions(backend, device, kind=model_kind))) as worker:
        from hqmd_cli.serving.application import Service  # while the models are opened
        from hqmd_cli.serving.server import serve, sockets_for

        sockets = sockets_for(settings)
        serve(Service(worker.opening.result(), worker, settings, None if quiet else say), sockets, say)
