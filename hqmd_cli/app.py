"""The command line: each command is a file in commands/, registered here by one line."""

import os
import sys
from io import TextIOWrapper

import typer

from hqmd_cli.commands import (
    calibrate,
    check,
    compare,
    data,
    evaluate,
    export,
    info,
    merge,
    models,
    predict,
    push,
    train,
)
from hqmd_cli.errors import HqmdError, complain

# Without Rich's help pages: they would cost more time than everything else that --help does.
app = typer.Typer(
    help="Metric depth from a single photo.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
app.command()(predict.predict)
app.command()(train.train)
app.command()(check.check)
app.command()(evaluate.evaluate)
app.command()(compare.compare)
app.command()(calibrate.calibrate)
app.command()(merge.merge)
app.command()(export.export)
app.command()(models.models)
app.command()(info.info)
app.command()(push.push)
app.add_typer(data.app, name="data")


def main() -> None:
    """Run the app; a problem of the user's making becomes one line on stderr and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # names that it has no letters for come as escapes
            stream.reconfigure(errors="backslashreplace")
    try:
        app()
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
    """End a process that did well without Python's tidying up, where only ONNX Runtime computed.

    Taking down its graphs, and all that was imported, is a tenth of a cold predict. Every file is closed by now. What
    leaves its tidying to that end (torch with its workers, matplotlib, the hub's client) has it.
    """
    if "onnxruntime" in sys.modules and not {"torch", "matplotlib", "huggingface_hub"} & sys.modules.keys():
        try:
            sys.stdout.flush()
            sys.stderr.flush()
        except OSError:  # nobody reads any more; Python knows best what that means
            return
        os._exit(0)
