"""The pooler: what pgbouncer in transaction mode gives clients, and what it takes from them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING

import psycopg
import pyarrow as pa
import pytest
from adbc_driver_manager import Error, OperationalError
from adbc_driver_postgresql import dbapi as adbc
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sandbox.pooler import Pooler
from sandbox.process import wait_until
from sandbox.testing import sleepers
from sandbox.wire import Framer, message

if TYPE_CHECKING:
    from sandbox.postgres import Connection

SERVER_PROCESS = "SELECT pg_backend_pid()"


def servers(connection: psycopg.Connection, count: int) -> list[int]:
    """The server process of so many statements."""
    runs = (connection.execute(SERVER_PROCESS, prepare=False) for _ in range(count))
    return [row[0] for run in runs for row in run]


def test_each_transaction_is_on_another_server(pooler: Pooler) -> None:
    with pooler.connection.connect() as connection:
        outside = servers(connection, 6)
        with connection.transaction():
            inside = servers(connection, 3)
        after = servers(connection, 1)

    assert all(one != next_ for one, next_ in pairwise(outside))
    assert len(set(inside)) == 1
    assert outside[-1] != inside[0] != after[0]


def test_a_failed_transaction_keeps_its_server_until_it_is_rolled_back(pooler: Pooler) -> None:
    with pooler.connection.connect() as connection:
        connection.execute("BEGIN")
        process = servers(connection, 1)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(psycopg.errors.InFailedSqlTransaction):
            servers(connection, 1)
        connection.execute("ROLLBACK")

        assert servers(connection, 1) != process
        assert connection.execute("SELECT 1").fetchall() == [(1,)]


def test_a_session_keeps_nothing(pooler: Pooler) -> None:
    """Settings and temporary tables stay on the server that the transaction was on."""
    with pooler.connection.connect() as connection:
        connection.execute("SET statement_timeout = '77s'")
        assert connection.execute("SHOW statement_timeout").fetchall() == [("0",)]

        connection.execute("CREATE TEMPORARY TABLE mine (n int)")  # where the first one was
        with pytest.raises(psycopg.errors.UndefinedTable):
            connection.execute("SELECT * FROM mine")


def test_tracked_parameters_are_kept(pooler: Pooler) -> None:
    """As pgbouncer does for those the server reports, whether set at the start or later."""
    uri = f"{pooler.connection.uri}?application_name=trial&client_encoding=LATIN1"
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        names = ["application_name", "client_encoding", "TimeZone"]
        seen = [connection.execute(f"SHOW {name}").fetchall() for name in names * 2]
    with pooler.connection.connect() as other:
        zones = [other.execute("SHOW TimeZone").fetchall() for _ in range(2)]

    assert seen == [[("trial",)], [("LATIN1",)], [("Asia/Tokyo",)]] * 2
    assert zones == [[("UTC",)]] * 2


def test_a_prepared_statement_is_gone_with_its_transaction(pooler: Pooler) -> None:
    with pooler.connection.connect() as connection:
        with connection.transaction():
            for number in range(2):
                row = connection.execute("SELECT %s::int", [number], prepare=True).fetchone()
                assert row == (number,)
        with pytest.raises(psycopg.errors.InvalidSqlStatementName):
            connection.execute("SELECT %s::int", [3], prepare=True)


@pytest.mark.parametrize(
    ("parameters", "named"),
    [("options=-c%20extra_float_digits%3D1", "options"), ("replication=database", "replication")],
)
def test_startup_parameters_are_refused(pooler: Pooler, parameters: str, named: str) -> None:
    uri = f"{pooler.connection.uri}?{parameters}"

    with pytest.raises(psycopg.OperationalError, match=f"unsupported startup parameter: {named}"):
        psycopg.connect(uri)
    with pytest.raises(OperationalError, match=f"unsupported startup parameter: {named}"):
        adbc.connect(uri)


def test_startup_parameters_are_ignored_where_it_is_told_so(postgres_database: Connection) -> None:
    with Pooler(postgres_database, ignore_startup_parameters=["options"]) as pooler:
        uri = f"{pooler.connection.uri}?options=-c%20statement_timeout%3D5s"
        with psycopg.connect(uri, autocommit=True) as connection:
            assert connection.execute("SHOW statement_timeout").fetchall() == [("0",)]


def test_strangers_are_refused(pooler: Pooler) -> None:
    for wrong, text in [
        ({"password": "guess"}, "password authentication failed"),
        ({"user": "stranger"}, "password authentication failed"),
        ({"database": "elsewhere"}, "no such database: elsewhere"),
    ]:
        with pytest.raises(psycopg.OperationalError, match=text):
            replace(pooler.connection, **wrong).connect()


def test_a_database_that_is_not_there_is_said(postgres_database: Connection) -> None:
    with (
        Pooler(replace(postgres_database, database="missing")) as pooler,
        pytest.raises(psycopg.OperationalError, match='database "missing" does not exist'),
    ):
        pooler.connection.connect()


def test_copy_goes_both_ways(pooler: Pooler) -> None:
    rows = [(number, "x" * (number % 500)) for number in range(5000)]
    with pooler.connection.connect() as connection, connection.cursor() as cursor:
        cursor.execute("CREATE TABLE t (n int, s text)")
        with cursor.copy("COPY t FROM STDIN") as copy:
            for row in rows:
                copy.write_row(row)
        with cursor.copy("COPY t TO STDOUT (FORMAT binary)") as copy:
            copy.set_types(["int4", "text"])
            assert sorted(copy.rows()) == rows
        with (
            pytest.raises(psycopg.errors.InvalidTextRepresentation),
            cursor.copy("COPY t FROM STDIN") as copy,
        ):
            copy.write("not a row\n")
        assert len(set(servers(connection, 3))) > 1


def test_adbc_reads_and_writes(pooler: Pooler) -> None:
    table = pa.table({"n": list(range(20_000)), "s": ["é" * (n % 90) for n in range(20_000)]})
    with adbc.connect(pooler.connection.uri) as connection, connection.cursor() as cursor:
        cursor.adbc_ingest("t", table, mode="create")
        connection.commit()
        cursor.execute("SELECT * FROM t ORDER BY n")
        assert cursor.fetch_arrow_table() == table
        connection.rollback()
        with pytest.raises(Error, match="division by zero"):
            cursor.execute("SELECT 1 / (n - 19999) FROM t ORDER BY n").fetchall()
        connection.rollback()
        processes = set()
        for _ in range(2):
            cursor.execute("SELECT pg_backend_pid() AS pid")
            processes.add(cursor.fetchall()[0])
            connection.rollback()

    assert len(processes) == 2


def test_a_statement_can_be_cancelled(pooler: Pooler, postgres_database: Connection) -> None:
    """By the pooler's key, which reaches the server that the statement runs on."""
    with (
        ThreadPoolExecutor() as threads,
        adbc.connect(pooler.connection.uri) as connection,
        connection.cursor() as cursor,
    ):
        sleep = threads.submit(lambda: cursor.execute("SELECT pg_sleep(60)::text").fetchall())
        assert wait_until(lambda: sleepers(postgres_database) == 1, lambda: True)

        cursor.adbc_cancel()
        with pytest.raises(OperationalError, match="canceling statement due to user request"):
            sleep.result()
        connection.rollback()
        assert cursor.execute("SELECT 1").fetchall() == [(1,)]


