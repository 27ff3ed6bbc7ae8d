"""What is written down about a prediction: beside a result (NAME.json), and a line a photo for a folder.

A record says what the numbers are (unit, range, camera), what made them (model, its hash, size, version) and from what,
so that a result can be trusted later and a run knows which of them are still the answer to the same question.
"""

import hashlib
from pathlib import Path

HASHED_BYTES = 2**20  # in hand at once


def file_hash(*paths: Path) -> str:
    """SHA-256 of files, one after the other. Sizes and times would not do: two BMPs out of one archive share both."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while part := file.read(HASHED_BYTES):  # weights may be gigabytes
                digest.update(part)
    return digest.hexdigest()
