"""What `hqmd compare` shows and writes: the models' figures, and what their pairs say."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from math import comb
from pathlib import Path

from hqmd_cli.evaluation.significance import Duel
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


def duels_table(duels: Sequence[Duel], results: Results) -> Table:
    """A row a metric and pair."""
    heads = ["metric", "model", "against", "difference", *ENDS, "won", "lost", "n", "p", "p (Holm)"]
    rows = [
        [
            head_of(duel.metric),
            duel.first,
            duel.second,
            *(f"{value:+.{DIGITS}f}" for value in (duel.difference, duel.low, duel.high)),
            f"{duel.won:.0%}",
            f"{duel.lost:.0%}",
            str(duel.n),
            *(f"{p:.{DIGITS}f}" for p in (duel.p, duel.p_holm)),
        ]
        for duel in duels
    ]
    return Table(heads, rows, f"{explanation(len(results))}; {caption(results)}", words=3)


def explanation(n_models: int) -> str:
    """How to read a duel."""
    return (
        "paired differences, model minus against; won, lost: share of the n pictures on which the model is better, "
        "worse; p: two-sided, from the same resamples; Holm: corrected for there being several pairs in each metric "
        f"({comb(n_models, 2)})"
    )


def duels_csv(duels: Sequence[Duel], results: Results) -> str:
    """A row a metric and pair with full precision, protocol, its hash, recipe and data."""
    result = next(iter(results.values()))
    about = [*protocol_of(result), result.data]
    heads = [field.name for field in fields(Duel)]
    rows = [[*asdict(duel).values(), *about] for duel in duels]
    return csv_text([[*heads, "protocol", "protocol_hash", "recipe", "data"], *rows])


Files = Callable[[Path, Results, Sequence[Duel], Sequence[Published]], dict[Path, str]]


def in_tables(typeset: Callable[[Table], str]) -> Files:
    """One file with all tables: figures, detail, pairs of several models, published figures."""

    def files(
        path: Path, results: Results, duels: Sequence[Duel], published: Sequence[Published] = ()
    ) -> dict[Path, str]:
        tables = [figures_table(results)]
        if has_detail(results):
            tables.append(detail_table(results))
        if duels:
            tables.append(duels_table(duels, results))
        if published:
            tables.append(literature_table(published, next(iter(results.values()))))
        return {path: "\n".join(map(typeset, tables))}

    return files


def as_csv_files(
    path: Path, results: Results, duels: Sequence[Duel], published: Sequence[Published] = ()
) -> dict[Path, str]:
    """A CSV file holds one table, so the others stand in NAME.pairs.csv and NAME.published.csv."""
    files = {path: as_csv(results)}
    if duels:
        files[path.with_suffix(f".pairs{path.suffix}")] = duels_csv(duels, results)
    if published:
        files[path.with_suffix(f".published{path.suffix}")] = literature_csv(published)
    return files


def as_json_file(
    path: Path, results: Results, duels: Sequence[Duel], published: Sequence[Published] = ()
) -> dict[Path, str]:
    """Models, pairs, and how to read the latter; published figures apart."""
    plain: dict[str, object] = {"models": [one_as_dict(model, result) for model, result in results.items()]}
    if duels:
        plain |= {"pairs": [asdict(duel) for duel in duels], "pairs_by": explanation(len(results))}
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
