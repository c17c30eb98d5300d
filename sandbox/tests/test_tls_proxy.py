"""TLS in front of PostgreSQL, seen by libpq's five modes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.parse import urlencode

import psycopg
import pytest
from adbc_driver_manager import OperationalError
from adbc_driver_postgresql import dbapi as adbc

from sandbox.certificates import Authority
from sandbox.process import wait_until
from sandbox.settings import HOST
from sandbox.testing import sleepers

if TYPE_CHECKING:
    from pathlib import Path

    from sandbox.postgres import Connection
    from sandbox.tls_proxy import TlsProxy


def answer(connection: Connection, **options: str) -> int:
    """Log in through ADBC with libpq's options and ask the server for 42."""
    with (
        adbc.connect(f"{connection.uri}?{urlencode(options)}") as open_connection,
        open_connection.cursor() as cursor,
    ):
        cursor.execute("SELECT 42")
        return int(cursor.fetchall()[0][0])


@pytest.mark.parametrize("sslmode", ["disable", "allow", "prefer", "require"])
def test_modes_that_verify_nothing_are_let_in(tls_proxy: TlsProxy, sslmode: str) -> None:
    assert answer(tls_proxy.connection, sslmode=sslmode) == 42


@pytest.mark.parametrize("sslmode", ["verify-ca", "verify-full"])
def test_the_right_authority_is_accepted(tls_proxy: TlsProxy, sslmode: str) -> None:
    options = {"sslmode": sslmode, "sslrootcert": str(tls_proxy.ca_path)}

    assert answer(tls_proxy.connection, **options) == 42


@pytest.mark.parametrize("sslmode", ["require", "verify-ca", "verify-full"])
def test_another_authority_is_refused(tls_proxy: TlsProxy, tmp_path: Path, sslmode: str) -> None:
    """By `require` too: with a root certificate, libpq takes it for verify-ca."""
    other = Authority(tmp_path / "other").path

    with pytest.raises(OperationalError, match="certificate verify failed"):
        answer(tls_proxy.connection, sslmode=sslmode, sslrootcert=str(other))


def test_only_verify_full_minds_the_host_name(tls_proxy: TlsProxy) -> None:
    by_address = replace(tls_proxy.connection, host=HOST)
    ca_path = str(tls_proxy.ca_path)

    assert answer(by_address, sslmode="verify-ca", sslrootcert=ca_path) == 42
    with pytest.raises(OperationalError, match="does not match host name"):
        answer(by_address, sslmode="verify-full", sslrootcert=ca_path)


def test_a_proxy_that_requires_tls_refuses_plain_clients(tls_proxy: TlsProxy) -> None:
    tls_proxy.required = True

    with pytest.raises(OperationalError, match=r"no pg_hba.conf entry for host .* no encryption"):
        answer(tls_proxy.connection, sslmode="disable")
    assert answer(tls_proxy.connection, sslmode="allow") == 42  # plain first, then with TLS


def test_a_server_without_tls_is_refused_by_require(postgres_database: Connection) -> None:
    """Why there is a proxy."""
    with pytest.raises(OperationalError, match="server does not support SSL"):
        answer(postgres_database, sslmode="require")


def test_much_goes_through(tls_proxy: TlsProxy) -> None:
    tls_proxy.required = True
    uri = f"{tls_proxy.connection.uri}?sslmode=require"
    with psycopg.connect(uri, autocommit=True) as connection:
        rows = connection.execute("SELECT repeat('x', 1000) FROM generate_series(1, 20000)")
        assert sum(len(row[0]) for row in rows) == 20_000_000
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE t (s text)")
            with cursor.copy("COPY t FROM STDIN") as copy:
                for _ in range(2000):
                    copy.write("y" * 5000 + "\n")
            cursor.execute("SELECT sum(length(s)) FROM t")
            assert cursor.fetchall() == [(10_000_000,)]


def test_a_statement_can_be_cancelled(tls_proxy: TlsProxy, postgres_database: Connection) -> None:
    """By libpq's old call, which ADBC makes: its request is never encrypted."""
    tls_proxy.required = True
    with (
        ThreadPoolExecutor() as threads,
        adbc.connect(f"{tls_proxy.connection.uri}?sslmode=require") as connection,
        connection.cursor() as cursor,
    ):
        sleep = threads.submit(lambda: cursor.execute("SELECT pg_sleep(60)::text").fetchall())
        assert wait_until(lambda: sleepers(postgres_database) == 1, lambda: True)

        cursor.adbc_cancel()
        with pytest.raises(OperationalError, match="canceling statement due to user request"):
            sleep.result()
