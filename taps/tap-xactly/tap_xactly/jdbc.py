"""The way in by the vendor's JDBC driver: JayDeBeApi connects, Java's own interface is used.

JayDeBeApi's cursor would turn NUMERIC into floats and has no time-out (fact sheet, section 4), so
statements and results are taken from the connection below it, and values as Java writes them.
"""

from __future__ import annotations

import logging
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tap_xactly.backend import Columns, LoginRefusedError, ResultLostError, as_columns
from tapsupport.errors import TapError
from tapsupport.http import MESSAGE_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tap_xactly.statement import Select

logger = logging.getLogger(__name__)

GATEWAY = "jdbc:xactly://api.xactlycorp.com:443/api"
# The JVM would take SIGTERM for itself without the first, and shift times of day without the other.
JVM_OPTIONS = ("-Xrs", "-Duser.timezone=UTC")
# How a network that failed reads, in a message or in an exception's name, and a session that ended.
NETWORK = ("timed out", "timeout", "connection refused", "connection reset", "unreachable")
PASSING = (*NETWORK, "closed", "connection", "socket", "broken pipe", "ssl")
# java.sql.Types
NUMBERS = {-7, -6, -5, 2, 3, 4, 5, 6, 7, 8}
DATES = {91, 93, 2014}


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
        self._connection: Any = None
        self._running: Any = None

    def select(self, statement: Select) -> Iterator[Columns]:
        """See `Backend`."""
        doing = f"Reading {statement.label}"
        try:
            self._running = running = self._open().createStatement()
            running.setQueryTimeout(self._seconds)
            running.setFetchSize(self._size)
            results = running.executeQuery(statement.text)
            _check_names(results.getMetaData(), statement)
            while rows := self._rows(results, len(statement.columns)):
                yield as_columns(rows, statement)
            running.close()
        except self._jpype.JException as error:
            raise self._judged(doing, error) from None

    def discover(self, table: str) -> dict[str, str]:
        """See `Backend`; by the driver's metadata."""
        schema = self._config["default_schema"]
        try:
            metadata = self._open().getMetaData()
            for cased in (str.upper, str.lower):  # the driver's way to write names is not known
                found = metadata.getColumns(None, cased(schema), cased(table), "%")
                columns = {}
                while found.next():
                    name = str(found.getString("COLUMN_NAME")).upper()
                    columns[name] = _kind(name, int(found.getInt("DATA_TYPE")))
                if columns:
                    return columns
        except self._jpype.JException as error:
            raise self._judged(f"Looking up the columns of {table}", error) from None
        return {}

    def give_up(self) -> None:
        """Cancel what runs, and connect anew for the next statement."""
        running, self._running, self._connection = self._running, None, None
        if running is not None:
            with suppress(self._jpype.JException):
                running.cancel()

    def close(self) -> None:
        """End the session."""
        connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.close()
            except self._jpype.JException as error:
                logger.info("The session was not ended and will expire: %s", self._said(error))

    def _rows(self, results: Any, width: int) -> list[list[object]]:  # noqa: ANN401 - Java's
        rows: list[list[object]] = []
        while len(rows) < self._size and results.next():
            rows.append([_plain(results.getObject(place)) for place in range(1, width + 1)])
        return rows

    def _open(self) -> Any:  # noqa: ANN401 - a java.sql.Connection
        if self._connection is None:
            self._connection = self._connect()
        return self._connection.jconn

    def _connect(self) -> Any:  # noqa: ANN401 - a jaydebeapi.Connection
        login = {"user": self._config["username"], "password": self._config["password"]}
        driver = self._config["jdbc_driver_class"]
        try:
            if not self._jpype.isJVMStarted():
                self._jpype.startJVM(*JVM_OPTIONS, classpath=[str(self._jar)], convertStrings=True)
            return self._jaydebeapi.connect(driver, self._url, login, [str(self._jar)])
        except self._jpype.JException as error:
            # Anything else may be the login that was refused: trying again may lock the user out.
            judged = self._judged("Connecting through JDBC", error, NETWORK)
            if isinstance(judged, ResultLostError):
                raise judged from None
            raise LoginRefusedError(str(judged)) from None
        except (ValueError, TypeError, OSError) as error:  # what JPype says of Java itself
            raise LoginRefusedError(
                f"Starting Java with the driver {driver} failed: {self._said(error)}. Install a "
                "Java runtime, set JAVA_HOME, and check jdbc_driver_path and jdbc_driver_class."
            ) from None

    def _judged(
        self, doing: str, error: BaseException, passing: tuple[str, ...] = PASSING
    ) -> TapError:
        """Tell a session that ended, after which the statement may be run again, from the rest."""
        said = self._said(error)
        if any(word in f"{type(error).__name__} {said}".lower() for word in passing):
            self._connection = None
            return ResultLostError(f"{doing}: the JDBC connection ended: {said}. Run again.")
        return TapError(
            f"{doing}: the JDBC driver refused it: {said}. See whether this tenant has the table "
            "and its columns and whether this user may read them; check username and password."
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


def _check_names(metadata: Any, statement: Select) -> None:  # noqa: ANN401 - Java's
    count = int(metadata.getColumnCount())
    names = [str(metadata.getColumnLabel(place)).upper() for place in range(1, count + 1)]
    if names != list(statement.columns):
        raise TapError(
            f"Reading {statement.label}: the result has {count} columns with other names than the "
            f"{len(statement.columns)} asked for. Report it as a fault of this tap."
        )


def _plain(value: Any) -> object:  # noqa: ANN401 - whatever the driver gives
    """A value without Java: numbers and text stay, anything else is what Java writes for it."""
    if value is None or isinstance(value, bool):
        return value
    return int(value) if isinstance(value, int) else str(value)


def _kind(name: str, type_code: int) -> str:
    if type_code in DATES:
        return "date-time"
    if type_code not in NUMBERS:
        return "text"
    return "integer" if name.endswith("_ID") else "number"
