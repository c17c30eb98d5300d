"""Xactly's data, generated in a DuckDB in memory, and the SELECTs that run on it.

Ids do not ascend with the dates, fifty rows share each MODIFIED_DATE, history tables have two rows
for each base id, some ids are text, and one amount in thirty has nineteen digits.
"""

from __future__ import annotations

import re
import threading
from typing import TYPE_CHECKING, Any

import duckdb

from sandbox.vendors.xactly_tables import TABLES, columns_of

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = tuple[Any, ...]

SCHEMA = "xactly"
ZONED = ("MODIFIED_DATE", "CREATED_DATE")  # delivered with a Z; other dates name no zone
_SPREAD = "(i * 48271) % 2147483647 + 1"  # each number once, in no order
_TABLE = re.compile(r"\bxc_\w+", re.IGNORECASE)


class SqlError(Exception):
    """The database refused a statement; the text is what it says."""


class Data:
    """The tables; each is generated when it is first asked for. Any thread may call."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._lock = threading.RLock()
        self._made: set[str] = set()
        self._database = duckdb.connect()
        self._database.execute(f"SET TimeZone = 'UTC'; CREATE SCHEMA {SCHEMA}; USE {SCHEMA}")

    def run(self, sql: str, schema: str = SCHEMA) -> tuple[list[str], list[Row]]:
        """Run a statement of any kind; the result's names as written, and its rows.

        Raises:
            SqlError: it is wrong.
        """
        with self._lock:
            for name in _TABLE.findall(sql):
                self._make(name.lower())
            try:
                cursor = self._database.execute(f"USE {schema}").execute(sql)
                names = [column[0] for column in cursor.description or []]
                return names, cursor.fetchall()
            except duckdb.Error as error:
                raise SqlError(str(error).splitlines()[0]) from error

    def rows(self, table: str) -> list[dict[str, Any]]:
        """A table's rows as they are stored, by column."""
        names, rows = self.run(f"SELECT * FROM {table}")
        return [dict(zip(names, row, strict=True)) for row in rows]

    def insert(self, table: str, rows: Sequence[dict[str, Any]]) -> None:
        """Add rows; columns that are not given are NULL."""
        for row in rows:
            names = ", ".join(row)
            places = ", ".join("?" for _ in row)
            with self._lock:
                self._make(table)
                statement = f"INSERT INTO {table} ({names}) VALUES ({places})"
                self._database.execute(statement, list(row.values()))

    def _make(self, table: str) -> None:
        if table in self._made or table not in TABLES:
            return
        self._made.add(table)
        columns = columns_of(table)
        key = next(iter(columns)) if "summary" not in table else ""
        declared = ", ".join(f"{name} {_type(name, kind)}" for name, kind in columns.items())
        values = ", ".join(_value(name, kind, key, columns) for name, kind in columns.items())
        self._database.execute(
            f"CREATE TABLE {SCHEMA}.{table} ({declared});"
            f"INSERT INTO {SCHEMA}.{table} SELECT {values} FROM range({self.size}) t(i)"
        )


def _is_date(name: str) -> bool:
    return re.search(r"(^|_)(DATE|DT)$", name) is not None


def _is_id(name: str) -> bool:
    return re.search(r"(^|_)ID(_FK)?$|^VERSION$", name) is not None


def _type(name: str, kind: str) -> str:
    if _is_date(name):
        return "TIMESTAMP"
    if kind == "s":
        return "VARCHAR"
    return "BIGINT" if _is_id(name) else "DECIMAL(38, 4)"


def _value(name: str, kind: str, key: str, columns: dict[str, str]) -> str:
    seed = len(name) + ord(name[0])
    if name == key:
        base = "(i // 2)" if "OBJECT_ID" in columns else "i"
        return _SPREAD.replace("i", base, 1) if kind == "n" else f"md5(CAST({base} AS VARCHAR))"
    if name == "OBJECT_ID":
        return _SPREAD
    if _is_date(name):
        return _date(name, seed)
    if kind == "n":
        return f"(i * {seed}) % 1000 + 1" if _is_id(name) else _amount(seed)
    return _text(name, seed)


def _date(name: str, seed: int) -> str:
    if name == "MODIFIED_DATE":
        return "TIMESTAMP '2026-01-05 08:00:00' + INTERVAL 1 MINUTE * (i // 50)"
    if name == "EFFECTIVE_END_DATE":
        return "CASE WHEN i % 3 = 0 THEN TIMESTAMP '4000-01-01 00:00:00' END"
    return f"TIMESTAMP '2025-01-01 00:00:00' + INTERVAL 1 SECOND * ((i * {seed * 997}) % 99999989)"


def _text(name: str, seed: int) -> str:
    if re.match(r"(IS|EVER)_|ENABLED", name):
        return f"CAST((i + {seed}) % 2 AS VARCHAR)"
    text = f"'{name.lower().replace('_', ' ')} é ' || i"
    return f"CASE WHEN i % 11 = {seed % 11} THEN NULL ELSE {text} END"


def _amount(seed: int) -> str:
    return (
        f"CASE WHEN i % 31 = {seed % 31} THEN 12345678901234567.89"
        f" WHEN i % 13 = {seed % 13} THEN NULL"
        f" ELSE CAST(((i * {seed * 7919}) % 2000003 - 1000000) / 100 AS DECIMAL(38, 2)) END"
    )
