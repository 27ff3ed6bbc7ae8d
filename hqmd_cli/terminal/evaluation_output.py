"""What evaluate, compare and calibrate share: their session, their tables, and the files that they can write."""

import shlex
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from hqmd_cli.data import find_reader
from hqmd_cli.data.sample import WHOLE, Dataset
from hqmd_cli.errors import HqmdError
from hqmd_cli.evaluation.prediction_folder import FolderOptions
from hqmd_cli.evaluation.protocols import ALL
from hqmd_cli.evaluation.results import Result
from hqmd_cli.evaluation.session import Session, open_session, open_session_for_all
from hqmd_cli.evaluation.significance import Comparison
from hqmd_cli.files.atomic import require_suffix, write_pieces, write_text
from hqmd_cli.files.outputs import refuse_existing_outputs, refuse_over_input
from hqmd_cli.inference.open import OpenOptions
from hqmd_cli.installed import require
from hqmd_cli.reporting.comparison import comparisons_table
from hqmd_cli.reporting.literature import (
    PublishedRow,
    literature_dicts,
    literature_table,
    published_rows,
    require_nyu,
)
from hqmd_cli.reporting.per_picture import PARQUET, per_picture_csv, write_parquet
from hqmd_cli.reporting.short_table import short_protocols_table, short_table, spaces_table
from hqmd_cli.reporting.tables import (
    as_json,
    detail_table,
    figures_table,
    one_as_dict,
    protocols_table,
)
from hqmd_cli.terminal.progress import with_progress
from hqmd_cli.terminal.table_output import print_short, print_table, screen_width

REPORT = "report.html"
ANY_SIZE = "hqmd"  # the protocol for pictures of any size


def start_session(
    data: Path | None,
    split: str | None,
    protocol: str,
    depth_scale: float | None,
    may_be_all: bool = False,
    outputs: Sequence[Path | None] = (),
) -> Session:
    """Open data and protocol, or with `may_be_all` every protocol; notes go to stderr, with progress bars.

    Raises HqmdError if one of `outputs`, the files to be written, belongs to what is read.
    """
    note = partial(print, file=sys.stderr)
    read = [data, Path(protocol)]
    refuse_over_input(outputs, read)
    if may_be_all and protocol == ALL:
        session = open_session_for_all(data, split, depth_scale, note, with_progress)
    else:
        session = open_session(data, split, protocol, depth_scale, note, with_progress)
    if any(outputs):
        refuse_over_input(outputs, getattr(session.dataset, "files", []))
    return session


def start_further(data: Path, split: str, depth_scale: float | None) -> Session:
    """Open more data, of pictures of any size: the split of this name, or all of data that has no splits."""
    has_splits = find_reader(data).splits(data) != [WHOLE]
    return start_session(data, split if has_splits else None, ANY_SIZE, depth_scale)


def add_sources(
    session: Session,
    models: Sequence[str],
    options: OpenOptions,
    folders: Sequence[Path],
    folder_options: FolderOptions,
) -> None:
    """Open models and folders of predictions. Raises HqmdError for folder options without a folder."""
    if not folders and folder_options != FolderOptions():
        raise HqmdError("--pred-scale, --pred-kind, --pred-resize and --pred-anyway are for --pred")
    session.add_models(models, options)
    for folder in folders:
        session.add_folder(folder, folder_options)


def print_figures(
    results: dict[str, Result], comparisons: list[Comparison], published: list[PublishedRow], detail: bool
) -> None:
    """Print the short table on stdout; with `detail`, all figures with their intervals, and each pair of models."""
    if not detail:
        print_short(short_table(results, comparisons, screen_width()))
    else:
        print_table(figures_table(results))
        print_table(spaces_table(results))
        print_table(detail_table(results))
        if comparisons:
            print_table(comparisons_table(comparisons, results))
    if published:
        print_table(literature_table(published, next(iter(results.values()))))


def print_one(results: dict[str, Result], published: list[PublishedRow], detail: bool, in_json: bool) -> None:
    """Print the figures of one model on stdout, with published rows beside them."""
    if not in_json:
        print_figures(results, [], published, detail)
        return
    ((name, result),) = results.items()
    plain = one_as_dict(name, result)
    print(as_json(plain | {"published": literature_dicts(published)} if published else plain), end="")


def print_under_each(session: Session, detail: bool, in_json: bool) -> None:
    """Score one source under each protocol, and print its figures on stdout."""
    (name,) = session.sources
    by_protocol = session.score_under_each()
    if in_json:
        print(as_json([one_as_dict(name, result) for result in by_protocol.values()]), end="")
    elif detail:
        print_table(protocols_table(name, by_protocol))
    else:
        print_short(short_protocols_table(name, by_protocol, screen_width()))


@dataclass(frozen=True)
class Extras:
    """What evaluate and compare write besides their figures. Raises HqmdError for files that cannot be written."""

    per_picture: Path | None
    published: bool
    table1: bool
    report: Path | None
    report_pictures: int
    overwrite: bool = False
    others: Sequence[Path | None] = ()  # that the command itself writes

    @property
    def files(self) -> list[Path | None]:
        """All files that are asked for."""
        return [self.per_picture, self.report / REPORT if self.report else None, *self.others]

    def __post_init__(self) -> None:
        if self.per_picture:
            require_suffix(self.per_picture, [".csv", PARQUET])
            if self.per_picture.suffix.lower() == PARQUET:
                require("pyarrow", str(self.per_picture))
        if self.report and self.report.exists() and not self.report.is_dir():
            raise HqmdError(f"{self.report}: a file; --report takes a folder, and writes {REPORT} into it")
        refuse_existing_outputs(self.files, self.overwrite)

    def published_rows(self, dataset: Dataset) -> list[PublishedRow]:
        """Read the published rows that are asked for. Raises HqmdError for other data than NYU's."""
        if not (self.published or self.table1):
            return []
        require_nyu(dataset)
        return published_rows(only_table_1=self.table1)

    def write(self, session: Session, results: dict[str, Result], comparisons: list[Comparison]) -> None:
        """Write the files that are asked for; the report predicts its pictures once more."""
        if self.per_picture and self.per_picture.suffix.lower() == PARQUET:
            write_parquet(self.per_picture, results)
        elif self.per_picture:
            write_text(self.per_picture, per_picture_csv(results))
        if self.report:
            from hqmd_cli.reporting.html.page import Report, page

            path, command = self.report / REPORT, shlex.join(["hqmd", *sys.argv[1:]])
            report = Report(results, session.dataset, session.sources, comparisons, command, self.report_pictures)
            write_pieces(path, page(report, with_progress))
            print(f"report: {path}, {path.stat().st_size / 1e6:.1f} MB", file=sys.stderr)
