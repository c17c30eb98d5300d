"""The way in by the vendor's JDBC driver: JayDeBeApi connects, Java's own interface is used.

JayDeBeApi's cursor would turn NUMERIC into floats and has no time-out (fact sheet, section 4), so
statements and results are taken from the connection below it, and values as Java writes them.

Every statement runs in a thread of its own (`backend.read_ahead`), which may hang for ever. What it
works with is in its `_Session`, so that a late answer does not disturb the statements behind it.
"""

from __future__ import annotations

import logging
import threading
import warnings
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tap_xactly.backend import Columns, LoginRefusedError, ResultLostError, as_columns
from tap_xactly.jdbc_errors import NETWORK, PASSING, may_pass
from tap_xactly.jdbc_values import kind_of, row_reader
from tapsupport.errors import TapError
from tapsupport.http import MESSAGE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterator, Mapping

    from tap_xactly.statement import Select

logger = logging.getLogger(__name__)

GATEWAY = "jdbc:xactly://api.xactlycorp.com:443/api"
# The JVM would take SIGTERM for itself without the first, and shift times of day without the other.
JVM_OPTIONS = ("-Xrs", "-Duser.timezone=UTC")
GOODBYE_SECONDS = 10.0  # for a driver to cancel a statement and close its connection


@dataclass
class _Session:
    """A connection and the statement that runs on it; left when a call does not come back."""

    connection: Any = None
    running: Any = None
    is_left: bool = False


