"""Columns whose value is the same for every row of a commit: load stamps and metadata."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from snowflake_loader.column_types import TEXT, ColumnType, Kind
from snowflake_loader.ledger import sql_value
from snowflake_loader.names import quote
from snowflake_loader.records import EXTRACTED_AT
from snowflake_loader.schema import RECORD_METADATA
from snowflake_loader.tables import TableColumn

if TYPE_CHECKING:
    from snowflake_loader.settings import StreamSettings


@dataclass
class Constants:
    """The constant columns that the settings ask for, and their values as SQL.

    Every row of a run has the same `_uploaded_at` (seconds since the epoch, a float, as the
    fact sheet "postgres_pipeline.md", section 3, has it).
    """

    settings: StreamSettings
    started_at: datetime
    version: int | None = None
    own_names: frozenset[str] = frozenset()  # a tap may send metadata columns of its own

    @property
    def columns(self) -> list[TableColumn]:
        """The columns, in the order they stand behind the stream's own."""
        return [TableColumn(name, column_type) for name, (column_type, _) in self._all().items()]

    @property
    def values(self) -> dict[str, str]:
        """Each column's value as a SQL expression, by column name."""
        return {name: value for name, (_, value) in self._all().items()}

    def _all(self) -> dict[str, tuple[ColumnType, str]]:
        constants: dict[str, tuple[ColumnType, str]] = {}
        if self.settings.uploaded_at:
            seconds = f"{self.started_at.timestamp():.6f}"
            constants["_UPLOADED_AT"] = (ColumnType(Kind.FLOAT), f"CAST({seconds} AS FLOAT)")
        if self.settings.task_instance:
            constants["_TASK_INSTANCE"] = (TEXT, sql_value(self.settings.task_instance))
        if self.settings.add_record_metadata:
            values = self._metadata()
            for name, column_type in RECORD_METADATA.items():
                constants[name.upper()] = (column_type, values[name])
        return {name: v for name, v in constants.items() if name not in self.own_names}

    def _metadata(self) -> dict[str, str]:
        now = datetime.now(UTC)
        return {
            "_sdc_extracted_at": f"COALESCE({quote(EXTRACTED_AT)}, {sql_value(now)})",
            "_sdc_received_at": sql_value(now),
            "_sdc_batched_at": sql_value(now),
            "_sdc_deleted_at": "CAST(NULL AS TIMESTAMP_TZ)",
            "_sdc_sequence": str(int(now.timestamp() * 1000)),
            "_sdc_table_version": sql_value(self.version),
            "_sdc_sync_started_at": str(int(self.started_at.timestamp() * 1000)),
        }
