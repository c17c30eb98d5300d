"""`sandbox sql`: one query, or a prompt, against the local warehouse."""

from __future__ import annotations

import readline  # noqa: F401 - gives input() its line editing
from typing import TYPE_CHECKING

import snowflake.connector
from rich.table import Table

from sandbox.settings import QUICK_FAILURE, WAREHOUSE_DATABASE, SandboxError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from typing import Any

    from rich.console import Console
    from snowflake.connector import SnowflakeConnection

ROWS_SHOWN = 1000
PROMPT = f"{WAREHOUSE_DATABASE.lower()}> "


def connect(config: dict[str, Any]) -> AbstractContextManager[SnowflakeConnection]:
    """A session in the local warehouse.

    Raises:
        SandboxError: The warehouse refused the login.
    """
    try:
        connection: SnowflakeConnection = snowflake.connector.connect(**QUICK_FAILURE, **config)
    except snowflake.connector.errors.Error as error:
        raise SandboxError(
            f"Cannot log in to the warehouse on port {config['port']}: {_sentence(error)}"
        ) from error
    return connection


def run(connection: SnowflakeConnection, query: str, console: Console) -> None:
    """Run one statement and print its rows and their number.

    Raises:
        SandboxError: The warehouse refused the statement; the text is its reason.
    """
    try:
        cursor = connection.cursor()
        cursor.execute(query)
        names = [column.name for column in cursor.description]
        rows = cursor.fetchmany(ROWS_SHOWN)
    except snowflake.connector.errors.Error as error:
        raise SandboxError(f"The warehouse refused the query: {_sentence(error)}") from error
    table = Table(*names)
    for row in rows:
        table.add_row(*("NULL" if value is None else _text(value) for value in row))
    console.print(table)
    total = cursor.rowcount if len(rows) == ROWS_SHOWN else len(rows)
    shown = f" (the first {ROWS_SHOWN:,} shown)" if total and total > len(rows) else ""
    console.print(f"{total:,} row{'' if total == 1 else 's'}{shown}")


def prompt(connection: SnowflakeConnection, console: Console) -> None:
    """Read statements until `exit` or the end of input; `history` lists those before."""
    history: list[str] = []
    for line in _lines():
        if line == "history":
            for number, earlier in enumerate(history, start=1):
                console.print(f"{number:4}  {earlier}", markup=False)
            continue
        history.append(line)
        try:
            run(connection, line, console)
        except SandboxError as error:
            console.print(str(error), style="red", markup=False)


def _lines() -> Iterator[str]:
    while True:
        try:
            line = input(PROMPT).strip().rstrip(";")
        except (EOFError, KeyboardInterrupt):
            return
        if line in {"exit", "quit"}:
            return
        if line:
            yield line


def _text(value: object) -> str:
    return value.hex() if isinstance(value, bytes | bytearray) else str(value)


def _sentence(error: snowflake.connector.errors.Error) -> str:
    return " ".join(str(error.msg or error).split()).rstrip(".") + "."
