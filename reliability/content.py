"""What stands in a schema's tables, and how it differs from what should."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snowflake_loader.warehouse import Session

# What says when a row was loaded, not what it is.
LOADING_COLUMNS = ("_UPLOADED_AT", "_TASK_INSTANCE", "PGP_IS_DELETED_UPDATED_AT")
LOADING_PREFIX = "_SDC_"
# A moment as well, but whether there is one says that the row is gone.
DELETED_AT = "_SDC_DELETED_AT"
# One row for each export or run, with its own id or moment: a run that is repeated exports and
# asks again, and rightly adds its row.
LOGS_OF_RUNS = frozenset({"FORECAST_EXPORTS", "EXPORT_LIMITS"})

Rows = Counter[tuple[str | None, ...]]


@dataclass(frozen=True)
class Table:
    """A table's columns and how often each row stands in it, values as text."""

    columns: tuple[str, ...]
    rows: Rows

    def without(self, names: frozenset[str]) -> Table:
        """The table without some columns."""
        kept = [place for place, name in enumerate(self.columns) if name not in names]
        rows: Rows = Counter()
        for row, count in self.rows.items():
            rows[tuple(row[place] for place in kept)] += count
        return Table(tuple(self.columns[place] for place in kept), rows)


Content = dict[str, Table]


@dataclass(frozen=True)
class Difference:
    """Rows that are missing from a schema, rows that stand in it too often, and their tables.

    A table that should not be there has its rows too often.
    """

    lost: int
    doubled: int
    tables: tuple[str, ...]


def content(session: Session, schema: str) -> Content:
    """Return the tables that the loader filled, without its own."""
    named: dict[str, list[str]] = {}
    for row in session.execute(
        "SELECT TABLE_NAME, COLUMN_NAME FROM RAW.INFORMATION_SCHEMA.COLUMNS "
        f"WHERE TABLE_SCHEMA = '{schema}' ORDER BY TABLE_NAME, COLUMN_NAME",
        "reading the tables",
    ):
        if not row["TABLE_NAME"].startswith("_"):
            named.setdefault(row["TABLE_NAME"], []).append(row["COLUMN_NAME"])
    return {table: _table(session, schema, table, columns) for table, columns in named.items()}


def _table(session: Session, schema: str, table: str, columns: list[str]) -> Table:
    kept = [
        name
        for name in columns
        if name == DELETED_AT
        or (name not in LOADING_COLUMNS and not name.startswith(LOADING_PREFIX))
    ]
    values = {name: f'TO_VARCHAR("{name}")' for name in kept}
    if DELETED_AT in values:
        values[DELETED_AT] = f'TO_VARCHAR("{DELETED_AT}" IS NOT NULL)'
    selected = ", ".join(f'{value} AS "{name}"' for name, value in values.items())
    rows = session.execute(f'SELECT {selected} FROM RAW.{schema}."{table}"', f"reading {table}")
    return Table(tuple(kept), Counter(tuple(row[name] for name in kept) for row in rows))


def volatile(first: Content, second: Content) -> dict[str, frozenset[str]]:
    """Return the columns of each table that differ between two undisturbed runs."""
    found: dict[str, frozenset[str]] = {}
    for name, table in first.items():
        other = second[name]
        found[name] = frozenset(
            column for column in table.columns if _values(table, column) != _values(other, column)
        )
    return found


def _values(table: Table, column: str) -> Counter[str | None]:
    place = table.columns.index(column)
    values: Counter[str | None] = Counter()
    for row, count in table.rows.items():
        values[row[place]] += count
    return values


def difference(
    expected: Content, found: Content, standing: Content, *, may_repeat: bool
) -> Difference:
    """Compare what stands in a schema with what should.

    Args:
        expected: the content after an undisturbed run.
        found: the content after a killed run and one more; both without the columns that differ
            from run to run.
        standing: found, with those columns.
        may_repeat: whether a table may hold its rows as whole copies, each run one more.
    """
    lost, doubled, tables = 0, 0, []
    for name in found.keys() - expected.keys():
        doubled += found[name].rows.total()
        tables.append(name)
    for name, table in expected.items():
        rows = found[name].rows if name in found else Counter()
        copies = _copies(table.rows, rows) if may_repeat else 1
        wanted = Counter({row: count * copies for row, count in table.rows.items()})
        missing, more = wanted - rows, rows - wanted
        if name in LOGS_OF_RUNS and name in standing:
            more = standing[name].rows - Counter(set(standing[name].rows))
        if missing or more:
            tables.append(name)
        lost += missing.total()
        doubled += more.total()
    return Difference(lost, doubled, tuple(tables))


def _copies(expected: Rows, found: Rows) -> int:
    return max(1, round(found.total() / expected.total())) if expected else 1


def half_published(before: Content, after: Content, found: Content) -> list[str]:
    """Return the tables that hold neither what they held before nor what they should hold now."""
    return [
        name
        for name in before.keys() | after.keys() | found.keys()
        if found.get(name) not in (before.get(name), after.get(name))
    ]


def digest(tables: Mapping[str, Table]) -> str:
    """Return a hash of the content that does not depend on the order of rows."""
    text = "\n".join(
        f"{name}\t{row}\t{count}"
        for name in sorted(tables)
        for row, count in sorted(tables[name].rows.items(), key=str)
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]
