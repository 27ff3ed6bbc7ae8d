"""Published figures on NYU Depth V2, each with its protocol and source, to be printed below measured ones.

They are a table of their own, in the order of the file and with nothing in bold, because protocols differ: the same
maps score an AbsRel of 0.049 under one and 0.078 under another. `literature_nyu.csv` holds the paper's Table 1 as
printed, and figures read in the files that its column `source` names; none are from memory.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hqmd_cli.data.published_layout import PublishedPairs
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.metrics.registry import METRICS
from hqmd_cli.evaluation.protocols import NYU_FRAME
from hqmd_cli.evaluation.results import Result
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.reporting.tables import csv_text, head_of

FILE = Path(__file__).with_name("literature_nyu.csv")
TABLE_1 = "HQMD, Table 1"  # source of its rows
TEST_PICTURES = 654


@dataclass(frozen=True)
class PublishedRow:
    """A row of a published table."""

    method: str
    figures: dict[str, str]  # metric -> figure as printed, or an empty string
    protocol: str
    source: str


@cache
def published_rows(only_table_1: bool = False) -> list[PublishedRow]:
    """Read all rows, or the rows of the paper's Table 1."""
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = [
            PublishedRow(
                row["method"],
                {name: text for name, text in row.items() if name in METRICS},
                row["protocol"],
                row["source"],
            )
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.source == TABLE_1] if only_table_1 else rows


def require_nyu(dataset: Dataset) -> None:
    """Raise HqmdError unless the data is NYU Depth V2. Pairs of NYU's size count as NYU's."""
    if isinstance(dataset, PublishedPairs) or dataset[0].depth_m.shape != NYU_FRAME:
        raise HqmdError(f"published figures are of NYU Depth V2, but {dataset.description} is other data")


def literature_table(rows: Sequence[PublishedRow], measured: Result) -> Table:
    """Make a table of published rows, whose caption says how they differ from `measured`, the result above it."""
    same, n = sum(row.protocol == measured.protocol.name for row in rows), len(measured.names)
    here = f", but {measured.data} has {n}" if n != TEST_PICTURES else ""
    caption = (
        f"published, not measured here: do not rank these rows with the figures above, which are under protocol "
        f"{measured.protocol.name}; {same or 'none'} of these rows {'states' if same == 1 else 'state'} it. They are "
        f"of NYU's {TEST_PICTURES} test pictures{here}. Table 1 of HQMD itself mixes at least three protocols"
    )
    heads = ["published", "protocol", "source", *map(head_of, rows[0].figures)]
    return Table(heads, cells_of(rows), caption, words=3)


def literature_csv(rows: Sequence[PublishedRow]) -> str:
    """Write published rows as the text of a CSV file."""
    return csv_text([["published", "protocol", "source", *rows[0].figures], *cells_of(rows)])


def cells_of(rows: Sequence[PublishedRow]) -> list[list[str]]:
    """Return the texts of each row: method, protocol, source and figures."""
    return [[row.method, row.protocol, row.source, *row.figures.values()] for row in rows]


def literature_dicts(rows: Sequence[PublishedRow]) -> list[dict[str, object]]:
    """Return published rows as plain data for JSON; a figure that was not printed is None."""
    return [
        {
            "published": row.method,
            "protocol": row.protocol,
            "source": row.source,
            "metrics": {name: float(text) if text else None for name, text in row.figures.items()},
        }
        for row in rows
    ]
