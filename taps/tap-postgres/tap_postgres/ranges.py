"""Reading a large table in ranges of a key.

The bounds come from the key's index: the next bound is the key `rows` places further on. So a
range never holds more than `rows` rows of a unique key, whatever gaps there are, and any type that
PostgreSQL can order will do, several columns too. Finding a bound reads the index only, about 5 %
of what reading the rows costs, and needs no statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tap_postgres import sql
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Query = Callable[[str], list[dict[str, Any]]]

Values = tuple[str, ...]
NOT_FINITE = ("NaN", "Infinity", "-Infinity", "infinity", "-infinity")  # as text


@dataclass(frozen=True)
class KeyColumn:
    """A column to range over, with its type as format_type() spells it."""

    name: str
    type_name: str
    nullable: bool = False


@dataclass(frozen=True)
class KeyRange:
    """Keys above `after` (or from it on, when `inclusive`) up to `until`, which belongs to it.

    None means no bound on that side. A NULL key belongs to the range without a lower bound.
    """

    key: tuple[KeyColumn, ...]
    after: Values | None = None
    until: Values | None = None
    inclusive: bool = False

    def conditions(self) -> list[str]:
        """The SQL conditions that all hold for rows of this range."""
        conditions = [] if self.after is None else [self.above]
        if self.until is not None:
            upper = self._compare("<=", self.until)
            nulls = [f"{sql.identifier(column.name)} IS NULL" for column in self.key]
            nullable = self.after is None and any(column.nullable for column in self.key)
            conditions.append(f"({' OR '.join([upper, *nulls])})" if nullable else upper)
        return conditions

    @property
    def above(self) -> str:
        """The SQL condition that a key is not below this range."""
        return self._compare(">=" if self.inclusive else ">", self.after) if self.after else "true"

    def _compare(self, operator: str, values: Values) -> str:
        names = ", ".join(sql.identifier(column.name) for column in self.key)
        pairs = zip(self.key, values, strict=True)
        typed = ", ".join(sql.typed(value, column.type_name) for column, value in pairs)
        return f"({names}) {operator} ({typed})"


def is_finite(column: KeyColumn) -> str:
    """SQL for a value that is not NULL, NaN or infinite."""
    name, kind = sql.identifier(column.name), column.type_name
    if _is_moment(column):
        return f"isfinite({name})"
    if kind.startswith(("double", "real", "numeric")):
        return f"{name}::text NOT IN ({', '.join(map(sql.literal, NOT_FINITE))})"
    return f"{name} IS NOT NULL"


def as_text(column: KeyColumn) -> str:
    """SQL for a value as text that reads back as the same value; ISO 8601 for moments."""
    name = sql.identifier(column.name)
    return f"to_json({name}) #>> '{{}}'" if _is_moment(column) else f"{name}::text"


def ranges(whole: KeyRange, source: str, rows: int, query: Query, doing: str) -> Iterator[KeyRange]:
    """Cut a range into smaller ones, lazily: a bound is looked up when needed.

    All bounds must be looked up in one snapshot. Each row's key is in exactly one range; a unique
    key has at most `rows` rows in each.

    Args:
        whole: What to cut; its key is that of an index, and only a single column may be nullable.
        source: What to select from.
        rows: Rows in a range.
        query: Runs SQL and returns rows as dicts.
        doing: The subject of a message.

    Raises:
        TapError: a bound is not above the one before, so that there would be no end.
    """
    rest = whole
    while (until := _bound(rest, source, rows, query, doing)) not in (None, whole.until):
        yield replace(rest, until=until)
        rest = KeyRange(whole.key, after=until, until=whole.until)
    yield rest


def _bound(rest: KeyRange, source: str, rows: int, query: Query, doing: str) -> Values | None:
    names = ", ".join(sql.identifier(column.name) for column in rest.key)
    conditions = " AND ".join(rest.conditions()) or "true"
    values = ", ".join(f"{as_text(column)} AS v{i}" for i, column in enumerate(rest.key))
    found = query(
        f"SELECT {rest.above} AS moves, {values} FROM (SELECT {names} FROM {source}"
        f" WHERE {conditions} ORDER BY {names} OFFSET {rows - 1} LIMIT 1) AS bound"
    )
    if not found:
        return None
    moves, *bound = found[0].values()
    if None in bound:
        return None
    if not moves or (tuple(bound) == rest.after and not rest.inclusive):
        raise TapError(
            f"{doing} failed: above the key ({', '.join(rest.after or ())}) the server finds "
            f"({', '.join(bound)}), which is not above it. The index of {names} is corrupt, as "
            "after a change of the server's collations (REINDEX it on the primary), or a value of "
            "that type is not the same when it is written as text: then take another key."
        )
    return tuple(bound)


def _is_moment(column: KeyColumn) -> bool:
    return column.type_name == "date" or column.type_name.startswith("timestamp")
