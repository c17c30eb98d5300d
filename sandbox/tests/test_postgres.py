"""PostgreSQL and its seeded databases."""

from __future__ import annotations

from typing import TYPE_CHECKING

import psycopg
import pytest

from sandbox import seed, settings

if TYPE_CHECKING:
    from sandbox.postgres import Connection, Postgres

ROWS = 200


def fill(connection: Connection, database: str) -> None:
    with connection.connect() as open_connection:
        seed.seed(open_connection, database, ROWS)


def fingerprints(connection: Connection, database: str) -> dict[str, object]:
    """Of each table, a hash over every value of every row."""
    with connection.connect() as open_connection:
        return {
            table.name: open_connection.execute(
                f"SELECT count(*), md5(string_agg(t::text, '|' ORDER BY t::text))"
                f" FROM {table.name} t"
            ).fetchone()
            for table in seed.tables(database)
        }


@pytest.mark.parametrize("database", settings.POSTGRES_DATABASES)
def test_seeding_and_changing_give_the_same_rows_every_time(
    postgres_server: Postgres, database: str
) -> None:
    states = []
    for _ in range(2):
        with postgres_server.fresh_database() as connection:
            fill(connection, database)
            history = [fingerprints(connection, database)]
            for _ in range(2):
                with connection.connect() as open_connection:
                    seed.change(open_connection, database)
                history.append(fingerprints(connection, database))
            states.append(history)

    assert states[0] == states[1]
    assert len({str(state) for state in states[0]}) == 3


@pytest.mark.parametrize("database", settings.POSTGRES_DATABASES)
def test_a_round_of_changes_is_newer_than_all_before(
    postgres_database: Connection, database: str
) -> None:
    fill(postgres_database, database)
    with postgres_database.connect() as connection:
        newest: dict[str, object] = {}
        for _ in range(2):
            for change in seed.change(connection, database):
                times = f"SELECT max(updated_at) > %s, max(updated_at) FROM {change.table}"
                before = newest.get(change.table, "2024-12-31")
                is_newer, newest[change.table] = connection.execute(times, [before]).fetchall()[0]
                assert is_newer
                assert change.inserted > 0


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
