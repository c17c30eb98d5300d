"""Deterministic contents of the two PostgreSQL databases: tables as data, rows made in SQL."""

from __future__ import annotations

from dataclasses import dataclass, field
from importlib import resources
from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    import psycopg

# Seeded rows are spread over 90 days; what round n of `change` makes begins n hours into the next
# year. Its `updated_at` alone is the server's clock, since incremental loads go by that.
SEED_MOMENT = "timestamp '2024-01-01' + (g % 129600) * interval '1 minute' + interval '0.123456 s'"
CHANGE_MOMENT = "timestamp '2025-01-01' + {round} * interval '1 hour'"
UPDATED_OF_EACH = 97  # in a round, one row of so many is updated
INSERTED_OF_EACH = 500  # one row for so many existing is inserted
DELETED_OF_EACH = 1000  # and one of so many is deleted


@dataclass(frozen=True)
class Table:
    """One table of a YAML file in this folder; the files say what each entry means."""

    name: str
    share: float
    columns: dict[str, list[str]]
    change: str
    key: list[str] = field(default_factory=lambda: ["id"])
    extremes: list[dict[str, str]] = field(default_factory=list)

    def definition(self) -> list[str]:
        columns = [f"{name} {type_}" for name, (type_, _) in self.columns.items()]
        return [
            f"CREATE TABLE {self.name} ({', '.join(columns)}, PRIMARY KEY ({', '.join(self.key)}))",
            f"CREATE INDEX ON {self.name} (updated_at)",
        ]

    @property
    def now(self) -> str:
        """An expression for `updated_at`: the server's clock, for each row anew."""
        type_, _ = self.columns["updated_at"]
        return "clock_timestamp()" + (" AT TIME ZONE 'UTC'" if type_ == "timestamp" else "")

    def insertion(self, first: int, last: int, **replaced: str) -> str:
        """An INSERT of some rows, with other expressions for the `replaced` columns."""
        expressions = {name: expression for name, (_, expression) in self.columns.items()}
        return (
            f"INSERT INTO {self.name} SELECT {', '.join((expressions | replaced).values())}"
            f" FROM generate_series({first}::bigint, {last}) AS g"
        )

    def deletion(self, salt: int, count: int) -> str:
        """A DELETE of some rows that `salt` picks; extreme rows and one other always stay."""
        key = f"({', '.join(self.key)})"
        ordinary = f"WHERE id > {len(self.extremes)}" if self.extremes else ""
        return (
            f"DELETE FROM {self.name} WHERE {key} IN (SELECT {', '.join(self.key)}"
            f" FROM {self.name} {ordinary} ORDER BY h({salt}, {key}::text), {key}"
            f" OFFSET 1 LIMIT {count})"
        )

    def extreme_values(self) -> list[str]:
        return [
            f"UPDATE {self.name} SET {', '.join(f'{c} = {v}' for c, v in values.items())}"
            f" WHERE id = {row}"
            for row, values in enumerate(self.extremes, start=1)
        ]


@dataclass(frozen=True)
class Change:
    """What one round did to one table, in rows."""

    table: str
    inserted: int
    updated: int
    deleted: int


def tables(database: str) -> list[Table]:
    """The tables of `gitlab_ops` or `customers`, in the order of their file."""
    return [Table(name, **entry) for name, entry in _contents(database)["tables"].items()]


def seed(connection: psycopg.Connection, database: str, rows: int) -> None:
    """Make and fill the tables of a new database, in one transaction.

    Args:
        connection: To the empty database, in autocommit mode.
        database: `gitlab_ops` or `customers`.
        rows: Rows of a table whose share is 1; every table has at least its extreme rows.
    """
    with connection.transaction():
        _run(connection, _file("functions.sql"))
        _set_moment(connection, SEED_MOMENT)
        for statement in _contents(database)["types"]:
            _run(connection, statement)
        for table in tables(database):
            count = max(int(rows * table.share), len(table.extremes), 1)
            statements = [*table.definition(), table.insertion(1, count), *table.extreme_values()]
            for statement in statements:
                _run(connection, statement)
            connection.execute(
                "INSERT INTO sandbox.progress VALUES (%s, %s, 0)", [table.name, count]
            )
    connection.execute("ANALYZE")


def change(connection: psycopg.Connection, database: str) -> list[Change]:
    """Apply the next round of activity, in one transaction, and say what it did."""
    with connection.transaction():
        connection.execute("LOCK sandbox.progress")
        return [_change_table(connection, table) for table in tables(database)]


def _change_table(connection: psycopg.Connection, table: Table) -> Change:
    row = connection.execute(
        "UPDATE sandbox.progress SET round = round + 1 WHERE table_name = %s"
        " RETURNING last_row, round",
        [table.name],
    ).fetchone()
    if row is None:
        raise LookupError(f"Table {table.name} was not seeded; run `sandbox reset`, then `up`.")
    last, round_ = row
    _set_moment(connection, CHANGE_MOMENT.format(round=round_))
    deleted = _run(connection, table.deletion(round_, max(1, last // DELETED_OF_EACH)))
    updated = _run(
        connection,
        f"UPDATE {table.name} SET {table.change}, updated_at = {table.now}"
        f" WHERE h(0, ({', '.join(table.key)})::text) % {UPDATED_OF_EACH}"
        f" = {round_ % UPDATED_OF_EACH}",
    )
    inserted = max(1, last // INSERTED_OF_EACH)
    _run(connection, table.insertion(last + 1, last + inserted, updated_at=table.now))
    connection.execute(
        "UPDATE sandbox.progress SET last_row = %s WHERE table_name = %s",
        [last + inserted, table.name],
    )
    return Change(table.name, inserted, updated, deleted)


def _set_moment(connection: psycopg.Connection, expression: str) -> None:
    _run(connection, "SET search_path = public, sandbox")
    _run(
        connection,
        "CREATE OR REPLACE FUNCTION sandbox.moment(g bigint) RETURNS timestamp"
        f" LANGUAGE sql IMMUTABLE AS $$ SELECT {expression} $$",
    )


def _run(connection: psycopg.Connection, statement: str) -> int:
    return connection.execute(statement.encode()).rowcount


def _contents(database: str) -> dict[str, Any]:
    contents: dict[str, Any] = yaml.safe_load(_file(f"{database}.yml"))
    return contents


def _file(name: str) -> str:
    return (resources.files("sandbox.seed") / name).read_text(encoding="utf-8")
