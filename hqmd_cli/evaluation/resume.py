"""A file of figures from which a stopped evaluation resumes.

The first line holds the settings of the evaluation; a run with other settings is refused. Every further line has the
figures of one picture, with a checksum of its photo and truth, so that changed data is noticed.
"""

import json
import math
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from hqmd_cli.data.sample import Sample
from hqmd_cli.errors import HqmdError, first_line
from hqmd_cli.evaluation.error_by_depth import BINS
from hqmd_cli.evaluation.metrics.registry import BASIC_METRICS, METRICS
from hqmd_cli.evaluation.results import ScoredPicture, without_nan
from hqmd_cli.files.checked_json import parse_json
from hqmd_cli.files.jsonl import append_row, complete_lines


class ScoreLog:
    """The scored pictures of one evaluation, in a file: `known(sample)` looks one up, `add(sample, scored)` writes one.

    Raises HqmdError if the file has other settings, or was not written by a ScoreLog.
    """

    def __init__(self, path: Path, settings: Mapping[str, Any]) -> None:
        self.path = path
        self.rows: dict[str, dict[str, Any]] = {}
        self.settings = json.loads(json.dumps(settings))
        if path.exists() and path.stat().st_size:
            self.read()
        else:
            self.write(self.settings)

    def read(self) -> None:
        """Read the rows, without a last line that a killed process left unfinished."""
        try:
            settings, *rows = [parse_json(line, dict) for line in complete_lines(self.path)] or [{}]
            for number, row in enumerate(rows, 2):
                require_row(row, number)
        except (ValueError, OSError) as error:
            raise HqmdError(
                f"{self.path}: not a file that --resume wrote; name another ({first_line(error)})"
            ) from error
        self.rows = {row["name"]: row for row in rows}
        if other := [key for key in self.settings if settings.get(key) != self.settings[key]]:
            raise HqmdError(
                f"{self.path}: begun with another {other[0]} ({settings.get(other[0])}; now "
                f"{self.settings[other[0]]}); name another file, or remove this one"
            )

    def known(self, sample: Sample) -> ScoredPicture | None:
        """Look up a picture's figures; None if it is not scored yet. Raises HqmdError if photo or truth changed."""
        row = self.rows.get(sample.name)
        if row is None:
            return None
        if row["checksum"] != checksum(sample):
            raise HqmdError(
                f"{sample.name}: its photo or truth has changed since {self.path} was begun; remove that file"
            )
        figures = {name: math.nan if value is None else value for name, value in row["figures"].items()}
        by_depth = None if row["by_depth"] is None else np.array(row["by_depth"], float)
        return ScoredPicture(sample.name, row["pixels"], figures, by_depth)

    def add(self, sample: Sample, scored: ScoredPicture) -> None:
        """Write one picture's figures, with full precision."""
        self.write(
            {
                "name": scored.name,
                "checksum": checksum(sample),
                "pixels": scored.pixels,
                "figures": without_nan(scored.figures),
                "by_depth": None if scored.by_depth is None else scored.by_depth.tolist(),
            }
        )

    def write(self, row: dict[str, Any]) -> None:
        """Write a row."""
        append_row(self.path, row)


ROW = {"name": str, "checksum": int, "pixels": int, "figures": dict}


def require_row(row: Mapping[str, Any], number: int) -> None:
    """Raise ValueError unless a row has the figures of one picture."""
    if wrong := [name for name, kind in ROW.items() if not isinstance(row.get(name), kind)]:
        raise ValueError(f"line {number} has no {wrong[0]}")
    if row["pixels"] < 1:
        raise ValueError(f"line {number} has no scored pixels")
    figures = row["figures"]
    if figures.keys() not in (METRICS.keys(), BASIC_METRICS.keys()):
        raise ValueError(f"line {number} has other figures than hqmd measures")
    if not all(value is None or isinstance(value, (int, float)) for value in figures.values()):
        raise ValueError(f"line {number} has a figure that is not a number")
    by_depth = row.get("by_depth", ())
    try:
        fits = by_depth is None or np.array(by_depth, float).shape == (BINS, 3)
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(f"line {number} has no by_depth of {BINS} x 3 numbers")


def checksum(sample: Sample) -> int:
    """Compute the CRC-32 of photo, depth, mask and any annotated edges."""
    value = 0
    for array in (sample.image, sample.depth_m, sample.valid, sample.edges):
        value = zlib.crc32(b"" if array is None else array.tobytes(), value)
    return value
