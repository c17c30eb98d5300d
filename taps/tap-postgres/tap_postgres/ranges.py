"""Reading a large table in ranges of a key.

The bounds come from the key's index: the next bound is the key `rows` places further on. So a
range never holds more than `rows` rows of a unique key, whatever gaps there are, and any type that
PostgreSQL can order will do, several columns too. Finding a bound reads the index only, about 5 %
of what reading the rows costs, and needs no statistics.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tap_postgres import sql

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

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
        lower = ">=" if self.inclusive else ">"
        conditions = [] if self.after is None else [self._compare(lower, self.after)]
        if self.until is not None:
            upper = self._compare("<=", self.until)
            nulls = [f"{sql.identifier(column.name)} IS NULL" for column in self.key]
            nullable = self.after is None and any(column.nullable for column in self.key)
            conditions.append(f"({' OR '.join([upper, *nulls])})" if nullable else upper)
        return conditions

    def _compare(self, operator: str, values: Values) -> str:
        names = ", ".join(sql.identifier(column.name) for column in self.key)
        pairs = zip(self.key, values, strict=True)
        typed = ", ".join(sql.typed(value, column.type_name) for column, value in pairs)
        return f"({names}) {operator} ({typed})"


def is_finite(column: KeyColumn) -> str:
    """SQL for a value that is not NULL, NaN or infinite."""
    name, kind = sql.identifier(column.name), column.type_name
    if kind.startswith(("timestamp", "date")):
        return f"isfinite({name})"
    if kind.startswith(("double", "real", "numeric")):
        return f"{name}::text NOT IN ({', '.join(map(sql.literal, NOT_FINITE))})"
    return f"{name} IS NOT NULL"


def as_text(column: str) -> str:
    """SQL for a value that reads back as the same value: ISO 8601 for times, every digit."""
    return f"to_json({column}) #>> '{{}}'"


def ranges(
    whole: KeyRange,
    source: str,
    rows: int,
    query: Callable[[str], list[dict[str, str | None]]],
) -> Iterator[KeyRange]:
    """Cut a range into smaller ones, lazily: a bound is looked up when needed.

    All bounds must be looked up in one snapshot. Each row's key is in exactly one range; a unique
    key has at most `rows` rows in each.

    Args:
        whole: What to cut; its key is that of an index, and only a single column may be nullable.
        source: What to select from.
        rows: Rows in a range.
        query: Runs SQL and returns rows as dicts.
    """
    rest = whole
    while (until := _bound(rest, source, rows, query)) not in (None, whole.until):
        yield replace(rest, until=until)
        rest = KeyRange(whole.key, after=until, until=whole.until)
    yield rest


def _bound(
    rest: KeyRange,
    source: str,
    rows: int,
    query: Callable[[str], list[dict[str, str | None]]],
) -> Values | None:
    names = [sql.identifier(column.name) for column in rest.key]
    conditions = " AND ".join(rest.conditions()) or "true"
    values = ", ".join(f"{as_text(name)} AS v{i}" for i, name in enumerate(names))
    found = query(
        f"SELECT {values} FROM (SELECT {', '.join(names)} FROM {source} WHERE {conditions}"
        f" ORDER BY {', '.join(names)} OFFSET {rows - 1} LIMIT 1) AS bound"
    )
    bound = tuple(value for row in found for value in row.values() if value is not None)
    return bound if len(bound) == len(names) else None
