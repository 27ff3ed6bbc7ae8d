"""The command line: each command is a file in commands/, named here once."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper

import typer

from hqmd_cli.errors import HqmdError, complain

COMMANDS = (  # in the order of --help; the function, or the Typer of a group, has its file's name
    "predict",
    "train",
    "check",
    "evaluate",
    "compare",
    "calibrate",
    "merge",
    "export",
    "models",
    "info",
    "push",
    "data",
)


def app_with(names: Sequence[str]) -> typer.Typer:
    """The app with these commands."""
    # Without Rich's help pages: they would cost more time than everything else that --help does.
    app = typer.Typer(
        help="Metric depth from a single photo.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(lambda: None)  # without one, Typer takes an app of one command for that command
    for name in names:
        command = getattr(import_module(f"hqmd_cli.commands.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command()(command)
    return app


def main() -> None:
    """Run the app; a problem of the user's making becomes one line on stderr and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names that it has no letters for come as escapes
            stream.reconfigure(errors="backslashreplace")
    # Where one is asked for, the others are not even imported: a twentieth of a cold predict.
    asked = [name for name in sys.argv[1:2] if name in COMMANDS]
    try:
        app_with(asked or COMMANDS)()
    except HqmdError as error:
        complain(error)
        sys.exit(1)
    except OSError as error:  # a path that the system refuses before we could look at it, such as one too long
        complain(HqmdError(f"{error.filename or ''}: {error.strerror or error}"))
        sys.exit(1)


def run() -> None:
    """`main` as a process of its own, which ends with it."""
    try:
        main()
    except SystemExit as end:
        if end.code in (None, 0):
            leave()
        raise


def leave() -> None:
    """End a process that did well without Python's tidying up, where ONNX Runtime computed.

    Taking down its graphs, and all that was imported, is a tenth of a cold predict. Every file is closed by now. What
    leaves its tidying to that end (torch with its workers, matplotlib, the hub's client) has it.
    """
    loaded = sys.modules.keys()
    if "onnxruntime" in loaded and not {"torch", "matplotlib", "huggingface_hub"} & loaded:
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # nobody reads any more; Python knows best what that means
            return
        os._exit(0)
