"""Sessions with Snowflake, as the loader makes them, one for each thread."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self
from uuid import uuid4

from reconcile.errors import ReconcileError
from snowflake_loader.column_types import ColumnType, stored_type
from snowflake_loader.errors import LoadError
from snowflake_loader.names import literal, quote
from snowflake_loader.target import TargetSnowflake
from snowflake_loader.warehouse import Session, connect

if TYPE_CHECKING:
    from collections.abc import Mapping

_NEEDED = ("account", "user", "database", "schema")


def loader_config(given: Mapping[str, Any]) -> dict[str, Any]:
    """The loader's settings with its defaults.

    Raises:
        ReconcileError: one that is always needed is missing.
    """
    if missing := [name for name in _NEEDED if not given.get(name)]:
        raise ReconcileError(
            f"Comparing needs the loader's settings {', '.join(missing)}. Set them; with Meltano, "
            f"as TARGET_SNOWFLAKE_{missing[0].upper()} and so on."
        )
    return TargetSnowflake.with_defaults(given)


class Warehouse:
    """The schema that the loader fills.

    Attributes:
        config: The loader's settings, with its defaults.
    """

    def __init__(self, config: dict[str, Any]) -> None:
        self.config = config
        self._run_id = f"reconcile {uuid4().hex}"
        self._own = threading.local()
        self._sessions: list[Session] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        for session in self._sessions:
            session.close()

    @property
    def session(self) -> Session:
        """This thread's session.

        Raises:
            ReconcileError: logging in failed.
        """
        if not hasattr(self._own, "session"):
            try:
                self._own.session = connect(self.config, self._run_id)
            except LoadError as error:
                raise ReconcileError(str(error)) from error
            self._sessions.append(self._own.session)
        session: Session = self._own.session
        return session

    def run(self, statement: str, purpose: str) -> list[tuple[Any, ...]]:
        """Execute a statement and return its rows.

        Raises:
            ReconcileError: Snowflake refused it.
        """
        try:
            return [tuple(row.values()) for row in self.session.execute(statement, purpose)]
        except LoadError as error:
            raise ReconcileError(str(error)) from error

    def reference(self, table: str) -> str:
        """A table's name as a statement writes it."""
        return f"{self.session.schema}.{quote(table)}"

    def columns(self, table: str) -> dict[str, ColumnType | None]:
        """The columns of a table with their types; None for a type that the loader never makes.

        Raises:
            ReconcileError: there is no such table.
        """
        schema = str(self.config["schema"]).upper()
        database = str(self.config["database"]).upper()
        names = ("COLUMN_NAME", "DATA_TYPE", "NUMERIC_PRECISION", "NUMERIC_SCALE")
        rows = self.run(
            f"SELECT {', '.join(names)} FROM {quote(database)}.INFORMATION_SCHEMA.COLUMNS "
            f"WHERE TABLE_SCHEMA = {literal(schema)} AND TABLE_NAME = {literal(table)}",
            f"reading the columns of {table}",
        )
        if not rows:
            raise ReconcileError(
                f"Snowflake has no table {database}.{schema}.{table}, or the role may not see it. "
                "Load it first."
            )
        return {row[0]: stored_type(dict(zip(names, row, strict=True))) for row in rows}
