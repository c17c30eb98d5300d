"""One stream: a table, view or query, in the record lane or the arrow lane."""

from __future__ import annotations

from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

from singer_sdk import Stream
from singer_sdk.exceptions import MaxRecordsLimitException
from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.helpers._util import utc_now
from typing_extensions import override

from tap_postgres.reading import Part, Reader, discard_stale
from tap_postgres.table import Column, Table, select_sql
from tap_postgres.values import Converter
from tapsupport.errors import TapError
from tapsupport.parquet import FinishedFile, ParquetFiles
from tapsupport.process import interruptible
from tapsupport.records import record_lines
from tapsupport.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    import pyarrow as pa
    from singer_sdk.helpers._batch import BatchConfig
    from singer_sdk.helpers.types import Context, Record

    from tap_postgres.client import Database
    from tap_postgres.tap import TapPostgres

PARQUET = BaseBatchFileEncoding(format="parquet")


class PostgresStream(Stream):
    """Reads one table in parts and sends each part as records or as Parquet files.

    Both lanes read the same Arrow batches, so they carry the same values.
    """

    emit_activate_version_messages = False  # tapsupport.snapshot sends both markers
    _tap: TapPostgres

    def __init__(self, tap: TapPostgres, table: Table, database: Database) -> None:
        super().__init__(tap=tap, schema=table.json_schema(), name=table.stream)
        self.primary_keys = table.key
        self.table = table
        self.database = database

    @override
    def get_replication_key_signpost(self, context: Context | None = None) -> None:
        return None  # the bookmark is a value read from the table, never the tap's clock

    @override
    def get_records(self, context: Context | None) -> Iterable[Record]:
        """Yield rows as dicts; the lanes below do not take this slow way."""
        with self._parts() as parts:
            for part in parts:
                for batch in self._batches(part, self._converter()):
                    yield from batch.to_pylist()

    @override
    def _sync_records(
        self, context: Context | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """The record lane; overridden because the SDK's way handles rows one by one."""
        converter = self._converter()
        encode = partial(
            record_lines,
            stream=self.name,
            json_columns={column.name for column in self._columns() if column.is_json},
        )
        with self.get_record_counter() as counter, self.get_sync_timer(), self._parts() as parts:
            for part in parts:
                for batch in self._batches(part, converter):
                    lines = encode(
                        batch, version=self._stream_version, time_extracted=utc_now().isoformat()
                    )
                    self._tap.message_writer.write_block(lines)
                    counter.increment(batch.num_rows)
                self._advance(part.progress)
        converter.log_nulled()
        yield from ()

    @override
    def _sync_batches(self, batch_config: BatchConfig, context: Context | None = None) -> None:
        """The arrow lane; overridden because the SDK makes batch files out of dicts."""
        converter = self._converter()
        new_path = partial(self._tap.run_directory.new_file, self.name)
        file_bytes = self.config["batch_file_bytes"]
        with (
            self.get_record_counter() as counter,
            self.get_sync_timer(),
            self._parts() as parts,
            ParquetFiles(converter.schema, new_path, file_bytes) as files,
        ):
            progress = None
            for part in parts:
                for batch in self._batches(part, converter):
                    files.write(batch)
                    counter.increment(batch.num_rows)
                    self._send(files.finished())
                files.mark(progress := part.progress)
            self._send(files.close(), wait=False)
            self._advance(progress)
        converter.log_nulled()

    @contextmanager
    def _parts(self) -> Iterator[Iterator[Part]]:
        """Everything around reading: the snapshot's markers, the transaction, the final state."""
        state = self.stream_state
        key = self.replication_key if self.replication_method == "INCREMENTAL" else None
        self._check()
        discard_stale(state, self.table.key, key)
        self._tap.stop_if_asked()
        try:
            with interruptible(self.database.cancel):
                if key is not None:
                    yield self._reader().incremental(state, key)
                else:
                    with snapshot(self, state) as version:
                        yield self._reader().full_table(state, version)
                    self.state_manager.is_flushed = False
        except TapError:
            self._tap.stop_if_asked()  # a signal cancels the query
            raise
        finally:
            self.database.end_snapshot()

    def _reader(self) -> Reader:
        rows = self.config["range_rows"]
        if self.table.row_bytes:
            rows = max(1, min(rows, self.config["batch_file_bytes"] // self.table.row_bytes))
        return Reader(self.database, self.table, rows)

    def _batches(self, part: Part, converter: Converter) -> Iterator[pa.RecordBatch]:
        """Read a part; in a dry run read no more rows than its limit and end the sync there."""
        query = select_sql(self.table, self._columns(), part.conditions)
        limit = self.ABORT_AT_RECORD_COUNT
        if limit is not None:
            query += f" LIMIT {limit}"
        count = 0
        for batch in converter.convert(self.database.batches(query, f"Reading {self.table.label}")):
            self._tap.stop_if_asked()
            count += batch.num_rows
            yield batch
        if limit is not None and count >= limit:
            self._abort_sync(MaxRecordsLimitException(f"The dry run's limit of {limit} rows."))

    def _advance(self, progress: dict[str, Any] | None) -> None:
        """Take up the progress reached, and send STATE."""
        if progress is None:
            return
        if "replication_key" in progress:
            self.stream_state.clear()  # a range that led here is over
        self.stream_state.update(progress)
        self.state_manager.is_flushed = False
        self._write_state_message()

    def _send(self, files: Iterable[FinishedFile], *, wait: bool = True) -> None:
        """Announce files, each with the state it reaches, then wait for the loader if need be."""
        for file in files:
            self._tap.write_message(
                SDKBatchMessage(
                    stream=self.name,
                    encoding=PARQUET,
                    manifest=[file.path.as_uri()],
                    version=self._stream_version,
                )
            )
            self._advance(file.progress)
            self._tap.run_directory.hand_over(file.path)
            if wait:
                self._tap.run_directory.wait(self._tap.stop_if_asked)

    def _columns(self) -> tuple[Column, ...]:
        """The columns that are selected and that the catalog knows."""
        known = self.effective_schema["properties"]
        return tuple(
            column
            for column in self.table.columns
            if column.name in known and self.mask.get(("properties", column.name), True)
        )

    def _converter(self) -> Converter:
        return Converter(self.table, self._columns(), self.config["out_of_range"])

    def _check(self) -> None:
        """Compare the catalog given with the table as it is.

        Raises:
            TapError: a column is missing or has another type, or the method cannot be served.
        """
        found = {column.name: column for column in self.table.columns}
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
        if self.replication_method not in ("FULL_TABLE", "INCREMENTAL"):
            raise TapError(
                f"{self.name}: {self.replication_method} is not supported. "
                "Set replication-method to FULL_TABLE or INCREMENTAL."
            )
        if self.replication_method == "INCREMENTAL" and self.replication_key not in found:
            raise TapError(
                f"{self.name}: INCREMENTAL needs a replication-key, and {self.table.label} has no "
                f"column {self.replication_key}. Correct it, or use FULL_TABLE."
            )
