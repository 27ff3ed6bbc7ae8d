"""What is written down about a prediction: beside a result (NAME.json), and a line a photo for a folder.

A record says what the numbers are (unit, range, camera), what made them (model, its hash, size, version) and from what,
so that a result can be trusted later and a run knows which of them are still the answer to the same question.
"""

import os
from typing import BinaryIO


def forget_torn_line(file: BinaryIO) -> None:
    """Cut off what follows the last line end of a file opened for appending."""
    end = file.seek(0, os.SEEK_END)
    if end == 0:
        return
    file.seek(end - 1)
    if file.read(1) != b"\n":
        file.seek(0)
        file.truncate(file.read().rfind(b"\n") + 1)
