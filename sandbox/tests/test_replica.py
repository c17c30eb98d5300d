"""The read replica: it lags, it stands still and it cancels what is in its way."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
from psycopg.pq import TransactionStatus

from sandbox.process import wait_until
from sandbox.settings import SandboxError
from sandbox.testing import sleepers

if TYPE_CHECKING:
    import datetime as dt

    from sandbox.postgres import Connection
    from sandbox.replica import ReplicatedDatabase


def one(connection: Connection, query: str) -> Any:
    with connection.connect() as open_connection:
        row = open_connection.execute(query.encode()).fetchone()
        return row and row[0]


def execute(connection: Connection, *statements: str) -> None:
    with connection.connect() as open_connection:
        for statement in statements:
            open_connection.execute(statement.encode())


def replayed_until(database: ReplicatedDatabase) -> dt.datetime:
    moment: dt.datetime = one(database.replica, "SELECT pg_last_xact_replay_timestamp()")
    return moment


@pytest.fixture(autouse=True)
def _numbers(postgres_replica: ReplicatedDatabase) -> None:
    execute(
        postgres_replica.primary, "CREATE TABLE numbers AS SELECT generate_series(1, 1000) AS n"
    )


def test_the_replica_follows_and_takes_no_writes(postgres_replica: ReplicatedDatabase) -> None:
    postgres_replica.wait()

    assert one(postgres_replica.replica, "SELECT sum(n) FROM numbers") == 500_500
    assert one(postgres_replica.replica, "SELECT pg_is_in_recovery()") is True
    assert one(postgres_replica.primary, "SELECT pg_is_in_recovery()") is False
    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        execute(postgres_replica.replica, "DELETE FROM numbers")


def test_a_paused_replica_lags_until_it_is_resumed(postgres_replica: ReplicatedDatabase) -> None:
    postgres_replica.wait()
    postgres_replica.pause()
    before = replayed_until(postgres_replica)
    execute(postgres_replica.primary, "INSERT INTO numbers VALUES (0)")
    written: dt.datetime = one(postgres_replica.primary, "SELECT clock_timestamp()")

    with pytest.raises(SandboxError, match="paused"):
        postgres_replica.wait(seconds=0.2)
    assert one(postgres_replica.replica, "SELECT count(*) FROM numbers") == 1000
    assert replayed_until(postgres_replica) == before < written

    postgres_replica.resume()
    postgres_replica.wait()
    assert one(postgres_replica.replica, "SELECT count(*) FROM numbers") == 1001
    assert replayed_until(postgres_replica) > before


def test_a_query_is_cancelled_when_its_rows_are_vacuumed_away(
    postgres_replica: ReplicatedDatabase,
) -> None:
    postgres_replica.configure(max_standby_streaming_delay=0)
    postgres_replica.wait()
    with closing(postgres_replica.replica.connect()) as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM numbers")
        reader.pgconn.send_query(b"SELECT pg_sleep(60)")  # so that it is in a statement
        assert wait_until(lambda: sleepers(postgres_replica.replica) == 1, lambda: True)

        execute(postgres_replica.primary, "DELETE FROM numbers", "VACUUM numbers")
        result = reader.pgconn.get_result()

    assert result
    assert b"canceling statement due to conflict with recovery" in result.error_message
    assert result.error_field(psycopg.pq.DiagnosticField.SQLSTATE) == b"40001"
    postgres_replica.wait()
    assert one(postgres_replica.replica, "SELECT count(*) FROM numbers") == 0


def test_a_query_is_left_alone_when_the_replica_may_wait(
    postgres_replica: ReplicatedDatabase,
) -> None:
    """The delay is what cancels it, not the replica as such."""
    postgres_replica.configure(max_standby_streaming_delay="-1")
    postgres_replica.wait()
    with postgres_replica.replica.connect() as reader:
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        reader.execute("SELECT count(*) FROM numbers")

        execute(postgres_replica.primary, "DELETE FROM numbers", "VACUUM numbers")
        with pytest.raises(SandboxError, match="paused"):
            postgres_replica.wait(seconds=0.2)

        assert reader.execute("SELECT count(*) FROM numbers").fetchall() == [(1000,)]
        assert reader.info.transaction_status == TransactionStatus.INTRANS
    postgres_replica.wait()


def test_settings_last_until_the_next_test(postgres_replica: ReplicatedDatabase) -> None:
    postgres_replica.configure(max_standby_streaming_delay="7s", statement_timeout="2min")
    assert one(postgres_replica.replica, "SHOW max_standby_streaming_delay") == "7s"
    assert one(postgres_replica.replica, "SHOW statement_timeout") == "2min"
    postgres_replica.pause()

    postgres_replica.reset()

    assert one(postgres_replica.replica, "SHOW max_standby_streaming_delay") == "30s"
    assert one(postgres_replica.replica, "SHOW statement_timeout") == "0"
    postgres_replica.wait()
