"""Tables on stdout."""

import sys

from rich.console import Console

from hqmd_cli.reporting.table_formats import Table, for_screen
from hqmd_cli.terminal.streams import for_drawing

TABLE_WIDTH = 120  # columns that tables of figures need; a narrower terminal breaks lines, but loses nothing
NARROW = 80  # columns of the tables that are made for any terminal


def print_table(table: Table, width: int = TABLE_WIDTH) -> None:
    """Print a table on stdout, in this many columns or in those of a wider terminal."""
    stdout = for_drawing(sys.stdout)
    Console(file=stdout, width=max(Console(file=stdout).width, width)).print(for_screen(table))
    stdout.flush()
