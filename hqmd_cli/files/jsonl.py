"""JSON Lines files that grow row by row and survive a process that is killed."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from typing import Any

from hqmd_cli.files.atomic import unwritable
from hqmd_cli.files.regular import read_regular, require_regular

ONE_AT_A_TIME = Lock()  # rows come from several threads


def append_row(path: Path, row: Mapping[str, Any]) -> None:
    """Append a row, from any thread. Cuts off an incomplete last line first. Creates the folders."""
    append_line(path, json.dumps(row))


def append_line(path: Path, line: str) -> None:
    """Append a row that is JSON already; see append_row."""
    try:
        if not path.is_file():  # there is none yet, or something else
            require_regular(path)
            path.parent.mkdir(parents=True, exist_ok=True)
        with ONE_AT_A_TIME, path.open("ab+") as file:
            if end := file.seek(0, os.SEEK_END):
                file.seek(end - 1)
                if file.read(1) != b"\n":
                    file.seek(0)
                    file.truncate(file.read().rfind(b"\n") + 1)
            file.write((line + "\n").encode())
    except OSError as error:
        raise unwritable(path, error) from error


def complete_lines(path: Path) -> list[str]:
    """Read the lines of a file, without a last line that a killed process or a full disk left incomplete."""
    lines = read_regular(path).decode("utf-8", "replace").split("\n")
    return lines[:-1]  # each line that ends has a "\n"; other separators may stand in a text
