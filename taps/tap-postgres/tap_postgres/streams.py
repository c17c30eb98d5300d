"""Streams: tables and views of the catalog, and manifests' tables."""

from __future__ import annotations

import datetime as dt
import time
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from typing_extensions import override

from tap_postgres import manifest_loads
from tap_postgres.lanes import Lanes
from tap_postgres.loads import FullTable, Incremental, Load
from tap_postgres.queries import check_key, has_unique_index
from tap_postgres.reading import checked_state
from tap_postgres.stamps import TASK_INSTANCE, UPLOADED_AT
from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Sequence

    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record
    from singer_sdk.singerlib.messages import SchemaMessage

    from tap_postgres.client import Database, Server
    from tap_postgres.manifest_loads import LoadSettings, ManifestSource
    from tap_postgres.reading import Part
    from tap_postgres.table import Column, Table
    from tap_postgres.tap import TapPostgres


# Tells our loader that no other table's bookmark depends on this one's: one that it refuses may
# stand still while the others move on.
INDEPENDENT = "x-independent"


class PostgresStream(Stream):
    """Reads one table in parts and sends each part as records or as Parquet files."""

    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    _tap: TapPostgres

    def __init__(self, tap: TapPostgres, table: Table, server: Server) -> None:
        super().__init__(tap=tap, schema=table.json_schema(), name=table.stream)
        self.primary_keys = table.key
        self.table = table
        self.server = server
        self.load: Load | None = None

    def choose_load(self, state: dict[str, Any]) -> Load | None:
        """Choose what this run sends, by the stream's state; None for nothing at all.

        Raises:
            TapError: the load that was asked for cannot be done.
        """
        raise NotImplementedError

    def check_part(self, database: Database, part: Part) -> None:
        """Look at a part before it is read, in the same snapshot.

        Raises:
            TapError: its rows must not be loaded.
        """

    def readable_until(self) -> dt.datetime:
        """The moment before which everything committed can be read; ask before a snapshot."""
        return dt.datetime.now(dt.UTC)

    def stamp_values(self, load: Load) -> Sequence[tuple[Column, object]]:  # noqa: ARG002 - for all
        """The columns that the tap adds to each row, with their values."""
        return ()

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Yield rows as dicts; the lanes do not take this slow way."""
        if load := self.choose_load({}):
            for batch in Lanes(self, load, self._tap).batches():
                yield from batch.to_pylist()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """The record lane; overridden because the SDK's way handles rows one by one."""
        if self.load:
            Lanes(self, self.load, self._tap).send_records()
        yield from ()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The arrow lane; overridden because the SDK makes batch files out of dicts."""
        if self.load:
            Lanes(self, self.load, self._tap).send_files()

    @override
    def _generate_schema_messages(self) -> Generator[SchemaMessage, None, None]:
        """The first thing of a sync: choose the load, and say to the loader what it is."""
        with self._tap.state_lock:
            state = checked_state(self.stream_state, self.name)
        self._check()
        self.load = self.choose_load(state)
        if self.load is None:
            self.logger.info("Nothing to do for %s: its columns are those tested last.", self.name)
            return
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, **self.load.hints, INDEPENDENT: True}
            yield message

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None  # the bookmark is a value read from the table, never the tap's clock

    @property
    def selected_columns(self) -> tuple[Column, ...]:
        """The table's columns that are selected and that the catalog knows."""
        return self._selected(self.table.columns)

    def _selected(self, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        known = self.effective_schema["properties"]
        return tuple(
            column
            for column in columns
            if column.name in known and self.mask.get(("properties", column.name), True)
        )

    def _check(self) -> None:
        """Compare the catalog given with the table as it is.

        Raises:
            TapError: a column is missing or has another type.
        """
        found = {column.name for column in (*self.table.columns, *self.table.stamps)}
        for name, schema in self.effective_schema["properties"].items():
            if not self.mask.get(("properties", name), True):
                continue
            if name not in found:
                raise TapError(
                    f"{self.table.label} has no column {name} (any more), but the catalog selects "
                    "it. Run discovery again; with Meltano, --refresh-catalog."
                )
            now = self.schema["properties"][name]
            if any(schema.get(word) != now.get(word) for word in ("type", "x-sql-datatype")):
                raise TapError(
                    f"{self.table.label}, column {name}: the catalog says {schema}, the database "
                    f"{now}. Run discovery again; with Meltano, --refresh-catalog."
                )


class TableStream(PostgresStream):
    """A table or view of the database's catalog, FULL_TABLE or INCREMENTAL as the catalog says."""

    @override
    def choose_load(self, state: dict[str, Any]) -> Load:
        if self.replication_method == "FULL_TABLE":
            return FullTable(self.table, state)
        if self.replication_method != "INCREMENTAL":
            raise TapError(
                f"{self.name}: {self.replication_method} is not supported. "
                "Set replication-method to FULL_TABLE or INCREMENTAL."
            )
        key = self.replication_key
        if key not in {column.name for column in self.table.columns}:
            raise TapError(
                f"{self.name}: INCREMENTAL needs a replication-key, and {self.table.label} has no "
                f"column {key}. Correct it, or use FULL_TABLE."
            )
        return Incremental(self.table, state, str(key))


class ManifestStream(PostgresStream):
    """A manifest's table, loaded as its entry and the setting `load_type` say."""

    forced_replication_method = "FULL_TABLE"  # the state is the load's, not the SDK's

    def __init__(
        self,
        tap: TapPostgres,
        table: Table,
        server: Server,
        source: ManifestSource,
        settings: LoadSettings,
    ) -> None:
        super().__init__(tap, table, server)
        self._source = source
        self._settings = settings
        self._load_type = settings.load_type_of(source.entry)
        self._is_key_proven: bool | None = None

    @override
    def choose_load(self, state: dict[str, Any]) -> Load | None:
        return manifest_loads.choose(self._source, self.table, state, self._settings)

    @override
    def check_part(self, database: Database, part: Part) -> None:
        if self._load_type in ("deletes", "test") or not self.table.key:
            return  # nothing counts on the key being unique
        if self._is_key_proven is None:
            base = self._source.entry.query.base
            key = self.table.key
            self._is_key_proven = base is not None and has_unique_index(database, base, key)
        if not self._is_key_proven:
            check_key(database, self.name, part.source, part.conditions, self.table.key)

    @override
    def readable_until(self) -> dt.datetime:
        return self._tap.readable_until(self.server)

    @override
    def stamp_values(self, load: Load) -> Sequence[tuple[Column, object]]:
        uploaded_at = time.time() if load.version is None else load.version / 1000
        values = {
            UPLOADED_AT: uploaded_at,
            TASK_INSTANCE: self._tap.task_instance,
        }
        return [(column, values[column.name]) for column in self._selected(self.table.stamps)]
