"""Connections to PostgreSQL, read through ADBC's binary COPY."""

from __future__ import annotations

import json
import threading
from collections import defaultdict
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from adbc_driver_manager import Error
from adbc_driver_postgresql import StatementOptions, dbapi

from tap_postgres import sql
from tap_postgres.errors import ConnectError, connection_error, query_error

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    import pyarrow as pa

BATCH_BYTES = 4 << 20  # larger batches are no faster and take more memory
CONNECT_SECONDS = 30

# One snapshot per transaction, nothing written.
_BEGIN = "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY"
# Values spelled the same on every server. A pooler may give each transaction another server
# session, so every transaction is told anew.
_SETTINGS = {
    "idle_in_transaction_session_timeout": "0",  # a slow loader makes the tap wait in between
    "standard_conforming_strings": "on",
    "TimeZone": "UTC",
    "DateStyle": "ISO, YMD",
    "IntervalStyle": "postgres",
    "bytea_output": "hex",
    "extra_float_digits": "1",
    "lc_monetary": "C",
    "application_name": "tap-postgres",
}


@dataclass(frozen=True)
class Server:
    """Where to connect; `str` and `repr` leave the password out.

    `host` is a name, an address or the directory of a Unix socket. `variables` are the names of the
    environment variables that the values came from, by field; empty when they came from settings.
    """

    host: str
    port: int
    user: str
    password: str
    database: str
    sslmode: str | None = None
    sslrootcert: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_config(cls, config: Mapping[str, Any]) -> Server:
        """The server that the tap's own settings name.

        Raises:
            ConnectError: a setting is missing.
        """
        if missing := [name for name in ("host", "user", "database") if not config.get(name)]:
            raise ConnectError(f"Connecting needs the setting {', '.join(missing)}. Set it.")
        return cls(
            host=config["host"],
            port=config["port"],
            user=config["user"],
            password=config.get("password", ""),
            database=config["database"],
            sslmode=config.get("sslmode"),
            sslrootcert=config.get("sslrootcert"),
        )

    def __repr__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """user@host:port/database, for messages."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    def named(self, *names: str) -> str:
        """How a message calls what some of the values came from."""
        if not self.variables:
            return f"the setting{'s' * (len(names) > 1)} {' and '.join(names)}"
        known = [self.variables[name] for name in names if name in self.variables]
        if known:
            return f"the environment variable{'s' * (len(known) > 1)} {' and '.join(known)}"
        return f"{' and '.join(names)}, which the connections file does not give"

    @property
    def uri(self) -> str:
        """Libpq's connection URI, with the password."""
        options = {
            "sslmode": self.sslmode,
            "sslrootcert": self.sslrootcert,
            "connect_timeout": str(CONNECT_SECONDS),
        }
        query = urlencode({k: v for k, v in options.items() if v}, quote_via=quote)
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        place = f"{quote(self.host, safe='')}:{self.port}/{quote(self.database, safe='')}"
        return f"postgresql://{login}@{place}?{query}"


@dataclass(frozen=True)
class Limits:
    """How long the server lets a statement run and wait for locks; 0 leaves it to the server."""

    statement_seconds: int = 0
    lock_seconds: int = 0

    @property
    def settings(self) -> dict[str, str]:
        limits = {"statement_timeout": self.statement_seconds, "lock_timeout": self.lock_seconds}
        return {name: f"{seconds}s" for name, seconds in limits.items() if seconds}


