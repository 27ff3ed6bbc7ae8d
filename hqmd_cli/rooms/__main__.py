"""`python -m hqmd_cli.rooms`: a folder of pairs from random furnished rooms."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hqmd_cli.errors import INTERRUPTED, HqmdError, complain

EXTRAS = frozenset({"embreex", "trimesh"})

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False)


@app.command()
def rooms(
    output: Annotated[
        Path, typer.Option("--output", "-o", help="New folder for the pairs, or one that is to be gone on with.")
    ],
    furniture: Annotated[Path, typer.Option(help="Folder of .sh3f files.")],
    textures: Annotated[Path, typer.Option(help="Folder of .jpg files.")],
    number: Annotated[int, typer.Option("--number", "-n", help="How many rooms, of up to two views each.")] = 2000,
    workers: Annotated[int, typer.Option(help="Processes, of one core and about 0.7 GB each.")] = 2,
    seed: Annotated[int, typer.Option(help="Another one for other rooms.")] = 0,
) -> None:
    """Make pairs of photo and depth from random furnished rooms, to pretrain on: `hqmd train --data ROOMS`.

    Needs `pip install 'hqmd[rooms]'` (Embree, trimesh), and as material the furniture and textures of Sweet Home 3D, as
    Debian packages them. The licences of both (CC BY, CC0, GPL) are in the packages' copyright files.

    \b
    apt-get download sweethome3d-furniture sweethome3d
    for package in sweethome3d*.deb; do dpkg-deb -x "$package" sh3d; done
    unzip sh3d/usr/share/sweethome3d/sweethome3d.jar -d jar 'com/eteks/sweethome3d/io/resources/textures/*'
    python -m hqmd_cli.rooms -o ROOMS --furniture sh3d/usr/share/sweethome3d/furniture \\
        --textures jar/com/eteks/sweethome3d/io/resources/textures

    Same seed, same rooms. What is there already is not made again, so a stopped run goes on by the same command.
    """
    try:
        from hqmd_cli.rooms.making import make_rooms
    except ModuleNotFoundError as error:
        if str(error.name).partition(".")[0] in EXTRAS:
            raise HqmdError("rooms need two more packages: pip install 'hqmd[rooms]'") from error
        raise
    from rich.console import Console
    from rich.progress import track

    made = make_rooms(output, number, furniture, textures, seed, workers)
    terminal = Console(stderr=True)
    shown = track(made, "rooms", number, console=terminal, transient=True, disable=not terminal.is_terminal)
    try:
        views = sum(map(len, shown))
    except KeyboardInterrupt:
        print("hqmd: interrupted; the same command goes on from here", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    print(f"{views} views of {number} rooms in {output}")


def main() -> None:
    """Run the command; a problem of the user's making becomes one line on stderr and exit code 1."""
    try:
        app(prog_name="python -m hqmd_cli.rooms")
    except HqmdError as error:
        complain(error)
        sys.exit(1)
    except OSError as error:  # a file of the user's that the system refuses
        complain(HqmdError(f"{error.filename or ''}: {error.strerror or error}"))
        sys.exit(1)


if __name__ == "__main__":
    main()
