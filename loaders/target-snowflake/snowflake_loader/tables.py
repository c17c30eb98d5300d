"""Tables in Snowflake: made, and altered when a stream's schema has grown."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from snowflake_loader.column_types import ColumnType, stored_type
from snowflake_loader.errors import LoadError
from snowflake_loader.names import LOADS, literal, quote

if TYPE_CHECKING:
    from collections.abc import Mapping

    from snowflake_loader.warehouse import Session


PUBLISHED_LATELY = timedelta(days=30)  # longer than any state is waited for


@dataclass(frozen=True)
class TableColumn:
    """A column as it has to be in the warehouse."""

    name: str
    type: ColumnType
    required: bool = False

    @property
    def ddl(self) -> str:
        # A NOT NULL key makes a COPY whose columns match nothing fail rather than load NULLs.
        return f"{quote(self.name)} {self.type.sql}{' NOT NULL' if self.required else ''}"


class SchemaTables:
    """The tables of one schema, read once a session and kept up to date by what is made here."""

    def __init__(self, session: Session, database: str, schema: str) -> None:
        self._session = session
        self._database = database
        self._schema = schema
        self._tables: dict[str, dict[str, ColumnType | None]] = {}
        self.published: set[tuple[str, str, int]] = set()

    def open(self) -> None:
        """Create the schema if it is not there and read what it holds.

        Raises:
            WarehouseError: the role may not create it, or the database does not exist.
        """
        known = self._session.execute(
            f"SELECT SCHEMA_NAME FROM {quote(self._database)}.INFORMATION_SCHEMA.SCHEMATA "
            f"WHERE SCHEMA_NAME = {literal(self._schema)}",
            f"looking for schema {self._schema} in database {self._database}",
        )
        if not known:
            self._session.execute(
                f"CREATE SCHEMA IF NOT EXISTS {self._session.schema}",
                f"creating schema {self._schema}",
            )
        for row in self._session.execute(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE, NUMERIC_PRECISION, NUMERIC_SCALE "
            f"FROM {quote(self._database)}.INFORMATION_SCHEMA.COLUMNS "
            f"WHERE TABLE_SCHEMA = {literal(self._schema)}",
            f"reading the tables of schema {self._schema}",
        ):
            self._tables.setdefault(row["TABLE_NAME"], {})[row["COLUMN_NAME"]] = stored_type(row)

    def read_published(self) -> None:
        """Read from the ledger which snapshots were published lately: table, method, version.

        A run whose last state was lost on its way sends the end of such a snapshot once more.
        """
        since = (datetime.now(UTC) - PUBLISHED_LATELY).isoformat()
        rows = self._session.execute(
            f"SELECT TABLE_NAME, METHOD, VERSION FROM {self.reference(LOADS)} WHERE PUBLISHED "
            f"AND VERSION IS NOT NULL AND COMMITTED_AT >= CAST({literal(since)} AS TIMESTAMP_TZ)",
            "reading the ledger",
        )
        self.published = {(row["TABLE_NAME"], row["METHOD"], int(row["VERSION"])) for row in rows}

    def names(self) -> list[str]:
        """Return the names of all tables in the schema."""
        return list(self._tables)

    def columns(self, table: str) -> Mapping[str, ColumnType | None]:
        """Return the columns of a table, empty when there is none."""
        return self._tables.get(table, {})

    def reference(self, table: str) -> str:
        """Return the table's name as a statement writes it."""
        return f"{self._session.schema}.{quote(table)}"

    def ensure(
        self, table: str, columns: list[TableColumn], stream: str, *, temporary: bool = False
    ) -> None:
        """Make the table, or add the columns it lacks and widen those that have grown.

        Raises:
            LoadError: a column's type changed in a way that Snowflake cannot follow.
            WarehouseError: Snowflake refused the statement.
        """
        if table not in self._tables:
            body = ", ".join(column.ddl for column in columns)
            kind = "TEMPORARY TABLE" if temporary else "TABLE"
            self._session.execute(
                f"CREATE {kind} IF NOT EXISTS {self.reference(table)} ({body})",
                f"creating table {table}",
            )
            self._tables[table] = {column.name: column.type for column in columns}
            return
        stored = self._tables[table]
        self._add(table, [column for column in columns if column.name not in stored])
        for column in columns:
            self._widen(table, column, stream)

    def drop_columns(self, table: str, names: list[str]) -> None:
        """Drop columns."""
        for name in names:
            self._session.execute(
                f"ALTER TABLE {self.reference(table)} DROP COLUMN {quote(name)}",
                f"dropping column {name} of table {table}, which the source has no more",
            )
            del self._tables[table][name]

    def drop(self, table: str) -> None:
        """Drop one of the loader's own helper tables."""
        self._session.execute(
            f"DROP TABLE IF EXISTS {self.reference(table)}", f"dropping helper table {table}"
        )
        self._tables.pop(table, None)

    def _add(self, table: str, columns: list[TableColumn]) -> None:
        if not columns:
            return
        body = ", ".join(f"{quote(column.name)} {column.type.sql}" for column in columns)
        self._session.execute(
            f"ALTER TABLE {self.reference(table)} ADD COLUMN {body}",
            f"adding {len(columns)} columns to table {table}",
        )
        self._tables[table] |= {column.name: column.type for column in columns}

    def _widen(self, table: str, column: TableColumn, stream: str) -> None:
        stored = self._tables[table][column.name]
        if stored is None or stored.holds(column.type):
            return
        wider = stored.widened_to(column.type)
        if wider is None:
            raise LoadError(
                f"Stream {stream} now sends column {column.name} as {column.type.sql}, but table "
                f"{table} has it as {stored.sql}, which cannot hold every such value; rename or "
                "drop the column in the warehouse, or correct the type in the tap's catalog."
            )
        self._session.execute(
            f"ALTER TABLE {self.reference(table)} ALTER COLUMN {quote(column.name)} "
            f"SET DATA TYPE {wider.sql}",
            f"widening column {column.name} of table {table}",
        )
        self._tables[table][column.name] = wider
