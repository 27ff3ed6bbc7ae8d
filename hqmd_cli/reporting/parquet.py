"""Figures of every picture as a Parquet file, for pandas, Polars, DuckDB or R."""

from pathlib import Path

from hqmd_cli.errors import HqmdError
from hqmd_cli.files.atomic import write_aside
from hqmd_cli.reporting.tables import Results, caption, per_picture_rows

PARQUET = ".parquet"


def require_pyarrow() -> None:
    """Refuse before the minutes that scoring takes. Raises HqmdError with the remedy."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError as error:
        raise HqmdError(
            "Parquet files are written by pyarrow, which is not here; pip install 'hqmd[parquet]'"
        ) from error


def write_parquet(path: Path, results: Results) -> None:
    """The columns of tables.per_picture_csv, NaN as null; the schema's metadata has the caption of the tables."""
    require_pyarrow()
    import pyarrow
    from pyarrow.parquet import write_table

    heads, rows = per_picture_rows(results)
    columns = dict(zip(heads, (list(column) for column in zip(*rows, strict=True)), strict=True))
    arrays = {name: pyarrow.array(values, from_pandas=True) for name, values in columns.items()}  # NaN becomes null
    table = pyarrow.table(arrays).replace_schema_metadata({"hqmd": caption(results)})
    write_aside(path, lambda aside: write_table(table, aside))
