"""What `hqmd compare` shows and writes: the models' figures, and what their pairs say."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from math import comb
from pathlib import Path

from hqmd_cli.evaluation.significance import Comparison
from hqmd_cli.reporting.literature import Published, literature_csv, literature_dicts, literature_table
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


def comparisons_table(comparisons: Sequence[Comparison], results: Results) -> Table:
    """A row a metric and pair."""
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
    return Table(heads, rows, f"{explanation(len(results))}; {caption(results)}", words=3)


def explanation(n_models: int) -> str:
    """How to read a comparison."""
    return (
        "paired differences, model minus against; won, lost: share of the n pictures on which the model is better, "
        "worse; p: two-sided, from the same resamples; Holm: corrected for there being several pairs in each metric "
        f"({comb(n_models, 2)})"
    )


def comparisons_csv(comparisons: Sequence[Comparison], results: Results) -> str:
    """A row a metric and pair with full precision, protocol, its hash, recipe and data."""
    result = next(iter(results.values()))
    about = [*protocol_of(result), result.data]
    heads = [field.name for field in fields(Comparison)]
    rows = [[*asdict(comparison).values(), *about] for comparison in comparisons]
    return csv_text([[*heads, "protocol", "protocol_hash", "recipe", "data"], *rows])


Files = Callable[[Path, Results, Sequence[Comparison], Sequence[Published]], dict[Path, str]]


def in_tables(typeset: Callable[[Table], str]) -> Files:
    """One file with all tables: figures, detail, pairs of several models, published figures."""

    def files(
        path: Path, results: Results, comparisons: Sequence[Comparison], published: Sequence[Published] = ()
    ) -> dict[Path, str]:
        tables = [figures_table(results)]
        if has_detail(results):
            tables.append(detail_table(results))
        if comparisons:
            tables.append(comparisons_table(comparisons, results))
        if published:
            tables.append(literature_table(published, next(iter(results.values()))))
        return {path: "\n".join(map(typeset, tables))}

    return files


def as_csv_files(
    path: Path, results: Results, comparisons: Sequence[Comparison], published: Sequence[Published] = ()
) -> dict[Path, str]:
    """A CSV file holds one table, so the others stand in NAME.pairs.csv and NAME.published.csv."""
    files = {path: as_csv(results)}
    if comparisons:
        files[path.with_suffix(f".pairs{path.suffix}")] = comparisons_csv(comparisons, results)
    if published:
        files[path.with_suffix(f".published{path.suffix}")] = literature_csv(published)
    return files


def as_json_file(
    path: Path, results: Results, comparisons: Sequence[Comparison], published: Sequence[Published] = ()
) -> dict[Path, str]:
    """Models, pairs, and how to read the latter; published figures apart."""
    plain: dict[str, object] = {"models": [one_as_dict(model, result) for model, result in results.items()]}
    if comparisons:
        plain |= {"pairs": [asdict(comparison) for comparison in comparisons], "pairs_by": explanation(len(results))}
    if published:
        plain |= {"published": literature_dicts(published)}
    return {path: as_json(plain)}


# Suffix -> what to write where.
FORMATS: dict[str, Files] = {
    ".md": in_tables(as_markdown),
    ".tex": in_tables(as_latex),
    ".csv": as_csv_files,
    ".json": as_json_file,
}
