"""JSON Lines files that grow row by row and survive a process that is killed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from hqmd_cli.files.atomic import unwritable
from hqmd_cli.files.regular import open_regular, read_regular, require_regular

ONE_AT_A_TIME = Lock()  # rows come from several threads


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row, from any thread. Cuts off a last line that is not whole first. Creates the folders."""
    append_line(path, json.dumps(row))


def append_line(path: Path, line: str) -> None:
    """Append a row that is JSON already; see append_row."""
    try:
        if not path.is_file():  # a new file, or a folder, pipe or device, which is refused
            require_regular(path)
            path.parent.mkdir(parents=True, exist_ok=True)
        with ONE_AT_A_TIME, path.open("ab+") as file:
            if end := file.seek(0, os.SEEK_END):
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    file.seek(0)
                    content = file.read()
                    start = content.rfind(b"\n") + 1
                    if is_whole(content[start:].decode("utf-8", "replace")):
                        line = "\n" + line
                    else:
                        file.truncate(start)
            file.write((line + "\n").encode())
    except OSError as error:
        raise unwritable(path, error) from error


def complete_lines(path: Path) -> list[str]:
    """Read the lines of a file, without empty ones, and without a last one that a killed process left incomplete.

    An editor may have put a byte order mark before the first line, or taken the end from the last.
    """
    lines = read_regular(path).decode("utf-8-sig", "replace").split("\n")  # other separators may stand in a text
    if not is_whole(lines[-1]):
        del lines[-1]
    return [line for line in lines if line.strip()]


class GrowingFile:
    """A file to which other processes append, and which they may replace."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.read_of: tuple[int, int] | None = None  # device and number of the file that was read
        self.end = 0  # of what was read

    def new_lines(self) -> list[str]:
        """Read the whole lines that were added since the last call; of another file in its place, all."""
        try:
            file = open_regular(self.path)
        except FileNotFoundError:
            return []
        with file:
            state = os.fstat(file.fileno())
            if (same := (state.st_dev, state.st_ino)) != self.read_of or state.st_size < self.end:
                self.read_of, self.end = same, 0
            file.seek(self.end)
            whole = file.read().rpartition(b"\n")[0]
        self.end += len(whole) + 1 if whole else 0
        return [line for line in whole.decode("utf-8-sig", "replace").split("\n") if line.strip()]


def is_whole(line: str) -> bool:
    """True if a line is JSON; one that was cut off is not."""
    try:
        json.loads(line)
    except (ValueError, RecursionError):
        return False
    return True
