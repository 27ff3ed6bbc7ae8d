"""The command line: each command is a file in commands/, named here once."""

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from io import TextIOWrapper
from typing import Annotated

import typer

from hqmd_cli.errors import HqmdError, complain
from hqmd_cli.installed import explain_missing, in_words
from hqmd_cli.terminal.streams import (
    open_closed_streams,
    say_in_one_line,
    use_printable_streams,
    write_out_stdout,
)

COMMANDS = (  # in the order of --help; the function, or the Typer of a group, has the name of its file
    "predict",
    "merge_manifests",
    "train",
    "check",
    "evaluate",
    "compare",
    "serve",
    "calibrate",
    "merge",
    "export",
    "models",
    "info",
    "push",
    "data",
)
SYMLINK_LOOP = "Symlink loop"  # how Path.resolve begins about a link to itself, before Python 3.13


def build_app(names: Sequence[str] = COMMANDS) -> typer.Typer:
    """Build the command line with these commands."""
    # Without Rich's help pages, which take longer than the rest of --help.
    app = typer.Typer(
        help="Metric depth from a single photo.",
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
    )
    app.callback()(options)  # without one, Typer takes the command of an app for the app itself
    for name in names:
        command = getattr(import_module(f"hqmd_cli.commands.{name}"), name)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name)
        else:
            app.command()(command)
    return app


def say_version(wanted: bool) -> None:
    """Print the versions and end, if it is wanted."""
    if wanted:
        print(*in_words(), sep="\n")
        raise typer.Exit


def options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print hqmd's version, torch's and ONNX Runtime's.", callback=say_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Take the options of hqmd itself."""


def main() -> None:
    """Run the command line. An HqmdError becomes one line on stderr and exit code 1."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # print escapes for letters that the terminal does not have
            stream.reconfigure(errors="backslashreplace")
    # Import only the command that runs, which saves 2 to 4 % of the CPU time of a cold `hqmd predict`.
    named = [name for name in (word.replace("-", "_") for word in sys.argv[1:2]) if name in COMMANDS]
    try:
        refuse_empty(sys.argv[1:])
        build_app(named or COMMANDS)()
    except HqmdError as error:
        complain(error)
        sys.exit(1)
    except OSError as error:  # a path that the system refuses before hqmd opens it, such as one that is too long
        where = error.filename or ("the current folder" if isinstance(error, FileNotFoundError) else "")
        complain(HqmdError(f"{where}{': ' if where else ''}{error.strerror or error}"))
        sys.exit(1)
    except ModuleNotFoundError as error:
        explained = explain_missing(error)
        if explained is None:
            raise
        complain(explained)
        sys.exit(1)
    except RuntimeError as error:
        if not str(error).startswith(SYMLINK_LOOP):
            raise
        complain(HqmdError(f"{error}; remove the link"))
        sys.exit(1)


def refuse_empty(arguments: Sequence[str]) -> None:
    """Raise HqmdError for an empty argument: `-o ""` would be the current folder, and other flags as if not given."""
    for flag, value in zip(("", *arguments), arguments, strict=False):
        if value == "" or (value.startswith("--") and value.endswith("=")):
            where = value or (f'{flag} ""' if flag.startswith("-") else '""')
            raise HqmdError(f"{where}: empty; is a shell variable not set? For the current folder, write .")


def run() -> None:
    """Run the command line as the whole process; the entry point of `hqmd`."""
    open_closed_streams()
    use_printable_streams()
    say_in_one_line()
    try:
        main()
    except SystemExit as end:
        try:
            write_out_stdout()
        except HqmdError as error:
            complain(error)
            sys.exit(1)
        if end.code in (None, 0):
            leave_early()
        raise


def leave_early() -> None:
    """End a successful process without Python's clean-up, if ONNX Runtime did the computing.

    Saves 7 to 12 % of the CPU time of a cold `hqmd predict` (hqmd-indoor-small, medians of 25 to 30 pairs of runs).
    Every file is closed by now. The clean-up of torch and its workers, matplotlib and the hub's client is kept.
    """
    loaded = sys.modules.keys()
    if "onnxruntime" in loaded and not {"torch", "matplotlib", "huggingface_hub"} & loaded:
        sys.stderr.flush()
        os._exit(0)
