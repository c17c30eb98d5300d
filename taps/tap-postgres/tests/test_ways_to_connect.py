"""A pooler in transaction mode, TLS and a Unix socket: the same rows whatever is in between."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from sandbox.process import wait_until
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


def sessions(source: Source) -> int:
    """How many sessions of its database have ended; a session that goes on is waited for."""
    others = replace(source.connection, database="postgres")
    with others.connect() as connection:

        def one(query: str) -> int:
            found = connection.execute(query.encode(), (source.connection.database,)).fetchone()
            return int(found[0]) if found else 0

        running = "SELECT count(*) FROM pg_stat_activity WHERE datname = %s"
        assert wait_until(lambda: one(running) == 0, lambda: True)
        return one("SELECT sessions FROM pg_stat_database WHERE datname = %s")


def test_many_tables_share_a_few_connections(source: Source, lane: str) -> None:
    """Not one for each: a login costs as much as a small table."""
    tables = [f"t{number}" for number in range(30)]
    source.execute(*(f"CREATE TABLE {t} AS SELECT 1 AS id, now() AS at" for t in tables))
    entries = {
        table: {
            "import_db": "HARBOUR",
            "export_schema": "TAP_POSTGRES",
            "export_table": table,
            "export_table_primary_key": "id",
            "import_query": f"SELECT id, at FROM {table} WHERE at >= '{{BEGIN_TIMESTAMP}}'",
        }
        for table in tables
    }
    path = source.folder / "manifest.yml"
    path.write_text(yaml.safe_dump({"tables": entries}))
    settings: dict[str, Any] = {"manifests": [str(path)], "max_parallel": 3}
    state = None
    for _ in ("full sync", "increment"):
        before = sessions(source)

        done, result = source.run(lane, state=state, **settings)

        assert done.returncode == 0
        assert all(source.rows(lane, result, f"harbour_{table}") for table in tables)
        # For each connection the driver makes another one, to learn the server's types.
        assert 2 <= sessions(source) - before <= 2 * settings["max_parallel"]
        state = result.state
