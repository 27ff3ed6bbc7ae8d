"""What evaluate and compare share: models and data by name, scored with a progress bar."""

import shlex
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console

from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.prediction_source import Judged
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.significance import Comparison
from hqmd_cli.files.atomic import require_suffix, write_pieces, write_text
from hqmd_cli.reporting.literature import PublishedRow, published_rows, require_nyu
from hqmd_cli.reporting.per_picture import PARQUET, per_picture_csv, require_pyarrow, write_parquet
from hqmd_cli.reporting.table_formats import Table, for_screen
from hqmd_cli.reporting.tables import detail_table, figures_table, has_detail
from hqmd_cli.terminal.progress import with_progress

if TYPE_CHECKING:
    from hqmd_cli.data.sample import Dataset


REPORT = "report.html"
TABLE_WIDTH = 120  # columns that the table needs; a narrower terminal breaks lines, but loses nothing


def print_table(table: Table) -> None:
    """The table on stdout."""
    Console(width=max(Console().width, TABLE_WIDTH)).print(for_screen(table))


def print_figures(results: dict[str, Result]) -> None:
    """The table of figures on stdout, and that of detail where it was measured."""
    print_table(figures_table(results))
    if has_detail(results):
        print_table(detail_table(results))


def rows_beside(dataset: "Dataset", published: bool, table1: bool) -> list[PublishedRow]:
    """The published rows that the user wants to see; none by default. Raises HqmdError for other data than NYU's."""
    if not (published or table1):
        return []
    require_nyu(dataset)
    return published_rows(only_table_1=table1)


def require_outputs(per_picture: Path | None, report: Path | None) -> None:
    """Refuse a file, or a report's folder, that cannot be written, before the minutes that scoring takes."""
    if per_picture:
        require_suffix(per_picture, [".csv", PARQUET])
        if per_picture.suffix.lower() == PARQUET:
            require_pyarrow()
    if report and report.exists() and not report.is_dir():
        raise HqmdError(f"{report}: a file; --report takes a folder, and writes {REPORT} into it")


def write_per_picture(path: Path, results: dict[str, Result]) -> None:
    """Every metric of every picture, as CSV or Parquet."""
    if path.suffix.lower() == PARQUET:
        write_parquet(path, results)
    else:
        write_text(path, per_picture_csv(results))


def write_report(
    folder: Path,
    all_judged: Mapping[str, Judged],
    results: dict[str, Result],
    comparisons: list[Comparison],
    dataset: "Dataset",
    most_pictures: int,
) -> None:
    """The page in `folder`; the chosen pictures are predicted once more."""
    from hqmd_cli.reporting.html.page import Report, page

    path, command = folder / REPORT, shlex.join(["hqmd", *sys.argv[1:]])
    write_pieces(path, page(Report(results, dataset, all_judged, comparisons, command, most_pictures), with_progress))
    print(f"report: {path}, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
