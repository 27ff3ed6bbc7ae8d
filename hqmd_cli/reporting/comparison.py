"""What `hqmd compare` shows and writes: tables of figures and of pairs of models, and a grid of depth maps."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields
from math import comb
from pathlib import Path
from typing import TYPE_CHECKING

from hqmd_cli.evaluation.bootstrap import METHOD
from hqmd_cli.evaluation.prediction_source import PredictionSource
from hqmd_cli.evaluation.protocol import Protocol
from hqmd_cli.evaluation.scoring import align
from hqmd_cli.evaluation.significance import Comparison
from hqmd_cli.files.atomic import require_suffix
from hqmd_cli.files.images import FIGURE_SUFFIXES
from hqmd_cli.installed import require
from hqmd_cli.reporting.literature import PublishedRow, literature_csv, literature_dicts, literature_table
from hqmd_cli.reporting.short_table import spaces_table
from hqmd_cli.reporting.table_formats import Table, as_latex, as_markdown
from hqmd_cli.reporting.tables import (
    ENDS,
    Results,
    as_csv,
    as_json,
    caption,
    csv_text,
    detail_table,
    figures_table,
    has_detail,
    head_of,
    one_as_dict,
    protocol_of,
)
from hqmd_cli.units import DIGITS
from hqmd_cli.visualization.comparison_grid import GridRow, comparison_grid

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from hqmd_cli.data.sample import Dataset, Sample
    from hqmd_cli.evaluation.prediction_source import Map


def comparisons_table(comparisons: Sequence[Comparison], results: Results) -> Table:
    """A row a metric and pair of models."""
    heads = ["metric", "model", "against", "difference", *ENDS, "won", "lost", "n", "p", "p (Holm)"]
    rows = [
        [
            head_of(comparison.metric),
            comparison.first,
            comparison.second,
            *(f"{value:+.{DIGITS}f}" for value in (comparison.difference, comparison.low, comparison.high)),
            f"{comparison.won:.0%}",
            f"{comparison.lost:.0%}",
            str(comparison.n),
            *(f"{p:.{DIGITS}f}" for p in (comparison.p, comparison.p_holm)),
        ]
        for comparison in comparisons
    ]
    compared = dict.fromkeys(comparison.metric for comparison in comparisons)
    by_scene = sum(comparison.over == "scenes" for comparison in comparisons)
    how = f"{METHOD}; scenes resampled in {by_scene} of {len(rows)} rows" if by_scene else METHOD
    return Table(heads, rows, f"{explanation(len(results))}; {caption(results, compared, how)}", words=3)


def explanation(n_models: int) -> str:
    """Say what the columns of comparisons_table mean."""
    return (
        "paired differences, model minus against; won, lost: share of the n pictures on which the model is better, "
        "worse; p: two-sided, from the same resamples, of pictures or scenes, whichever gives the larger p; Holm: "
        f"corrected for the number of pairs in each metric ({comb(n_models, 2)})"
    )


def comparisons_csv(comparisons: Sequence[Comparison], results: Results) -> str:
    """A row a metric and pair of models in full precision, with protocol, hash, recipe and data."""
    result = next(iter(results.values()))
    about = [*protocol_of(result), result.data]
    heads = [field.name for field in fields(Comparison)]
    rows = [[*asdict(comparison).values(), *about] for comparison in comparisons]
    return csv_text([[*heads, "protocol", "protocol_hash", "recipe", "data"], *rows])


# (path, results, comparisons, published rows) -> path of each file: its text
Files = Callable[[Path, Results, Sequence[Comparison], Sequence[PublishedRow]], dict[Path, str]]


def in_tables(as_text: Callable[[Table], str]) -> Files:
    """Make a format that puts all tables into one file."""

    def files(
        path: Path, results: Results, comparisons: Sequence[Comparison], published: Sequence[PublishedRow] = ()
    ) -> dict[Path, str]:
        tables = [figures_table(results)]
        if has_detail(results):
            tables += [spaces_table(results), detail_table(results)]
        if comparisons:
            tables.append(comparisons_table(comparisons, results))
        if published:
            tables.append(literature_table(published, next(iter(results.values()))))
        return {path: "\n".join(map(as_text, tables))}

    return files


def possible_files(path: Path | None) -> list[Path]:
    """List the files that `compare -o PATH` may write."""
    if path is None or path.suffix.lower() != ".csv":
        return [] if path is None else [path]
    return [path, *(path.with_suffix(f".{part}{path.suffix}") for part in ("pairs", "published"))]


def as_csv_files(
    path: Path, results: Results, comparisons: Sequence[Comparison], published: Sequence[PublishedRow] = ()
) -> dict[Path, str]:
    """Put each table into a CSV file of its own: NAME.csv, NAME.pairs.csv, NAME.published.csv."""
    main, pairs, beside = possible_files(path)
    files = {main: as_csv(results)}
    if comparisons:
        files[pairs] = comparisons_csv(comparisons, results)
    if published:
        files[beside] = literature_csv(published)
    return files


def as_json_file(
    path: Path, results: Results, comparisons: Sequence[Comparison], published: Sequence[PublishedRow] = ()
) -> dict[Path, str]:
    """Put everything into one JSON file, with a line on how to read the pairs."""
    plain: dict[str, object] = {"models": [one_as_dict(model, result) for model, result in results.items()]}
    if comparisons:
        plain |= {"pairs": [asdict(comparison) for comparison in comparisons], "pairs_by": explanation(len(results))}
    if published:
        plain |= {"published": literature_dicts(published)}
    return {path: as_json(plain)}


# Suffix of `compare -o` -> its format.
FORMATS: dict[str, Files] = {
    ".md": in_tables(as_markdown),
    ".tex": in_tables(as_latex),
    ".csv": as_csv_files,
    ".json": as_json_file,
}


def require_drawable(path: Path) -> None:
    """Raise HqmdError unless draw_grid's figure can be written there, before the minutes that scoring takes."""
    require_suffix(path, FIGURE_SUFFIXES)
    require("matplotlib", "--picture")


def draw_grid(sources: Mapping[str, PredictionSource], results: Results, dataset: "Dataset", rows: int) -> "Figure":
    """Draw `rows` photos, evenly spaced over the dataset, each with its ground truth and the depth of every model."""
    chosen = range(0, len(dataset), max(1, len(dataset) // rows))[:rows]
    samples = [dataset[index] for index in chosen]
    protocol = next(iter(results.values())).protocol
    cells = [
        GridRow(s.name, s.image, [s.depth_m, *(in_metres(source, s, protocol) for source in sources.values())])
        for s in samples
    ]
    return comparison_grid(cells, list(sources), caption(results))


def in_metres(source: PredictionSource, sample: "Sample", protocol: Protocol) -> "Map":
    """Predict a sample's depth. A map without metres is fitted to the ground truth as the protocol says."""
    values = source(sample)
    if source.kind == "depth":
        return values
    fitted = align(values, sample.depth_m, sample.valid, protocol.alignment, source.kind == "disparity")
    return fitted.clip(*protocol.clip_m) if protocol.clip_m else fitted
