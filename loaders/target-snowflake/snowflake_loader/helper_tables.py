"""The loader's helper tables, where rows wait that are not in the stream's table yet.

`_STAGING_<number>_<table>` is a temporary table, of one session only and gone with it.
`_PENDING_<method>_<version>_<table>` holds the rows of a snapshot whose end has not come. It
survives the run, so that the next one may go on with the same version.
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from snowflake_loader.column_types import INTEGER, ColumnType, Kind
from snowflake_loader.errors import LoadError
from snowflake_loader.names import PENDING, STAGING
from snowflake_loader.records import EXTRACTED_AT, ROW_NUMBER
from snowflake_loader.tables import TableColumn

if TYPE_CHECKING:
    from snowflake_loader.schema import StreamSchema
    from snowflake_loader.settings import LoadMethod
    from snowflake_loader.tables import SchemaTables

SEQUENCE = "_LOADER_SEQUENCE"  # order of the files, over all runs
OWN_COLUMNS = (
    TableColumn(ROW_NUMBER, INTEGER),
    TableColumn(EXTRACTED_AT, ColumnType(Kind.TIMESTAMP_TZ)),
    TableColumn(SEQUENCE, INTEGER),
)


@dataclass
class HelperTables:
    """The helper tables of one stream's table."""

    tables: SchemaTables
    table: str
    stream: str
    _sequence: int = field(default=0, init=False)
    _session: str = field(default_factory=lambda: secrets.token_hex(4).upper(), init=False)

    def next_sequence(self) -> int:
        """A number for a file that is larger than that of any file before."""
        self._sequence = max(self._sequence + 1, time.time_ns() // 1000)
        return self._sequence

    def staging(self, schema: StreamSchema) -> str:
        """Make the session's own staging table and return its reference."""
        name = f"{STAGING}{self._session}_{self.table}"
        self.tables.ensure(name, self._columns(schema), self.stream, temporary=True)
        return self.tables.reference(name)

    def has_pending(self, method: LoadMethod, version: int | None) -> bool:
        """Whether rows of a snapshot wait already."""
        return self._pending(method, version) in self.tables.names()

    def pending(self, schema: StreamSchema, method: LoadMethod, version: int | None) -> str:
        """Make the table for a snapshot's rows and return its reference.

        Raises:
            LoadError: its rows have a column that the stream has no more; it would be lost.
        """
        name = self._pending(method, version)
        columns = self._columns(schema)
        known = {column.name for column in columns}
        if lost := [column for column in self.tables.columns(name) if column not in known]:
            raise LoadError(
                f"Stream {self.stream} lost the column {', '.join(lost)} in the middle of its "
                f"snapshot {version}. Let the tap start that stream anew, with a new version."
            )
        if not self.tables.columns(name):
            self.drop_superseded(method, version)
        self.tables.ensure(name, columns, self.stream)
        return self.tables.reference(name)

    def drop_superseded(self, method: LoadMethod, version: int | None) -> None:
        """Drop what waits of this and older snapshots by the same method.

        Those of other methods, and newer ones, may be another loader's.
        """
        prefix = self._pending(method, None).removesuffix(f"0_{self.table}")
        for name in self.tables.names():
            number, _, table = name.removeprefix(prefix).partition("_")
            mine = name.startswith(prefix) and table == self.table and number.isdigit()
            if mine and int(number) <= (version or 0):
                self.tables.drop(name)

    def _pending(self, method: LoadMethod, version: int | None) -> str:
        word = method.value.replace("-", "").upper()
        return f"{PENDING}{word}_{version or 0}_{self.table}"

    @staticmethod
    def _columns(schema: StreamSchema) -> list[TableColumn]:
        columns = [TableColumn(column.name, column.type.staging) for column in schema.columns]
        own = {column.name for column in columns}
        return columns + [column for column in OWN_COLUMNS if column.name not in own]
