"""A table, view or query as the tap sees it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from tap_postgres import sql
from tap_postgres.ranges import KeyColumn
from tap_postgres.types import DATATYPE, VARIANT, ColumnType, not_null

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence


@dataclass(frozen=True)
class Column:
    """A column; `type_name` is format_type()'s spelling, empty for a query's columns."""

    name: str
    type: ColumnType
    type_name: str = ""
    nullable: bool = True

    @property
    def is_json(self) -> bool:
        """Whether the column carries JSON text."""
        return bool(self.type.schema.get(DATATYPE) == VARIANT)


@dataclass(frozen=True)
class Table:
    """What a stream reads.

    Attributes:
        stream: The stream's name.
        label: How messages call it: schema.table, or the manifest's table.
        source: SQL for the FROM clause.
        columns: In the table's order.
        key: Names of the key columns, in the order of the key's index.
        row_bytes: Average size of a row in the table, 0 when the server has no statistics.
        stamps: Columns that the tap adds, the same value in each row of a load.
        order: Names of columns to read a snapshot in ranges of, where there is no key.
    """

    stream: str
    label: str
    source: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    row_bytes: int = 0
    stamps: tuple[Column, ...] = ()
    order: tuple[str, ...] = ()

    def json_schema(self) -> dict[str, Any]:
        """The stream's JSON Schema; key columns cannot be null."""
        properties = {
            column.name: not_null(column.type.schema)
            if column.name in self.key
            else dict(column.type.schema)
            for column in (*self.columns, *self.stamps)
        }
        return {"type": "object", "properties": properties}

    @property
    def fingerprint(self) -> dict[str, str]:
        """The columns' names and types, to find a change by."""
        return {column.name: column.type.label for column in self.columns}

    @property
    def range_key(self) -> tuple[str, ...]:
        """The columns to read a snapshot in ranges of; they need not be unique for that."""
        return self.key or self.order

    def key_columns(self, names: Collection[str]) -> tuple[KeyColumn, ...]:
        """The named columns, in the order given, to range over."""
        by_name = {column.name: column for column in self.columns}
        return tuple(
            KeyColumn(name, by_name[name].type_name, by_name[name].nullable) for name in names
        )


def select_sql(columns: tuple[Column, ...], source: str, conditions: Sequence[str]) -> str:
    """The SELECT for some columns and rows of a source."""
    parts = []
    for column in columns:
        name = sql.identifier(column.name)
        parts.append(f"{column.type.select.format(name)} AS {name}")
    where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
    return f"SELECT {', '.join(parts)} FROM {source}{where}"


def arrow_schema(columns: tuple[Column, ...]) -> pa.Schema:
    """The Arrow schema of a stream's batches and files."""
    return pa.schema([pa.field(column.name, column.type.arrow) for column in columns])
