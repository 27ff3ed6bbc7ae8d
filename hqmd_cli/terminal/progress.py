"""One progress bar for all commands: label, bar, count and time left, on stderr. Imports rich only to draw it."""

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol, TypeVar

from hqmd_cli.terminal.streams import for_drawing

Item = TypeVar("Item")


class Update(Protocol):
    """Set the number of items done; `total` and `label` stay as they are where they are None."""

    def __call__(self, done: int, total: int | None = None, label: str | None = None) -> None: ...


@contextmanager
def progress_bar(
    label: str, total: int | None = None, *, in_bytes: bool = False, shown: bool = True
) -> Iterator[Update]:
    """Draw a bar while inside, if stderr is a terminal, and clear it at the end; yield what moves it.

    Lines that are printed meanwhile appear above the bar.
    """
    if not (shown and sys.stderr.isatty()):
        yield lambda done, total=None, label=None: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    count = DownloadColumn() if in_bytes else MofNCompleteColumn()
    columns = (TextColumn("{task.description}", markup=False), BarColumn(), count, TimeRemainingColumn())
    # rich would print a piped stdout to stderr, above the bar.
    to_terminal = sys.stdout.isatty()
    with Progress(
        *columns, console=Console(file=for_drawing(sys.stderr)), transient=True, redirect_stdout=to_terminal
    ) as bar:
        task = bar.add_task(label, total=total)
        yield lambda done, total=None, label=None: bar.update(task, completed=done, total=total, description=label)


def with_progress(items: Iterable[Item], label: str, total: int) -> Iterator[Item]:
    """Yield the items, with a bar that counts them."""
    with progress_bar(label, total) as update:
        for done, item in enumerate(items, 1):
            yield item
            update(done)
