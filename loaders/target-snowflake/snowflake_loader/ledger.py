"""The loader's own tables: `_LOADS`, one row a commit, and `_REJECTED`, the bad records."""

from __future__ import annotations

import json
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from snowflake_loader.column_types import INTEGER, TEXT, ColumnType, Kind
from snowflake_loader.names import literal, quote
from snowflake_loader.tables import TableColumn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from snowflake_loader.records import Rejected

ROWS_PER_STATEMENT = 500  # rejected records in one INSERT
STATEMENT_CHARACTERS = 500_000  # of an INSERT; Snowflake takes a megabyte
PAYLOAD_CHARACTERS = 100_000  # of a rejected record or a bookmark that are kept

MOMENT = ColumnType(Kind.TIMESTAMP_TZ)


@dataclass
class LedgerEntry:
    """What one commit did; counts are rows, sizes are bytes, moments are UTC.

    `inserted`, `updated` and `deleted` count rows of the stream's table as Snowflake reported
    them; `slices` is a JSON array of the slice values that were replaced; `bookmark` is the
    state, as JSON, that the tap had sent for this stream when the commit was asked for.
    """

    load_id: str
    run_id: str
    stream: str
    table_name: str
    method: str
    version: int | None
    slices: str | None
    rows_read: int
    inserted: int
    updated: int
    deleted: int
    rejected: int
    bytes: int
    files: int
    published: bool
    started_at: datetime
    committed_at: datetime
    bookmark: str | None

    @property
    def summary(self) -> str:
        """One line for the log."""
        if not self.published:
            return f"{self.rows_read:,} rows wait in the warehouse for the end of their snapshot"
        rejected = f", {self.rejected:,} rejected" if self.rejected else ""
        return (
            f"{self.inserted:,} inserted, {self.updated:,} updated, {self.deleted:,} deleted"
            f"{rejected} in {self.table_name} ({self.method})"
        )

    @property
    def insert(self) -> str:
        """The values as SQL, in the order of the fields."""
        return ", ".join(sql_value(getattr(self, field.name)) for field in fields(self))


TYPES = {
    "int": INTEGER,
    "int | None": INTEGER,
    "bool": ColumnType(Kind.BOOLEAN),
    "datetime": MOMENT,
}

LOADS_COLUMNS = [
    TableColumn(field.name.upper(), TYPES.get(str(field.type), TEXT))
    for field in fields(LedgerEntry)
]

REJECTED_COLUMNS = [
    TableColumn("LOAD_ID", TEXT),
    TableColumn("STREAM", TEXT),
    TableColumn("REASON", TEXT),
    TableColumn("PAYLOAD", TEXT),
    TableColumn("REJECTED_AT", MOMENT),
]


def insert_entry(table: str, entry: LedgerEntry) -> str:
    """Return the statement that writes one ledger entry."""
    names = ", ".join(quote(column.name) for column in LOADS_COLUMNS)
    return f"INSERT INTO {table} ({names}) SELECT {entry.insert}"


def insert_rejected(
    table: str, load_id: str, stream: str, rejected: list[Rejected]
) -> Iterable[str]:
    """Return the statements that write the rejected records of one commit."""
    names = ", ".join(quote(column.name) for column in REJECTED_COLUMNS)
    now = datetime.now(UTC)
    rows: list[str] = []
    for bad in rejected:
        values = (load_id, stream, cut_text(bad.reason), cut_text(bad.payload), now)
        row = f"({', '.join(map(sql_value, values))})"
        size = sum(map(len, rows)) + len(row)
        if rows and (len(rows) == ROWS_PER_STATEMENT or size > STATEMENT_CHARACTERS):
            yield f"INSERT INTO {table} ({names}) VALUES {', '.join(rows)}"
            rows = []
        rows.append(row)
    if rows:
        yield f"INSERT INTO {table} ({names}) VALUES {', '.join(rows)}"


def cut_text(text: str) -> str:
    """The text, or its beginning with the number of characters left out."""
    if len(text) <= PAYLOAD_CHARACTERS:
        return text
    left_out = len(text) - PAYLOAD_CHARACTERS
    return f"{text[:PAYLOAD_CHARACTERS]}... ({left_out} characters left out)"


def sql_value(value: object) -> str:
    """Return a Python value as a SQL expression."""
    if value is None:
        return "NULL"
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, datetime):
        return f"CAST({literal(value.isoformat())} AS TIMESTAMP_TZ)"
    return str(value) if isinstance(value, int) else literal(str(value))


def as_json(value: Any) -> str:  # noqa: ANN401 - any JSON value
    """Return a value as compact JSON text; decimals and dates as text."""
    return json.dumps(value, default=str, ensure_ascii=False, separators=(",", ":"))