class Database:
    """A connection that is made when it is first needed and then kept.

    Every query runs in a read-only REPEATABLE READ transaction, which begins with the first one;
    `end_snapshot` ends it. Nothing is expected to outlive a transaction, so that a pooler in
    transaction mode may stand in between.
    """

    def __init__(self, server: Server, limits: Limits) -> None:
        self.server = server
        self._limits = limits
        self._open: dbapi.Connection | None = None
        self._in_snapshot = False
        self._running: list[dbapi.Cursor] = []

    def rows(self, query: str, doing: str) -> list[dict[str, Any]]:
        """Run a query whose result is small.

        Raises:
            TapError: the query failed; `doing` is the sentence's subject.
        """
        with self._cursor(doing) as cursor:
            cursor.execute(query)
            result: list[dict[str, Any]] = cursor.fetch_arrow_table().to_pylist()
            return result

    def plan(self, query: str, doing: str, *, sort: bool = True) -> dict[str, Any]:
        """Return the server's plan for a query, as EXPLAIN (FORMAT JSON) has it.

        Without `sort` it is one that sorts nothing, if there is any.

        Raises:
            TapError: the query is wrong; `doing` is the sentence's subject.
        """
        with self._cursor(doing) as cursor:
            if not sort:
                _run(cursor, "SET LOCAL enable_sort = off")
            cursor.adbc_statement.set_options(**{StatementOptions.USE_COPY.value: "false"})
            cursor.execute(f"EXPLAIN (FORMAT JSON) {query}")
            ((text,),) = cursor.fetchall()
            if not sort:
                _run(cursor, "SET LOCAL enable_sort = on")
            plan: dict[str, Any] = json.loads(text)[0]["Plan"]
            return plan

    def schema(self, query: str, doing: str) -> pa.Schema:
        """Return the columns a query would give, without running it."""
        with self._cursor(doing) as cursor:
            return cursor.adbc_execute_schema(query)

    def batches(self, query: str, doing: str) -> Iterator[pa.RecordBatch]:
        """Stream a query's result in batches of about `BATCH_BYTES`.

        Raises:
            TapError: the query failed, at its start or on the way.
        """
        with self._cursor(doing) as cursor:
            cursor.adbc_statement.set_options(
                **{StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)}
            )
            cursor.execute(query)
            # fetch_record_batch() gives pyarrow's bare reader, whose errors have no SQLSTATE.
            yield from cursor._results.reader  # noqa: SLF001

    def begin(self, snapshot: str | None = None) -> None:
        """Begin a transaction if there is none, on a snapshot of its own or an exported one.

        Raises:
            TapError: no connection could be made, or the snapshot is gone.
        """
        if not self._in_snapshot:
            self._begin(snapshot)

    def export_snapshot(self) -> str:
        """Return the name under which others may join the snapshot while it lasts."""
        (row,) = self.rows("SELECT pg_export_snapshot() AS name", "Exporting the snapshot")
        return str(row["name"])

    def join_snapshot(self, name: str) -> None:
        """Begin a transaction that sees what the one that exported `name` sees."""
        self.end_snapshot()
        self.begin(name)

    def end_snapshot(self) -> None:
        """End the transaction, so that the next query sees what was committed meanwhile."""
        if self._running:  # left in the middle: a rollback would first read all the rest
            self.close()
        elif self._open is not None and self._in_snapshot:
            try:
                self._open.rollback()
            except Error:  # the server ended the session; the next query makes a new one
                self.close()
        self._in_snapshot = False

    def cancel(self) -> None:
        """Cancel the query that runs, from any thread."""
        if self._open is not None:
            self._open.adbc_cancel()

    def close(self) -> None:
        """Close the connection if there is one, whatever it is doing."""
        if self._open is not None:
            if self._running:
                self.cancel()
            for cursor in self._running:
                cursor.close()
            self._running.clear()
            self._open.close()
            self._open = None
            self._in_snapshot = False

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def _cursor(self, doing: str) -> Iterator[Any]:
        self.begin()
        try:
            with self._connection().cursor() as cursor:
                self._running.append(cursor)
                yield cursor
            self._running.remove(cursor)
        except Error as error:
            raise query_error(error, doing, self.server) from error

    def _begin(self, snapshot: str | None) -> None:
        connection = self._connection()
        statements = [_BEGIN]
        if snapshot is not None:
            statements.append(f"SET TRANSACTION SNAPSHOT {sql.literal(snapshot)}")
        for name, value in (_SETTINGS | self._limits.settings).items():
            statements.append(f"SET LOCAL {name} = {sql.literal(value)}")
        try:
            with connection.cursor() as cursor:
                _run(cursor, "; ".join(statements))
        except Error as error:
            self.close()
            raise query_error(error, "Beginning to read", self.server) from error
        self._in_snapshot = True

    def _connection(self) -> dbapi.Connection:
        if self._open is None:
            try:
                self._open = dbapi.connect(self.server.uri)
            except Error as error:
                raise connection_error(error, self.server) from None
        return self._open


def _run(cursor: dbapi.Cursor, statements: str) -> None:
    """Run statements that give no rows."""
    cursor.adbc_statement.set_sql_query(statements)
    cursor.adbc_statement.execute_update()


class Connections:
    """The run's connections, lent to one user at a time; idle ones are lent again."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._changing = threading.Lock()
        self._idle: defaultdict[Server, list[Database]] = defaultdict(list)
        self._lent: list[Database] = []

    @contextmanager
    def lend(self, server: Server) -> Iterator[Database]:
        """Lend a connection; its transaction ends when it comes back."""
        with self._changing:
            idle = self._idle[server]
            database = idle.pop() if idle else Database(server, self._limits)
            self._lent.append(database)
        try:
            yield database
        finally:
            database.end_snapshot()
            with self._changing:
                self._lent.remove(database)
                self._idle[server].append(database)

    def cancel(self) -> None:
        """Cancel whatever runs on any of them, from any thread."""
        with self._changing:
            for database in self._lent:
                database.cancel()
