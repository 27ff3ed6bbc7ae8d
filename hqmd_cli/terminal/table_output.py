"""Tables on stdout."""

import shutil
import sys
from dataclasses import replace

from rich.console import Console, Group, RenderableType
from rich.text import Text

from hqmd_cli.errors import printable
from hqmd_cli.reporting.table_formats import Table, for_screen
from hqmd_cli.terminal.streams import for_drawing

TABLE_WIDTH = 120  # columns that the long tables need; a narrower terminal breaks lines, but loses nothing
SHORT_WIDTH = 100  # of the short table where there is no terminal
NARROW = 80  # columns of the tables that are made for any terminal


def print_table(table: Table, width: int = 0) -> None:
    """Print a long table on stdout; `width`: in so many columns, whatever the terminal has."""
    print_within(width or max(screen_width(), TABLE_WIDTH), for_screen(table))


def print_short(table: Table) -> None:
    """Print a table that was made for the width of the screen, and its caption as wide as that."""
    caption = Text("\n".join(map(printable, table.caption.split("\n"))))
    print_within(screen_width(), Group(for_screen(replace(table, caption=""), lines=False), caption))


def print_within(width: int, what: RenderableType) -> None:
    """Print on stdout in so many columns."""
    stdout = for_drawing(sys.stdout)
    Console(file=stdout, width=width).print(what)
    stdout.flush()


def screen_width() -> int:
    """Return the columns of the terminal, or of $COLUMNS."""
    return shutil.get_terminal_size((SHORT_WIDTH, 0)).columns
