"""One connection to PostgreSQL for a whole run, read through ADBC's binary COPY."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlencode

from adbc_driver_manager import Error
from adbc_driver_postgresql import StatementOptions, dbapi

from tap_postgres.errors import connection_error, query_error

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

BATCH_BYTES = 4 << 20  # larger batches are no faster and take more memory
CONNECT_SECONDS = 30

# One snapshot per transaction, nothing written, values spelled the same on every server.
_SESSION = {
    "default_transaction_isolation": "repeatable read",
    "default_transaction_read_only": "on",
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
    """Where to connect; `str` and `repr` leave the password out."""

    host: str
    port: int
    user: str
    password: str
    database: str
    sslmode: str | None = None
    sslrootcert: str | None = None

    def __repr__(self) -> str:
        return self.label

    @property
    def label(self) -> str:
        """user@host:port/database, for messages."""
        return f"{self.user}@{self.host}:{self.port}/{self.database}"

    @property
    def uri(self) -> str:
        """Libpq's connection URI, with the password."""
        options = {"sslmode": self.sslmode, "sslrootcert": self.sslrootcert}
        options = {name: value for name, value in options.items() if value}
        query = urlencode({**options, "connect_timeout": CONNECT_SECONDS}, quote_via=quote)
        login = f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"
        place = f"{quote(self.host, safe='')}:{self.port}/{quote(self.database, safe='')}"
        return f"postgresql://{login}@{place}?{query}"


class Database:
    """A connection that is made when it is first needed and then kept.

    Every query runs in a read-only REPEATABLE READ transaction; `end_snapshot` ends it, and the
    next query begins a new one.
    """

    def __init__(self, server: Server, statement_timeout_seconds: int = 0) -> None:
        self.server = server
        self._timeout_seconds = statement_timeout_seconds
        self._open: dbapi.Connection | None = None
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

    def end_snapshot(self) -> None:
        """End the transaction, so that the next query sees what was committed meanwhile."""
        if self._running:  # left in the middle: a rollback would first read all the rest
            self.close()
        elif self._open is not None:
            self._open.rollback()

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

    def __del__(self) -> None:
        self.close()

    @contextmanager
    def _cursor(self, doing: str) -> Iterator[Any]:
        connection = self._connection()
        try:
            with connection.cursor() as cursor:
                self._running.append(cursor)
                yield cursor
            self._running.remove(cursor)
        except Error as error:
            raise query_error(error, doing, self.server) from error

    def _connection(self) -> dbapi.Connection:
        if self._open is None:
            try:
                self._open = dbapi.connect(self.server.uri)
            except Error as error:
                raise connection_error(error, self.server) from None
            self._prepare()
        return self._open

    def _prepare(self) -> None:
        settings = dict(_SESSION)
        if self._timeout_seconds:
            settings["statement_timeout"] = f"{self._timeout_seconds}s"
        calls = [f"set_config('{name}', '{value}', false)" for name, value in settings.items()]
        self.rows(f"SELECT {', '.join(calls)}", "Setting up the session")
        self._open.commit()  # type: ignore[union-attr]  # a rollback would undo the settings
