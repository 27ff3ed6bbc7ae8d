"""Published figures of NYU Depth V2, each with its protocol and its source, to stand beside measured ones.

Beside, not among: protocols differ, and the same maps score an AbsRel of .049 under one and .078 under another. So they
are a table of their own, in the order of the file, with nothing in bold. `literature_nyu.csv` has the paper's Table 1
as printed, and what was read in the files that its column `source` names; nothing from memory.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from hqmd_cli.data.published_layout import PublishedPairs
from hqmd_cli.data.sample import Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.protocols import NYU_FRAME
from hqmd_cli.evaluation.results import Result
from hqmd_cli.reporting.table_formats import Table
from hqmd_cli.reporting.tables import csv_text, head_of

FILE = Path(__file__).with_name("literature_nyu.csv")
FIGURES = ("AbsRel", "log10", "RMSE", "RMSElog", "delta1", "delta2", "delta3")
TABLE_1 = "HQMD, Table 1"  # its rows' source
TEST_PICTURES = 654


@dataclass(frozen=True)
class Published:
    """A row of somebody's table; figures as printed, empty where there is none."""

    method: str
    figures: dict[str, str]
    protocol: str
    source: str


@cache
def published_rows(only_table_1: bool = False) -> list[Published]:
    """All rows, or those of the paper's Table 1."""
    with FILE.open(newline="", encoding="utf-8") as file:
        rows = [
            Published(row["method"], {name: row[name] for name in FIGURES}, row["protocol"], row["source"])
            for row in csv.DictReader(file)
        ]
    return [row for row in rows if row.source == TABLE_1] if only_table_1 else rows


def require_nyu(dataset: Dataset) -> None:
    """Refuse to set figures of NYU beside those of other data. Pairs of NYU's size are taken for it."""
    if isinstance(dataset, PublishedPairs) or dataset[0].depth_m.shape != NYU_FRAME:
        raise HqmdError(f"published figures are of NYU Depth V2; {dataset.description} is other data")


def literature_table(rows: Sequence[Published], measured: Result) -> Table:
    """The published rows; the caption says what they are not. `measured` is what they stand beside."""
    same, n = sum(row.protocol == measured.protocol.name for row in rows), len(measured.names)
    here = f", here {measured.data} with {n}" if n != TEST_PICTURES else ""
    caption = (
        f"published, not measured here: not to be ranked with the figures above, which are of protocol "
        f"{measured.protocol.name} ({same or 'none'} of these rows {'says' if same == 1 else 'say'} so). They are of "
        f"NYU's {TEST_PICTURES} test pictures{here}; Table 1 of HQMD itself mixes at least three protocols"
    )
    heads = ["published", "protocol", "source", *map(head_of, FIGURES)]
    return Table(heads, table_lines(rows), caption, words=3)


def literature_csv(rows: Sequence[Published]) -> str:
    """The same as a CSV file of its own."""
    return csv_text([["published", "protocol", "source", *FIGURES], *table_lines(rows)])


def table_lines(rows: Sequence[Published]) -> list[list[str]]:
    """Texts of the rows."""
    return [[row.method, row.protocol, row.source, *row.figures.values()] for row in rows]


def literature_dicts(rows: Sequence[Published]) -> list[dict[str, object]]:
    """As plain data for JSON: numbers, None where there is none."""
    return [
        {
            "published": row.method,
            "protocol": row.protocol,
            "source": row.source,
            "metrics": {name: float(text) if text else None for name, text in row.figures.items()},
        }
        for row in rows
    ]
