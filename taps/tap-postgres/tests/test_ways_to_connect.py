"""A pooler in transaction mode, TLS and a Unix socket: the same rows whatever is in between."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from conftest import Source
    from sandbox.pooler import Pooler
    from sandbox.postgres import Postgres
    from sandbox.tls_proxy import TlsProxy

STREAM = "public-boats"
IDS = list(range(1, 2001))


@pytest.fixture
def boats(source: Source) -> Source:
    source.execute(
        "CREATE TABLE boats (id int PRIMARY KEY, name text)",
        "INSERT INTO boats SELECT i, 'boat ' || i FROM generate_series(1, 2000) i",
        "ANALYZE boats",
    )
    return source


def ids(source: Source, lane: str, **settings: Any) -> list[int]:
    result = source.sync(lane, **settings)
    return sorted(row["id"] for row in source.rows(lane, result, STREAM))


def test_a_pooler_in_transaction_mode(boats: Source, pooler: Pooler, lane: str) -> None:
    """Ranges side by side share a snapshot, though no session is the same for two transactions."""
    behind = replace(boats, connection=pooler.connection)

    assert ids(behind, lane, range_rows=150, max_parallel=3) == IDS
    assert ids(behind, lane, range_rows=150, statement_timeout_seconds=30) == IDS


@pytest.mark.parametrize("sslmode", ["disable", "prefer", "require", "verify-ca", "verify-full"])
def test_tls(boats: Source, tls_proxy: TlsProxy, lane: str, sslmode: str) -> None:
    behind = replace(boats, connection=tls_proxy.connection)
    settings = {"sslmode": sslmode}
    if sslmode.startswith("verify"):
        settings["sslrootcert"] = str(tls_proxy.ca_path)

    assert ids(behind, lane, range_rows=700, **settings) == IDS


def test_a_server_that_wants_tls_and_one_that_has_none(boats: Source, tls_proxy: TlsProxy) -> None:
    tls_proxy.required = True
    behind = replace(boats, connection=tls_proxy.connection)

    with pytest.raises(TapError, match="no encryption"):
        ids(behind, "records", sslmode="disable")
    with pytest.raises(TapError, match="does not support SSL"):
        ids(boats, "records", sslmode="require")
    with pytest.raises(TapError, match="certificate"):
        ids(behind, "records", sslmode="verify-full", sslrootcert=__file__)


def test_a_unix_socket(boats: Source, postgres_server: Postgres, lane: str) -> None:
    """As a Cloud SQL proxy gives one: `host` is its directory."""
    socket = replace(boats.connection, host=str(postgres_server.socket_directory))

    assert ids(replace(boats, connection=socket), lane, range_rows=700) == IDS
