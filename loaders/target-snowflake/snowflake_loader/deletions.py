"""`mark-deleted`: rows whose key the source has no more are marked; nothing is deleted.

The columns are those of "postgres_pipeline.md", section 2, or one that the tap names, which holds
the moment of the deletion and NULL for rows that are there.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from snowflake_loader.column_types import ColumnType, Kind
from snowflake_loader.names import quote
from snowflake_loader.tables import TableColumn

if TYPE_CHECKING:
    from snowflake_loader.schema import StreamSchema

IS_DELETED = "PGP_IS_DELETED"
UPDATED_AT = "PGP_IS_DELETED_UPDATED_AT"
COLUMNS = [
    TableColumn(IS_DELETED, ColumnType(Kind.BOOLEAN)),
    TableColumn(UPDATED_AT, ColumnType(Kind.TIMESTAMP_TZ)),
]
MILLISECONDS = 1000


def mark_columns(deleted_at: str | None) -> list[TableColumn]:
    """The columns that hold the mark: the one named, else `COLUMNS`."""
    if deleted_at is None:
        return COLUMNS
    return [TableColumn(deleted_at, ColumnType(Kind.TIMESTAMP_TZ))]


@dataclass(frozen=True)
class Deletions:
    """The statements; the helper table holds every key that the source has.

    Attributes:
        target: The table whose rows are marked.
        helper: The table of the keys.
        schema: The stream's columns; its key is what rows are told apart by.
        order_column: Holds when a row was read, in seconds since the epoch: rows read after the
            keys were are left alone.
        version: When the keys were read, in milliseconds since the epoch.
        deleted_at: The one column of the mark, see `mark_columns`.
    """

    target: str
    helper: str
    schema: StreamSchema
    order_column: str | None
    version: int | None
    deleted_at: str | None = None

    def living(self) -> str:
        """How many rows are not marked."""
        return f"SELECT COUNT(*) AS N FROM {self.target} WHERE {self._unmarked()}"

    def vanished(self) -> str:
        """How many of those have a key that the source has no more."""
        return f"SELECT COUNT(*) AS N FROM ({self._vanished()})"

    def mark(self) -> str:
        """Mark them."""
        return self._merge(self._vanished(), "", is_deleted=True)

    def unmark(self) -> str:
        """Take the mark from rows whose key the source has again."""
        keys = f"SELECT DISTINCT {self._keys()} FROM {self.helper}"
        return self._merge(keys, f" AND {self._is_marked('TARGET.')}", is_deleted=False)

    def _merge(self, keys: str, condition: str, *, is_deleted: bool) -> str:
        on = " AND ".join(f"TARGET.{key} = SOURCE.{key}" for key in self._names())
        return (
            f"MERGE INTO {self.target} AS TARGET USING ({keys}) AS SOURCE ON {on} "
            f"WHEN MATCHED{condition} THEN UPDATE SET {self._values(is_deleted=is_deleted)}"
        )

    def _values(self, *, is_deleted: bool) -> str:
        if self.deleted_at is not None:
            return f"{quote(self.deleted_at)} = {'CURRENT_TIMESTAMP()' if is_deleted else 'NULL'}"
        return (
            f"{quote(IS_DELETED)} = {'TRUE' if is_deleted else 'FALSE'}, "
            f"{quote(UPDATED_AT)} = CURRENT_TIMESTAMP()"
        )

    def _vanished(self) -> str:
        keys = ", ".join(f"T.{key} AS {key}" for key in self._names())
        on = " AND ".join(f"T.{key} = H.{key}" for key in self._names())
        first = self._names()[0]
        return (
            f"SELECT {keys} FROM {self.target} AS T LEFT JOIN {self.helper} AS H ON {on} "
            f"WHERE H.{first} IS NULL AND {self._unmarked('T.')}"
        )

    def _is_marked(self, prefix: str) -> str:
        if self.deleted_at is not None:
            return f"{prefix}{quote(self.deleted_at)} IS NOT NULL"
        return f"COALESCE({prefix}{quote(IS_DELETED)}, FALSE)"

    def _unmarked(self, prefix: str = "") -> str:
        unmarked = f"NOT ({self._is_marked(prefix)})"
        if not self.order_column or self.version is None:
            return unmarked
        read_before = f"{prefix}{self.order_column} <= {self.version / MILLISECONDS}"
        return f"{unmarked} AND ({prefix}{self.order_column} IS NULL OR {read_before})"

    def _keys(self) -> str:
        return ", ".join(self._names())

    def _names(self) -> list[str]:
        return [quote(column.name) for column in self.schema.keys]
