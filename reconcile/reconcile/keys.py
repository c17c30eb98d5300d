"""Keys: as text that both databases give alike, and in conditions on both."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from reconcile.errors import ReconcileError
from snowflake_loader.column_types import Kind
from snowflake_loader.names import literal
from tap_postgres import sql

if TYPE_CHECKING:
    from collections.abc import Sequence

    from reconcile.columns import Comparable

Key = tuple[str, ...]
_SECONDS = len("2024-01-31 23:59:59")
_CASTS = {
    Kind.DATE: "CAST({} AS DATE)",
    Kind.TIMESTAMP_NTZ: "CAST({} AS TIMESTAMP_NTZ)",
    Kind.TIMESTAMP_TZ: "CAST({} AS TIMESTAMP_TZ)",
}
_KINDS = {Kind.NUMBER, Kind.VARCHAR, *_CASTS}


@dataclass(frozen=True)
class KeyRange:
    """Keys above `after` up to `until`, which belongs to it; None is no bound on that side."""

    after: Key | None = None
    until: Key | None = None


@dataclass(frozen=True)
class KeyColumns:
    """A key's columns as one database has them.

    Attributes:
        order: SQL to compare and to order by: the same order on both sides.
        texts: SQL of the values as text.
        columns: What they are.
        in_snowflake: Whether the database is Snowflake, or else PostgreSQL.
    """

    order: tuple[str, ...]
    texts: tuple[str, ...]
    columns: tuple[Comparable, ...]
    in_snowflake: bool

    def within(self, keys: KeyRange) -> list[str]:
        """The conditions that all hold for a range."""
        conditions = [] if keys.after is None else [self._compare(">", ">", keys.after)]
        return conditions if keys.until is None else [*conditions, self.up_to(keys.until)]

    def up_to(self, key: Key) -> str:
        """The condition for a key and those below."""
        return self._compare("<", "<=", key)

    def among(self, keys: Sequence[Key]) -> str:
        """The condition for some keys, at least one."""
        if len(self.order) == 1:
            return f"{self.order[0]} IN ({', '.join(self._values(key)[0] for key in keys)})"
        values = ", ".join(f"({', '.join(self._values(key))})" for key in keys)
        return f"({', '.join(self.order)}) IN ({values})"

    def shown(self, key: Key) -> Key:
        """A key as people read it: moments with the zeros at their end."""
        return tuple(
            _whole_moment(column, text) for column, text in zip(self.columns, key, strict=True)
        )

    def _compare(self, strict: str, last: str, key: Key) -> str:
        values = self._values(key)
        if not self.in_snowflake:  # an index serves this form
            return f"({', '.join(self.order)}) {last} ({', '.join(values)})"
        *before, (column, value) = zip(self.order, values, strict=True)
        condition = f"{column} {last} {value}"
        for column, value in reversed(before):
            condition = f"({column} {strict} {value} OR ({column} = {value} AND {condition}))"
        return condition

    def _values(self, key: Key) -> list[str]:
        write = _in_snowflake if self.in_snowflake else _in_postgres
        return [write(column, text) for column, text in zip(self.columns, key, strict=True)]


def source_key(label: str, key: Sequence[Comparable]) -> KeyColumns:
    """The key in PostgreSQL.

    Raises:
        ReconcileError: there is none, or it has a type that is not ordered alike on both sides.
    """
    if not key:
        raise ReconcileError(
            f"{label} has no key, and rows can only be told apart by one. Give the table a primary "
            "key, or the manifest an export_table_primary_key."
        )
    for column in key:
        if column.kind not in _KINDS:
            raise ReconcileError(
                f"{label} has the key column {column.name} of type {column.kind.value}, by which "
                "the two databases do not order alike. It cannot be compared."
            )
    order = [
        f'{column.source} COLLATE "C"' if _is_ordered_as_text(column) else _plain(column)
        for column in key
    ]
    texts = [f"concat({column.source})" for column in key]
    return KeyColumns(tuple(order), tuple(texts), tuple(key), in_snowflake=False)


def copy_key(key: Sequence[Comparable]) -> KeyColumns:
    """The same key in Snowflake."""
    order, texts = [column.column for column in key], [column.copy for column in key]
    return KeyColumns(tuple(order), tuple(texts), tuple(key), in_snowflake=True)


def has_native_order(key: Sequence[Comparable]) -> bool:
    """Whether PostgreSQL's indexes have the order in which keys are compared."""
    return not any(map(_is_ordered_as_text, key))


def _is_ordered_as_text(column: Comparable) -> bool:
    return column.kind is Kind.VARCHAR and column.type_name != "uuid"


def _plain(column: Comparable) -> str:
    return sql.identifier(column.name)


def _in_postgres(column: Comparable, text: str) -> str:
    if _is_ordered_as_text(column):
        return sql.literal(text)
    return sql.typed(_whole(column, text), column.type_name)


def _in_snowflake(column: Comparable, text: str) -> str:
    if column.kind is Kind.NUMBER:
        return text
    return _CASTS.get(column.kind, "{}").format(literal(_whole(column, text)))


def _whole(column: Comparable, text: str) -> str:
    """A value that can be read.

    An integer may have zeros behind a point, where its column in Snowflake has a scale.
    """
    if column.kind is Kind.NUMBER and "." in text:
        return text.rstrip("0").rstrip(".")
    return _whole_moment(column, text)


def _whole_moment(column: Comparable, text: str) -> str:
    """A moment that can be read, whose zeros at the end were cut off; any other value as it is."""
    if column.kind not in {Kind.TIMESTAMP_NTZ, Kind.TIMESTAMP_TZ}:
        return text
    zone = "+00:00" if column.kind is Kind.TIMESTAMP_TZ else ""
    return f"{text.ljust(_SECONDS, '0')}{zone}"
