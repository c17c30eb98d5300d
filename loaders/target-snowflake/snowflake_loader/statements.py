"""The SQL that moves rows; every statement is one that Snowflake documents."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snowflake_loader.column_types import Kind
from snowflake_loader.helper_tables import SEQUENCE
from snowflake_loader.names import literal, quote
from snowflake_loader.records import ROW_NUMBER

if TYPE_CHECKING:
    from collections.abc import Iterable

    from snowflake_loader.constants import Constants
    from snowflake_loader.schema import Column, StreamSchema

# Without logical types Snowflake reads Parquet timestamps as bare numbers, and without
# BINARY_AS_TEXT = FALSE it reads bytes as UTF-8.
PARQUET = "(TYPE = PARQUET USE_LOGICAL_TYPE = TRUE BINARY_AS_TEXT = FALSE)"


@dataclass(frozen=True)
class Statements:
    """The statements for one stream's table.

    A helper table has the stream's columns (VARIANT as JSON text) and the number of the row.
    """

    target: str
    schema: StreamSchema
    constants: Constants
    slice_column: str | None
    order_column: str | None

    @property
    def copies_directly(self) -> bool:
        """Whether a file's columns are the table's, so that COPY alone is enough."""
        variant = any(column.type.kind is Kind.VARIANT for column in self.schema.columns)
        return not variant and not self.constants.columns

    def copy(self, source: str, destination: str, *, purge: bool) -> str:
        return (
            f"COPY INTO {destination} FROM {source} FILE_FORMAT = {PARQUET} "
            f"MATCH_BY_COLUMN_NAME = CASE_INSENSITIVE{' PURGE = TRUE' if purge else ''}"
        )

    def insert(self, helper: str) -> str:
        """Every row of the helper into the target."""
        return f"INSERT INTO {self.target} ({self._names()}) SELECT {self._values()} FROM {helper}"

    def merge(self, helper: str) -> str:
        """The helper's rows, one of each key, merged into the target."""
        keys = [quote(column.name) for column in self.schema.keys]
        names = self._all_names()
        on = " AND ".join(f"TARGET.{key} = SOURCE.{key}" for key in keys)
        update = ", ".join(f"{name} = SOURCE.{name}" for name in names if name not in keys)
        newer = ""
        if self.order_column:
            old, new = f"TARGET.{self.order_column}", f"SOURCE.{self.order_column}"
            newer = f" AND ({old} IS NULL OR {new} >= {old})"
        matched = f" WHEN MATCHED{newer} THEN UPDATE SET {update}" if update else ""
        values = ", ".join(f"SOURCE.{name}" for name in names)
        return (
            f"MERGE INTO {self.target} AS TARGET USING "
            f"(SELECT {self._values()} FROM {helper}) AS SOURCE ON {on}{matched} "
            f"WHEN NOT MATCHED THEN INSERT ({self._names()}) VALUES ({values})"
        )

    def number(self, helper: str, sequence: int) -> str:
        """Give the rows of the file that was copied last its number."""
        return f"UPDATE {helper} SET {quote(SEQUENCE)} = {sequence} WHERE {quote(SEQUENCE)} IS NULL"

    def repeated_keys(self, table: str) -> str:
        """How many keys stand in the target, or in the helper, more than once."""
        return f"SELECT COUNT(*) AS N FROM ({self._repeated(table)})"

    def delete_superseded(self, helper: str) -> str:
        """All rows of a key in the helper but the last; a range may be read again after a crash.

        A window over the repeated keys alone: over every row it is the dearest step of a load.
        """
        keys = [quote(column.name) for column in self.schema.keys]
        own = {name: quote(f"_LOADER_OLD_{place}") for place, name in enumerate(keys)}
        own[quote(SEQUENCE)] = quote("_LOADER_OLD_SEQUENCE")
        row, old_row = quote(ROW_NUMBER), quote("_LOADER_OLD_ROW_NUMBER")
        renamed = ", ".join(f"{name} AS {old}" for name, old in {**own, row: old_row}.items())
        same = " AND ".join(f"{name} = OLD.{old}" for name, old in own.items())
        order = ", ".join(f"{name} DESC NULLS LAST" for name in self._order)
        return (
            f"DELETE FROM {helper} USING (SELECT {renamed} FROM {helper} "
            f"WHERE ({', '.join(keys)}) IN ({self._repeated(helper)}) "
            f"QUALIFY ROW_NUMBER() OVER (PARTITION BY {', '.join(keys)} ORDER BY {order}) > 1) "
            f"AS OLD WHERE {same} AND {row} IS NOT DISTINCT FROM OLD.{old_row}"
        )

    def empty(self, helper: str) -> str:
        """All rows of the helper; not TRUNCATE, which would commit the transaction."""
        return f"DELETE FROM {helper}"

    def delete_all(self) -> str:
        return f"DELETE FROM {self.target}"

    def newest(self, table: str) -> str:
        """The largest value of the order column."""
        return f"SELECT MAX({self.order_column}) AS NEWEST FROM {table}"

    def delete_not_newer(self, helper: str) -> str:
        """The target's rows but those that are newer than the helper's newest."""
        old = self.order_column
        return (
            f"DELETE FROM {self.target} WHERE {old} IS NULL "
            f"OR {old} <= (SELECT MAX({old}) FROM {helper})"
        )

    def insert_missing(self, helper: str) -> str:
        """Rows of the helper whose keys are not in the target."""
        keys = [quote(column.name) for column in self.schema.keys]
        same = " AND ".join(f"TARGET.{key} = SOURCE.{key}" for key in keys)
        return (
            f"INSERT INTO {self.target} ({self._names()}) SELECT {self._values()} "
            f"FROM {helper} AS SOURCE "
            f"WHERE NOT EXISTS (SELECT 1 FROM {self.target} AS TARGET WHERE {same})"
        )

    def delete_slices(self, helper: str, emptied: Iterable[str | int]) -> str:
        """The target's rows of the helper's slices, and of those that have no rows any more."""
        values = ", ".join(literal(e) if isinstance(e, str) else str(e) for e in emptied)
        more = f" OR {self.slice_column} IN ({values})" if values else ""
        return (
            f"DELETE FROM {self.target} WHERE {self.slice_column} IN "
            f"(SELECT {self.slice_column} FROM {helper}){more}"
        )

    def slices(self, helper: str) -> str:
        return f"SELECT DISTINCT {self.slice_column} AS SLICE FROM {helper} ORDER BY 1"

    def _repeated(self, table: str) -> str:
        keys = ", ".join(quote(column.name) for column in self.schema.keys)
        return f"SELECT {keys} FROM {table} GROUP BY {keys} HAVING COUNT(*) > 1"

    @property
    def _order(self) -> list[str]:
        sent = [quote(SEQUENCE), quote(ROW_NUMBER)]
        return [self.order_column, *sent] if self.order_column else sent

    def _all_names(self) -> list[str]:
        own = [quote(column.name) for column in self.schema.columns]
        return own + [quote(name) for name in self.constants.values]

    def _names(self) -> str:
        return ", ".join(self._all_names())

    def _values(self) -> str:
        own = [_value(column) for column in self.schema.columns]
        constant = [f"{value} AS {quote(name)}" for name, value in self.constants.values.items()]
        return ", ".join(own + constant)


def _value(column: Column) -> str:
    name = quote(column.name)
    # With MATCH_BY_COLUMN_NAME text becomes a VARIANT that holds text, so JSON is parsed here.
    return f"PARSE_JSON({name}) AS {name}" if column.type.kind is Kind.VARIANT else name
