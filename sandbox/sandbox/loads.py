"""What the loader's ledger says of the runs of Meltano jobs, as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.box import SIMPLE_HEAD
from rich.table import Table
from snowflake.connector.cursor import DictCursor
from snowflake.connector.errors import ProgrammingError

from sandbox import sql
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import timedelta

    from rich.console import JustifyMethod

    from sandbox.settings import Settings

LOADS = """
SELECT STREAM, MIN(TABLE_NAME) AS TABLE_NAME,
  SUM(INSERTED + UPDATED + CASE WHEN METHOD = 'mark-deleted' THEN DELETED ELSE 0 END) AS LOADED,
  MIN(STARTED_AT) AS STARTED_AT, MAX(COMMITTED_AT) AS COMMITTED_AT
FROM RAW.{schema}._LOADS WHERE RUN_ID = '{run_id}' GROUP BY STREAM ORDER BY STREAM
"""
TABLE_MISSING = "42S02"
HEADINGS: dict[str, JustifyMethod] = {
    "source": "left",
    "stream": "left",
    "rows": "right",
    "seconds": "right",
    "rows/s": "right",
    "table": "left",
}


@dataclass(frozen=True)
class Load:
    """What one stream brought in one run.

    Attributes:
        stream: Name of the Singer stream.
        table: Name of the table, with its schema.
        rows: Rows inserted, updated or marked as deleted.
        took: From the start of its first load to the last commit.
    """

    stream: str
    table: str
    rows: int
    took: timedelta


def of_run(schema: str, run_id: str, settings: Settings) -> list[Load]:
    """Return what the ledger holds of a run so far: nothing before its first commit."""
    config = WarehouseService(settings).config
    with sql.connect(config) as connection, connection.cursor(DictCursor) as cursor:
        try:
            cursor.execute(LOADS.format(schema=schema, run_id=run_id))
        except ProgrammingError as error:
            if error.sqlstate != TABLE_MISSING:
                raise
            return []
        return [_load(schema, row) for row in cursor]


def _load(schema: str, row: dict[str, Any]) -> Load:
    return Load(
        stream=row["STREAM"],
        table=f"{schema}.{row['TABLE_NAME']}",
        rows=int(row["LOADED"]),
        took=row["COMMITTED_AT"] - row["STARTED_AT"],
    )


def table(runs: Iterable[tuple[str, list[Load]]]) -> Table:
    """Return a line for each stream with rows; the streams of a source without any share one.

    Args:
        runs: Each a source and what it loaded.
    """
    result = Table(title="What arrived in the local warehouse, database RAW", box=SIMPLE_HEAD)
    for heading, justify in HEADINGS.items():
        result.add_column(heading, justify=justify, overflow="fold")
    for source, loads in runs:
        for load in loads:
            if load.rows:
                seconds = max(load.took.total_seconds(), 0.001)
                numbers = (f"{load.rows:,}", f"{seconds:.1f}", f"{load.rows / seconds:,.0f}")
                result.add_row(source, load.stream, *numbers, load.table)
        if unchanged := sum(not load.rows for load in loads):
            result.add_row(source, f"{unchanged} streams", "0", "", "", "nothing new")
    return result
