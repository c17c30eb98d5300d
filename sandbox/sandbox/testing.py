"""Pytest fixtures: a real PostgreSQL and a real warehouse, each once per worker.

Registered by `pytest_plugins = ["sandbox.testing"]` in the root conftest.py.
"""

from __future__ import annotations

import json
import tempfile
import urllib.request
import uuid
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import snowflake.connector
from snowflake.connector import DictCursor

from sandbox import settings
from sandbox.pooler import Pooler
from sandbox.postgres import Connection, Postgres
from sandbox.process import wait_until
from sandbox.replica import ReplicatedDatabase, Standby
from sandbox.tls_proxy import TlsProxy
from sandbox.warehouse_service import WarehouseService

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True)
class Warehouse:
    """One test's own schema in the warehouse.

    Attributes:
        config: Settings for `snowflake.connector.connect` and for the loader: account, user,
            password, host, port, protocol, database, schema. The schema does not exist yet.
        service: The server process behind it.
    """

    config: dict[str, Any]
    service: WarehouseService

    @property
    def schema(self) -> str:
        return str(self.config["schema"])

    def query(self, sql: str) -> list[dict[str, Any]]:
        """Run one statement in a session of its own; rows as dicts by column name."""
        with self.connect() as connection:
            cursor = connection.cursor(DictCursor).execute(sql)
            rows: list[dict[str, Any]] = cursor.fetchall() if cursor else []
            return rows

    def connect(self, **overrides: object) -> snowflake.connector.SnowflakeConnection:
        """A new session, with limits that make failures quick."""
        return snowflake.connector.connect(**settings.QUICK_FAILURE, **self.config | overrides)

    def statements(self) -> list[dict[str, Any]]:
        """The query log's lines of this schema, oldest first: `sql`, `ok`, `user`, `error`..."""
        lines = self.service.query_log.read_text(encoding="utf-8").splitlines()
        parsed = [json.loads(line) for line in lines]
        return [p for p in parsed if p["schema"] == self.schema or self.schema in p["sql"].upper()]

    def wait_until_idle(self) -> None:
        """Wait for what a killed client's session still does, or until it is rolled back.

        Snowflake would let the next one wait for its lock; the stand-in refuses it at once.
        """
        assert wait_until(lambda: self._working() == 0, lambda: True)  # noqa: S101 - for tests

    def _working(self) -> int:
        with urllib.request.urlopen(f"{self.service.url}/sandbox/health") as answer:  # noqa: S310 - ours
            return int(json.load(answer)["working"])

    def fault(self, **request: str | int) -> None:
        """Ask for a fault: `cut_before="COPY"`, `cut_after="COMMIT"`, `fail="MERGE", errno=625`."""
        self._faults("POST", request)

    def clear_faults(self) -> None:
        self._faults("DELETE", None)

    def _faults(self, method: str, body: dict[str, Any] | None) -> None:
        urllib.request.urlopen(  # noqa: S310 - our own server on 127.0.0.1
            urllib.request.Request(  # noqa: S310 - likewise
                f"{self.service.url}/sandbox/faults", json.dumps(body).encode(), method=method
            )
        ).close()


@pytest.fixture
def naps(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Seconds that code in this process wanted to sleep; nobody actually sleeps."""
    naps: list[float] = []
    monkeypatch.setattr("time.sleep", naps.append)
    return naps


def sleepers(connection: Connection) -> int:
    """How many statements of this database are in `pg_sleep` now."""
    with connection.connect() as watcher:
        rows = watcher.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE wait_event = 'PgSleep' AND datname = current_database()"
        ).fetchall()
    return int(rows[0][0])


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A running, empty PostgreSQL on a free port.

    Not under pytest's own folder, to which another run of pytest may close the way.
    """
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        server = Postgres(Path(folder), settings.free_port())
        server.start()
        yield server
        server.stop()


@pytest.fixture
def postgres_database(postgres_server: Postgres) -> Iterator[Connection]:
    """An empty database: host, port, user, password, database, uri, connect()."""
    with postgres_server.fresh_database() as connection:
        yield connection


@pytest.fixture(scope="session")
def replicated_servers() -> Iterator[tuple[Postgres, Standby]]:
    """A primary and its streaming standby, running and empty, apart from `postgres_server`."""
    with tempfile.TemporaryDirectory(prefix="postgres-") as folder:
        primary = Postgres(Path(folder) / "primary", settings.free_port())
        primary.start()
        standby = Standby(Path(folder) / "standby", settings.free_port(), primary)
        standby.start()
        yield primary, standby
        standby.stop()
        primary.stop()


@pytest.fixture
def postgres_replica(
    replicated_servers: tuple[Postgres, Standby],
) -> Iterator[ReplicatedDatabase]:
    """An empty database with a read replica: primary, replica, pause, resume, wait, configure."""
    primary, standby = replicated_servers
    with primary.fresh_database() as connection:
        database = ReplicatedDatabase(connection, standby.connection(connection.database))
        database.wait()
        yield database
        database.reset()


@pytest.fixture
def pooler(postgres_database: Connection) -> Iterator[Pooler]:
    """`postgres_database` behind a pooler in transaction mode: see `sandbox.pooler`."""
    with Pooler(postgres_database) as running:
        yield running


@pytest.fixture
def tls_proxy(postgres_database: Connection, tmp_path: Path) -> Iterator[TlsProxy]:
    """`postgres_database` behind TLS: connection, host, port, ca_path, required."""
    with TlsProxy(postgres_database, tmp_path / "certificates") as running:
        yield running


@pytest.fixture(scope="session")
def warehouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WarehouseService]:
    """A running warehouse in a process of its own, on a free port."""
    folder = tmp_path_factory.mktemp("warehouse")
    service = WarehouseService(
        replace(settings.load(), folder=folder, warehouse_port=settings.free_port())
    )
    service.start()
    yield service
    service.stop()


@pytest.fixture
def warehouse(warehouse_server: WarehouseService) -> Iterator[Warehouse]:
    """A schema of its own in the warehouse; dropped, and its faults cleared, afterwards."""
    schema = f"TEST_{uuid.uuid4().hex[:12].upper()}"
    mine = Warehouse({**warehouse_server.config, "schema": schema}, warehouse_server)
    yield mine
    mine.clear_faults()
    mine.query(f"DROP SCHEMA IF EXISTS {settings.WAREHOUSE_DATABASE}.{schema}")
