"""Hashes of files."""

import hashlib
from pathlib import Path

from hqmd_cli.files.regular import open_regular

CHUNK_BYTES = 2**20  # weights may be gigabytes


def file_hash(*paths: Path) -> str:
    """Return the SHA-256 of the concatenated content of files, in hexadecimal.

    Size and time do not identify a file: two BMPs out of one archive share both. Raises HqmdError for a pipe or device.
    """
    digest = hashlib.sha256()
    for path in paths:
        with open_regular(path) as file:
            while chunk := file.read(CHUNK_BYTES):
                digest.update(chunk)
    return digest.hexdigest()
