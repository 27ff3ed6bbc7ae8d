"""Figures of single pictures in a file, as they come: what a long evaluation that was stopped goes on from.

The first line says what was asked; another question does not go on from the answers to this one. Every further line is
one picture's figures, with a checksum of its photo and truth, so that data that has changed meanwhile is noticed.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.results import Scored, without_nan
from hqmd_cli.files.jsonl import append_row, complete_lines


class ScoreLog:
    """`log.known(sample)` is what was found before, `log.add(sample, scored)` keeps what was found now.

    Raises HqmdError when the file answers another question, or is none of ours.
    """

    def __init__(self, path: Path, question: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        self.question = json.loads(json.dumps(question))
        if path.exists() and path.stat().st_size:
            self.read()
        else:
            append_row(self.path, self.question)

    def read(self) -> None:
        """Take over what there is; a last line without an end is what a process that was killed left."""
        try:
            asked, *rows = map(json.loads, complete_lines(self.path))
            self.rows = {row["name"]: row for row in rows}
        except (ValueError, KeyError, TypeError, OSError) as error:
            raise HqmdError(f"{self.path}: no file that --resume wrote; name another") from error
        if other := [key for key in self.question if asked.get(key) != self.question[key]]:
            raise HqmdError(
                f"{self.path}: begun with another {other[0]} ({asked.get(other[0])}; now {self.question[other[0]]}); "
                "name another file, or remove this one"
            )

    def known(self, sample: Sample) -> Scored | None:
        """The picture's figures, if they are there. Raises HqmdError where photo or truth have changed since."""
        row = self.rows.get(sample.name)
        if row is None:
            return None
        if row["checksum"] != checksum(sample):
            raise HqmdError(
                f"{sample.name}: its photo or truth has changed since {self.path} was begun; remove that file"
            )
        figures = {name: math.nan if value is None else value for name, value in row["figures"].items()}
        by_depth = None if row["by_depth"] is None else np.array(row["by_depth"])
        return Scored(sample.name, row["pixels"], figures, by_depth)

    def add(self, sample: Sample, scored: Scored) -> None:
        """Keep one picture's figures, with full precision."""
        append_row(
            self.path,
            {
                "name": scored.name,
                "checksum": checksum(sample),
                "pixels": scored.pixels,
                "figures": without_nan(scored.figures),
                "by_depth": None if scored.by_depth is None else scored.by_depth.tolist(),
            },
        )


def checksum(sample: Sample) -> int:
    """CRC-32 of photo, depth, mask and, where there are some, drawn edges."""
    value = 0
    for array in (sample.image, sample.depth_m, sample.valid, sample.edges):
        value = zlib.crc32(b"" if array is None else array.tobytes(), value)
    return value
