"""The loader with its promise broken: old rows are gone before the new ones are there.

The kill matrix must find the tables that stand empty or half-filled, or it would find nothing.
"""

from __future__ import annotations

from snowflake_loader.load import TableLoad
from snowflake_loader.target import TargetSnowflake

_count = TableLoad._count


def _torn(load: TableLoad, sql: str, purpose: str) -> int:
    counted = _count(load, sql, purpose)
    if purpose == "replacing the rows of":
        load.session.execute("COMMIT", "breaking the promise")
        load.session.execute("BEGIN TRANSACTION", "breaking the promise")
    return counted


if __name__ == "__main__":
    TableLoad._count = _torn  # type: ignore[assignment,method-assign]
    TargetSnowflake.cli()