class Jdbc:
    """Runs SELECTs through a JDBC driver.

    Raises:
        TapError: a setting is missing, or the driver's archive, or JayDeBeApi.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        needed = ("username", "password", "jdbc_driver_path")
        if missing := [name for name in needed if not config.get(name)]:
            raise TapError(f"The JDBC back end needs the setting {', '.join(missing)}. Set it.")
        self._jar = Path(config["jdbc_driver_path"])
        if not self._jar.is_file():
            raise TapError(
                f"jdbc_driver_path is {self._jar}, where there is no file. Put the driver's "
                "archive there, or use the back end https."
            )
        self._config = config
        self._url = config.get("jdbc_url") or _gateway_url(config)
        self._size = config["result_rows"]
        self._seconds = config["statement_timeout_seconds"]
        self._jaydebeapi = _imported("jaydebeapi")
        self._jpype = _imported("jpype")
        self._session = _Session()
        self._start_java()

    def select(self, statement: Select) -> Generator[Columns, None, None]:
        """See `Backend`."""
        with self._in_thread():
            yield from self._select(statement, self._session)

    def discover(self, table: str) -> dict[str, str]:
        """See `Backend`; by the driver's metadata."""
        with self._in_thread():
            try:
                return self._columns(table, self._open(self._session).getMetaData())
            except self._jpype.JException as error:
                raise self._judged(f"Looking up the columns of {table}", error) from None

    def give_up(self) -> None:
        """Cancel what runs, and connect anew for the next statement."""
        left, self._session = self._session, _Session()
        left.is_left = True
        # The driver may hang here as well.
        farewell = threading.Thread(target=self._end, args=(left,), name="farewell", daemon=True)
        farewell.start()
        farewell.join(GOODBYE_SECONDS)

    def close(self) -> None:
        """End the session, and what runs in it."""
        self.give_up()

    def _columns(self, table: str, metadata: Any) -> dict[str, str]:  # noqa: ANN401 - Java's
        schema = self._config["default_schema"]
        columns: dict[str, str] = {}
        for cased in (str.upper, str.lower):  # the driver's way to write names is not known
            found = metadata.getColumns(None, cased(schema), cased(table), "%")
            while found.next():
                if str(found.getString("TABLE_NAME")) == cased(table):  # _ stands for any letter
                    name = str(found.getString("COLUMN_NAME")).upper()
                    columns[name] = kind_of(name, int(found.getInt("DATA_TYPE")))
            if columns:
                break
        return columns

    def _end(self, session: _Session) -> None:
        with self._in_thread():
            if session.running is not None:
                with suppress(self._jpype.JException):
                    session.running.cancel()
            try:
                if session.connection is not None:
                    session.connection.close()
            except self._jpype.JException as error:
                logger.info("The session was not ended and will expire: %s", self._said(error))

    def _select(self, statement: Select, session: _Session) -> Generator[Columns, None, None]:
        try:
            session.running = running = self._open(session).createStatement()
            running.setQueryTimeout(self._seconds)
            running.setFetchSize(self._size)
            results = running.executeQuery(statement.text)
            read = row_reader(results, statement)
            while rows := self._rows(results, read):
                yield as_columns(rows, statement)
        except self._jpype.JException as error:
            raise self._judged(f"Reading {statement.label}", error) from None
        finally:
            running, session.running = session.running, None
            if running is not None:
                with suppress(self._jpype.JException):
                    running.close()

    def _rows(self, results: Any, read: Callable[[], list[object]]) -> list[list[object]]:  # noqa: ANN401 - Java's
        rows: list[list[object]] = []
        while len(rows) < self._size and results.next():
            rows.append(read())
        return rows

    def _open(self, session: _Session) -> Any:  # noqa: ANN401 - a java.sql.Connection
        if session.connection is None:
            session.connection = self._connect()
            if session.is_left:
                session.connection.close()
                raise ResultLostError("Connecting through JDBC came too late.")
        return session.connection.jconn

    def _start_java(self) -> None:
        """Start it in the main thread, which never hangs in it."""
        if self._jpype.isJVMStarted():
            return
        try:
            self._jpype.startJVM(*JVM_OPTIONS, classpath=[str(self._jar)], convertStrings=True)
        except (ValueError, TypeError, OSError, RuntimeError) as error:  # what JPype says of Java
            raise self._no_java(error) from None

    @contextmanager
    def _in_thread(self) -> Iterator[None]:
        """Let this thread use Java: it finds the driver, and does not keep the process alive."""
        thread, loader = self._jpype.java.lang.Thread, self._jpype.java.lang.ClassLoader
        thread.attachAsDaemon()
        thread.currentThread().setContextClassLoader(loader.getSystemClassLoader())
        try:
            yield
        finally:
            thread.detach()  # else Java keeps something of every thread that is over

    def _connect(self) -> Any:  # noqa: ANN401 - a jaydebeapi.Connection
        login = {"user": self._config["username"], "password": self._config["password"]}
        driver = self._config["jdbc_driver_class"]
        try:
            with warnings.catch_warnings():  # JayDeBeApi's issue 203
                warnings.simplefilter("ignore", DeprecationWarning)
                return self._jaydebeapi.connect(driver, self._url, login, [str(self._jar)])
        except self._jpype.JException as error:
            # Anything else may be the login that was refused: trying again may lock the user out.
            judged = self._judged("Connecting through JDBC", error, NETWORK)
            if isinstance(judged, ResultLostError):
                raise judged from None
            raise LoginRefusedError(str(judged)) from None
        except TypeError as error:  # JPype has no such class
            raise self._no_java(error) from None

    def _no_java(self, error: Exception) -> LoginRefusedError:
        driver = self._config["jdbc_driver_class"]
        return LoginRefusedError(
            f"Starting Java with the driver {driver} failed: {self._said(error)}. Install a "
            "Java runtime, set JAVA_HOME, and check jdbc_driver_path and jdbc_driver_class."
        )

    def _judged(
        self, doing: str, error: BaseException, passing: tuple[str, ...] = PASSING
    ) -> TapError:
        """Tell what may be better next time, so that the statement is run again, and what not."""
        said = self._said(error)
        if may_pass(error, said, passing):
            return ResultLostError(f"{doing}: the JDBC driver broke off: {said}. Run again.")
        return TapError(
            f"{doing}: the JDBC driver refused it: {said}. See whether this tenant has the table "
            "and its columns and whether this user may read them; check username, password and "
            "jdbc_url."
        )

    def _said(self, error: BaseException) -> str:
        text = " ".join(str(error).split()).replace(self._url, "<jdbc_url>")
        for name in ("password", "client_id", "consumer", "username"):
            if secret := self._config.get(name):
                text = text.replace(str(secret), f"<{name}>")
        return text[:MESSAGE_LENGTH].rstrip(".")


def _imported(name: str) -> Any:  # noqa: ANN401 - a module without types
    try:
        return import_module(name)
    except ImportError as error:
        raise TapError(
            "The JDBC back end needs JayDeBeApi, which is not installed. Install tap-xactly[jdbc], "
            "or use the back end https."
        ) from error


def _gateway_url(config: Mapping[str, Any]) -> str:
    """The gateway's URL with its two credentials (section 4)."""
    if missing := [name for name in ("client_id", "consumer") if not config.get(name)]:
        raise TapError(
            f"The JDBC gateway needs the setting {', '.join(missing)}. Set it, or jdbc_url."
        )
    login = {"clientId": config["client_id"], "consumer": config["consumer"]}
    return f"{GATEWAY}?{urlencode({'sslVerifyServer': 'true', **login})}"