def test_a_client_that_leaves_in_a_transaction_leaves_nothing_behind(pooler: Pooler) -> None:
    with pooler.connection.connect() as connection:
        connection.execute("CREATE TABLE t (n int)")
        leaver = pooler.connection.connect()
        leaver.execute("BEGIN")
        leaver.execute("INSERT INTO t VALUES (1)")
        leaver.close()

        connection.execute("LOCK TABLE t; DROP TABLE t")
        assert len(set(servers(connection, 4))) > 1


def test_many_clients_share_few_servers(postgres_database: Connection) -> None:
    seen: list[list[int]] = []

    def work() -> None:
        with pooler.connection.connect() as connection:
            seen.append(servers(connection, 20))

    with Pooler(postgres_database, pool_size=3) as pooler:
        threads = [threading.Thread(target=work) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert len(seen) == 8
    assert len({process for processes in seen for process in processes}) <= 3
    for processes in seen:
        assert all(one != next_ for one, next_ in pairwise(processes))


def test_stopping_cuts_its_clients_off(postgres_database: Connection) -> None:
    with Pooler(postgres_database) as pooler:
        idle, busy = pooler.connection.connect(), pooler.connection.connect()
        busy.execute("BEGIN")

    for connection in (idle, busy):
        with pytest.raises(psycopg.OperationalError):
            connection.execute("SELECT 1")


@given(
    sent=st.lists(st.tuples(st.sampled_from(b"QPBDdZ"), st.binary(max_size=40)), max_size=8),
    cuts=st.lists(st.integers(1, 30), min_size=1),
)
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_messages_are_cut_right_however_they_arrive(
    sent: list[tuple[int, bytes]], cuts: list[int]
) -> None:
    messages = [message(bytes([kind]), body) for kind, body in sent]
    stream = b"".join(messages)
    framer = Framer()

    received = []
    while stream:
        cuts.append(cuts.pop(0))
        piece, stream = stream[: cuts[-1]], stream[cuts[-1] :]
        received += framer.feed(piece)

    assert received == messages
