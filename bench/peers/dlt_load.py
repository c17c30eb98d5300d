"""dlt's sql_database source with the connectorx backend, Postgres to DuckDB."""

from __future__ import annotations

import sys

import dlt
from dlt.sources.sql_database import sql_table


def main(url: str, table: str, database: str, folder: str, disposition: str) -> None:
    """Load one table of Postgres, whole or what has changed since the last time.

    Args:
        url: SQLAlchemy address of the Postgres database.
        table: its table, in schema public.
        database: file of the DuckDB database to load.
        folder: where dlt keeps its working files.
        disposition: `replace`, or `merge`: by id, rows whose updated_at has grown.
    """
    pipeline = dlt.pipeline(
        "bench",
        destination=dlt.destinations.duckdb(database),
        dataset_name="bench",
        pipelines_dir=folder,
    )
    source = sql_table(credentials=url, table=table, schema="public", backend="connectorx")
    if disposition == "merge":
        source.apply_hints(primary_key="id", incremental=dlt.sources.incremental("updated_at"))
    pipeline.run(source, write_disposition=disposition)


if __name__ == "__main__":
    main(*sys.argv[1:])
