"""The figures of every picture: CSV for any program, Parquet for pandas, Polars, DuckDB or R."""

from pathlib import Path
from typing import Any

from hqmd_cli.errors import printable
from hqmd_cli.files.atomic import write_aside
from hqmd_cli.reporting.tables import Results, caption, csv_text, protocol_of

PARQUET = ".parquet"


def per_picture_rows(results: Results) -> tuple[list[str], list[list[Any]]]:
    """Return the heads, and a row a picture and model in full precision: scored pixels, metrics, protocol, remark.

    Figures that are not known are NaN. Undecodable bytes of names are written as escapes.
    """
    metrics = list(next(iter(results.values())).per_picture)
    rows: list[list[Any]] = []
    for model, result in results.items():
        values = zip(result.names, result.pixels, *(result.per_picture[metric] for metric in metrics), strict=True)
        about = [*map(printable, (*protocol_of(result), result.remark))]
        rows += [[printable(name), printable(model), pixels, *figures, *about] for name, pixels, *figures in values]
    return ["picture", "model", "pixels", *metrics, "protocol", "protocol_hash", "recipe", "remark"], rows


def per_picture_csv(results: Results) -> str:
    """Write the rows as the text of a CSV file."""
    heads, rows = per_picture_rows(results)
    return csv_text([heads, *rows])


def write_parquet(path: Path, results: Results) -> None:
    """Write the rows to a Parquet file, NaN as null; the schema's metadata holds the caption of the tables."""
    import pyarrow
    from pyarrow.parquet import write_table

    heads, rows = per_picture_rows(results)
    columns = dict(zip(heads, (list(column) for column in zip(*rows, strict=True)), strict=True))
    arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()}  # NaN becomes null
    table = pyarrow.table(arrays).replace_schema_metadata(
        {"hqmd": caption(results, next(iter(results.values())).per_picture).encode("utf-8", "backslashreplace")}
    )
    write_aside(path, lambda aside: write_table(table, aside))
