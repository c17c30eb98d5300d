"""PostgreSQL and its seeded databases."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import psycopg
import pytest
from adbc_driver_postgresql import dbapi as adbc

from sandbox import seed, settings
from sandbox.postgres import Postgres

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.postgres import Connection

ROWS = 200


def fill(connection: Connection, database: str) -> None:
    with connection.connect() as open_connection:
        seed.seed(open_connection, database, ROWS)


def fingerprints(connection: Connection, database: str, *, without: str = "") -> dict[str, object]:
    """Of each table, a hash over every value of every row, but for one column."""
    with connection.connect() as open_connection:
        return {
            table.name: open_connection.execute(
                f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text))"
                f" FROM (SELECT {', '.join(c for c in table.columns if c != without)}"
                f" FROM {table.name}) t"
            ).fetchone()
            for table in seed.tables(database)
        }


@pytest.mark.parametrize("database", settings.POSTGRES_DATABASES)
def test_seeding_and_changing_give_the_same_rows_every_time(
    postgres_server: Postgres, database: str
) -> None:
    """All values but the moment of the change, which is the server's."""
    states = []
    for _ in range(2):
        with postgres_server.fresh_database() as connection:
            fill(connection, database)
            history = [fingerprints(connection, database)]
            for _ in range(2):
                with connection.connect() as open_connection:
                    seed.change(open_connection, database)
                history.append(fingerprints(connection, database, without="updated_at"))
            states.append(history)

    assert states[0] == states[1]
    assert len({str(state) for state in states[0]}) == 3


@pytest.mark.parametrize("database", settings.POSTGRES_DATABASES)
def test_a_round_of_changes_bears_the_servers_time(
    postgres_database: Connection, database: str
) -> None:
    """Loads of an interval up to now would miss changes with any other."""
    fill(postgres_database, database)
    with postgres_database.connect() as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")  # as a user's PGTZ may say
        for _ in range(2):
            before = utc_now(connection)
            changes = seed.change(connection, database)
            after = utc_now(connection)

            for change in changes:
                times = (
                    "SELECT count(*) FILTER (WHERE utc BETWEEN %(before)s AND %(after)s),"
                    " count(*) FILTER (WHERE utc > %(after)s)"
                    f" FROM (SELECT updated_at {utc(database, change.table)} AS utc"
                    f" FROM {change.table}) AS t"
                )
                row = connection.execute(times, {"before": before, "after": after}).fetchone()
                assert row == (change.inserted + change.updated, 0), change


@pytest.mark.parametrize("database", settings.POSTGRES_DATABASES)
def test_a_round_of_changes_deletes_a_few_ordinary_rows(
    postgres_database: Connection, database: str
) -> None:
    """Never the extreme ones, and never a table whole, however often it is repeated."""
    fill(postgres_database, database)
    tables = seed.tables(database)
    with postgres_database.connect() as connection:
        extremes = {table.name: extreme_keys(connection, table) for table in tables}
        for _ in range(5):
            before = keys(connection, tables)
            changes = seed.change(connection, database)
            after = keys(connection, tables)

            assert sum(change.deleted for change in changes) >= len(tables) - 2
            for change in changes:
                gone, come = before[change.table], after[change.table]
                assert len(gone - come) == change.deleted < len(gone) / 2 + 1
                assert len(come - gone) == change.inserted > 0
                assert come & gone
                assert extremes[change.table] <= come


def utc_now(connection: psycopg.Connection) -> object:
    row = connection.execute("SELECT clock_timestamp() AT TIME ZONE 'UTC'").fetchone()
    assert row
    return row[0]


def utc(database: str, table: str) -> str:
    """What makes its `updated_at` a UTC time without zone."""
    (type_,) = (t.columns["updated_at"][0] for t in seed.tables(database) if t.name == table)
    return "AT TIME ZONE 'UTC'" if type_ == "timestamptz" else ""


def keys(connection: psycopg.Connection, tables: list[seed.Table]) -> dict[str, set[object]]:
    return {
        table.name: set(connection.execute(f"SELECT {', '.join(table.key)} FROM {table.name}"))
        for table in tables
    }


def extreme_keys(connection: psycopg.Connection, table: seed.Table) -> set[object]:
    rows = range(1, len(table.extremes) + 1)
    existing = f"SELECT {', '.join(table.key)} FROM {table.name}"
    return (
        set(connection.execute(f"{existing} WHERE id = ANY(%s)", [list(rows)])) if rows else set()
    )


def test_the_ops_tables_hold_what_breaks_pipelines(postgres_database: Connection) -> None:
    fill(postgres_database, "gitlab_ops")
    with postgres_database.connect() as connection:
        types = connection.execute(
            "SELECT DISTINCT format_type(atttypid, NULL) FROM pg_attribute"
            " JOIN pg_class ON attrelid = pg_class.oid"
            " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0"
        ).fetchall()
        extremes = connection.execute(
            "SELECT min(runner_number), max(runner_number), min(started_at::date)::text,"
            " max(started_at::date)::text, count(*) FILTER (WHERE options = 'null'::jsonb),"
            " count(*) FILTER (WHERE failure_note IS NULL) > 0 FROM ci_builds"
        ).fetchone()

    assert {"bigint", "integer", "smallint", "numeric", "double precision", "real", "boolean"} <= {
        name for (name,) in types
    }
    assert {"text", "json", "jsonb", "uuid", "bytea", "inet", "interval", "date", "text[]"} <= {
        name for (name,) in types
    }
    assert extremes == (-(2**63), 2**63 - 1, "0001-01-01", "9999-12-31", 1, True)


def test_a_wrong_password_is_refused(postgres_server: Postgres) -> None:
    uri = postgres_server.connection().uri.replace(":sandbox@", ":wrong@")

    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(uri)


def test_a_unix_socket_leads_to_the_same_database(
    postgres_server: Postgres, postgres_database: Connection
) -> None:
    socket = replace(postgres_database, host=str(postgres_server.socket_directory))

    with postgres_database.connect() as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS n")
    with socket.connect() as connection, adbc.connect(socket.uri) as other:
        assert connection.execute("SELECT n, inet_server_addr() FROM t").fetchall() == [(1, None)]
        with other.cursor() as cursor:
            cursor.execute("SELECT n FROM t")
            assert cursor.fetchall() == [(1,)]


def test_a_server_in_a_deep_folder_starts_all_the_same(tmp_path: Path) -> None:
    """There, clients cannot use the Unix socket: its path may not exceed 107 bytes."""
    folder = tmp_path / ("deep" * 30)
    server = Postgres(folder, settings.free_port())
    server.start()
    try:
        assert server.is_ready()
        assert (folder / f".s.PGSQL.{server.port}").is_socket()
    finally:
        server.stop()
