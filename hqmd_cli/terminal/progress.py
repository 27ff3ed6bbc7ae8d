"""What evaluate and compare share: models and data by name, scored with a progress bar."""

from collections.abc import Iterable
from typing import TypeVar

from rich.console import Console
from rich.markup import escape
from rich.progress import track

Item = TypeVar("Item")


def with_progress(items: Iterable[Item], label: str, total: int) -> Iterable[Item]:
    """The items, with a bar on a terminal's stderr."""
    screen = Console(stderr=True)
    return track(items, escape(label), total, console=screen, transient=True, disable=not screen.is_terminal)
