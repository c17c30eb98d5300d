"""The modules jaydebeapi and jpype, played over the stand-in's data, as with the vendor's driver.

That driver is not to be had, and another real one cannot show what is said of it (fact sheet,
sections 4 and 10): its URL, names in upper case, dates as java.time objects, numbers as BigDecimal,
ids as floating point, calls that hang. Only what an extractor calls exists, with Java's own names.
"""

# ruff: noqa: N802 - Java's names

from __future__ import annotations

import datetime as dt
import threading
from decimal import Decimal
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING

from sandbox.vendors.xactly import PASSWORD, USERNAME, Xactly
from sandbox.vendors.xactly_data import ZONED, SqlError

if TYPE_CHECKING:
    from collections.abc import Mapping

DRIVER = "com.xactly.connect.jdbc.Driver"
VARCHAR = 12  # of java.sql.Types


class JException(Exception):  # noqa: N818 - JPype's name
    """What JPype raises for a Java exception."""


class Java:
    """The Java machine.

    Attributes:
        url: Where the tap connected.
        attempts: How many connections were asked for.
        connections: How many connections were made.
        closed: How many were closed.
        hangs: How many calls of next() do not come back until their statement is cancelled.
        time_outs: What was set as the time-out of each statement, in seconds.
        options: What the Java machine was started with.
        break_after: After so many rows the connection is closed by the server, once.
    """

    def __init__(self, vendor: Xactly, jar: str) -> None:
        self.vendor = vendor
        self.jar = jar
        self.url = ""
        self.attempts = self.connections = self.closed = self.hangs = 0
        self.break_after: int | None = None
        self.time_outs: list[int] = []
        self.options: tuple[str, ...] = ()

    @property
    def modules(self) -> Mapping[str, ModuleType]:
        """What takes the place of the real ones in `sys.modules`."""
        jpype, jaydebeapi = ModuleType("jpype"), ModuleType("jaydebeapi")
        lang = SimpleNamespace(Thread=_Thread, ClassLoader=_ClassLoader)
        jpype.__dict__.update(
            JException=JException,
            isJVMStarted=lambda: bool(self.options),
            startJVM=self._start,
            java=SimpleNamespace(lang=lang),
        )
        jaydebeapi.__dict__.update(connect=self._connect)
        return {"jpype": jpype, "jaydebeapi": jaydebeapi}

    def _start(self, *options: str, **_: object) -> None:
        self.options = options

    def _connect(
        self, driver: str, url: str, login: dict[str, str], jars: list[str]
    ) -> _Connection:
        if driver != DRIVER or jars != [self.jar]:
            raise TypeError(f"Class {driver} is not found")
        self.attempts += 1
        if login != {"user": USERNAME, "password": PASSWORD}:
            said = f"no connection to {url}: login of {login['user']} refused"
            raise JException(f"java.sql.SQLException: {said}")
        self.url = url
        self.connections += 1
        return _Connection(self)


class _Connection:
    """jaydebeapi.Connection, and the java.sql.Connection below it."""

    def __init__(self, java: Java) -> None:
        self.java = java
        self.jconn = self

    def createStatement(self) -> _Statement:
        return _Statement(self.java)

    def close(self) -> None:
        self.java.closed += 1


class _Statement:
    def __init__(self, java: Java) -> None:
        self.java = java
        self.cancelled = threading.Event()

    def setQueryTimeout(self, seconds: int) -> None:
        self.java.time_outs.append(seconds)

    def setFetchSize(self, rows: int) -> None:
        """The driver's own buffer, which this one does not have."""

    def executeQuery(self, text: str) -> _ResultSet:
        try:
            names, rows = self.java.vendor.run(text)
        except SqlError as error:
            raise JException(f"java.sql.SQLException: {error}") from error
        found = [[_java(v, n) for n, v in zip(names, row, strict=True)] for row in rows]
        return _ResultSet(self, names, found)

    def cancel(self) -> None:
        self.cancelled.set()

    def close(self) -> None:
        self.cancelled.set()


class _ResultSet:
    def __init__(self, statement: _Statement, names: list[str], rows: list[list[object]]) -> None:
        self.statement = statement
        self.names = [name.upper() for name in names]
        self.rows = iter(rows)
        self.row: list[object] = []

    def getMetaData(self) -> _ResultSet:
        return self

    def getColumnCount(self) -> int:
        return len(self.names)

    def getColumnLabel(self, place: int) -> str:
        return self.names[place - 1]

    def getColumnType(self, _: int) -> int:
        return VARCHAR

    def getColumnTypeName(self, _: int) -> str:
        return "VARCHAR"

    def next(self) -> bool:
        java = self.statement.java
        if java.hangs:
            java.hangs -= 1
            self.statement.cancelled.wait(30)
            raise JException("java.sql.SQLException: cancelled")
        if java.break_after is not None:
            java.break_after -= 1
            if java.break_after < 0:
                java.break_after = None
                raise JException("java.sql.SQLException: Connection is closed")
        self.row = next(self.rows, [])
        return bool(self.row)

    def getObject(self, place: int) -> object:
        return self.row[place - 1]


class _Thread:
    """java.lang.Thread, as far as it says nothing."""

    @staticmethod
    def attachAsDaemon() -> None:
        """Threads are Python's own here."""

    @staticmethod
    def detach() -> None:
        """Likewise."""

    @staticmethod
    def currentThread() -> _Thread:
        return _Thread()

    def setContextClassLoader(self, _: object) -> None:
        """There are no classes to load."""


class _ClassLoader:
    @staticmethod
    def getSystemClassLoader() -> object:
        return None


class _JavaObject:
    """A Java object, of which only its text can be had."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __str__(self) -> str:
        return self.text


BigDecimal = type("java.math.BigDecimal", (_JavaObject,), {})
LocalDateTime = type("java.time.LocalDateTime", (_JavaObject,), {})
ZonedDateTime = type("java.time.ZonedDateTime", (_JavaObject,), {})


def _java(value: object, name: str) -> object:
    if isinstance(value, Decimal):
        return BigDecimal(str(value))
    if isinstance(value, int):
        return BigDecimal(f"{value}.0")  # section 9: ids arrive as floating point in some paths
    if isinstance(value, dt.datetime):
        text = value.isoformat().removesuffix(":00")  # as java.time does
        return ZonedDateTime(f"{text}Z[UTC]") if name in ZONED else LocalDateTime(text)
    return value
