"""The two lanes: how the parts of a load become RECORD messages, or Parquet files and BATCH.

Both read the same Arrow batches, so they carry the same values. In the arrow lane, ranges of a
table are read side by side, each into a file of its own, over connections that share a snapshot;
each file is announced with the state it reaches.
"""

from __future__ import annotations

import logging
import threading
from concurrent.futures import FIRST_COMPLETED, wait
from contextlib import contextmanager
from functools import partial
from itertools import chain, islice
from typing import TYPE_CHECKING

from singer_sdk.exceptions import MaxRecordsLimitException
from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.helpers._util import utc_now

from tap_postgres.announcements import Announcements
from tap_postgres.errors import RecoveryConflictError
from tap_postgres.reading import SMALLER, Reader
from tap_postgres.table import select_sql
from tap_postgres.values import Converter
from tapsupport.parquet import FinishedFile, ParquetFiles
from tapsupport.records import record_lines
from tapsupport.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future
    from pathlib import Path

    import pyarrow as pa

    from tap_postgres.announcements import RangeRead
    from tap_postgres.client import Database
    from tap_postgres.loads import Load
    from tap_postgres.reading import Part, State
    from tap_postgres.streams import PostgresStream
    from tap_postgres.tap import TapPostgres

logger = logging.getLogger(__name__)

PARQUET = BaseBatchFileEncoding(format="parquet")
MOST_CONFLICTS = 5  # on a replica, in one load; by then a range has a thousandth of its rows


class Lanes:
    """Sends one load of one stream; in the thread that calls, and helped by the tap's readers."""

    def __init__(self, stream: PostgresStream, load: Load, tap: TapPostgres) -> None:
        self._stream = stream
        self._load = load
        self._tap = tap
        self._position: State = dict(load.start)
        self._sent_since_state = False
        self._stop = threading.Event()
        self._announcing = threading.Lock()
        self._unannounced: set[Path] = set()
        self._end = stream.readable_until()

    # Whole loads

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield everything, in one snapshot and one thread, and send nothing."""
        with self._reader(self._stream.config["range_rows"]) as reader:
            converter = self._converter()
            for part in self._load.parts(reader, self._position):
                yield from self._batches(part, reader.database, converter)

    def send_records(self) -> None:
        """Send every part as RECORD messages, with a STATE after each."""
        with self._stream.get_record_counter() as counter, self._stream.get_sync_timer():
            self._send(partial(self._records_of, counter.increment))

    def send_files(self) -> None:
        """Send every part as Parquet files, each range's with the STATE it reaches."""
        with self._stream.get_record_counter() as counter, self._stream.get_sync_timer():
            self._send(partial(self._files_of, counter.increment))

    def _send(self, send: Callable[[Reader, Iterator[Part]], None]) -> None:
        if self._load.version is None:
            self._try(send)
        else:
            with snapshot(self._stream, self._load.version):
                self._try(send)
        self._advance(self._load.finished(self._position))

    def _try(self, send: Callable[[Reader, Iterator[Part]], None]) -> None:
        """Send the parts; in a new snapshot and smaller ranges when a replica cancels the read."""
        rows, conflicts = self._stream.config["range_rows"], 0
        while True:
            self._sent_since_state = False
            try:
                with self._reader(rows, conflicts) as reader:
                    rows = reader.rows
                    return send(reader, self._load.parts(reader, self._position))
            except RecoveryConflictError as error:
                doubled = self._sent_since_state and not self._load.repeatable
                if doubled or conflicts == MOST_CONFLICTS:
                    raise
                rows, conflicts = max(1, rows // SMALLER), conflicts + 1
                logger.warning("%s Going on with ranges of at most %d rows.", error, rows)

    @contextmanager
    def _reader(self, rows: int, conflicts: int = 0) -> Iterator[Reader]:
        with self._tap.connections.lend(self._stream.server) as database:
            database.begin()
            limit_bytes = self._stream.config["batch_file_bytes"]
            rows = max(1, min(rows, limit_bytes // self._row_bytes(database)))
            yield Reader(database, self._stream.table.label, rows, self._end, conflicts)

    # The record lane

    def _records_of(
        self, count: Callable[[int], None], reader: Reader, parts: Iterator[Part]
    ) -> None:
        converter = self._converter()
        encode = partial(
            record_lines,
            stream=self._stream.name,
            json_columns={c.name for c in self._stream.selected_columns if c.is_json},
            version=self._load.version,
        )
        for part in parts:
            for batch in self._batches(part, reader.database, converter):
                lines = encode(batch, time_extracted=utc_now().isoformat())
                self._tap.message_writer.write_block(lines)
                self._sent_since_state = True
                count(batch.num_rows)
            self._advance(part.progress)
        converter.log_nulled()

    # The arrow lane

    def _files_of(
        self, count: Callable[[int], None], reader: Reader, parts: Iterator[Part]
    ) -> None:
        converter = self._converter()
        first_two = list(islice(parts, 2))
        try:
            if len(first_two) > 1 and self._may_read_side_by_side:
                self._side_by_side(count, reader, chain(first_two, parts), converter)
            else:
                self._one_by_one(count, reader, chain(first_two, parts), converter)
        finally:
            self._tap.run_directory.give_up(self._unannounced)
            self._unannounced.clear()
        converter.log_nulled()

    def _one_by_one(
        self,
        count: Callable[[int], None],
        reader: Reader,
        parts: Iterable[Part],
        converter: Converter,
    ) -> None:
        def announce(file: FinishedFile) -> None:
            self._announce(file)
            count(file.rows)

        new_path = partial(self._new_path, self._tap.stop_if_asked)
        for part in parts:
            with ParquetFiles(
                converter.schema, new_path, announce, self._stream.config["batch_file_bytes"]
            ) as files:
                for batch in self._batches(part, reader.database, converter):
                    files.write(batch)
            self._advance(part.progress)

    def _side_by_side(
        self,
        count: Callable[[int], None],
        reader: Reader,
        parts: Iterable[Part],
        converter: Converter,
    ) -> None:
        name = reader.database.export_snapshot()
        announcements = Announcements()
        running: list[Future[None]] = []

        def read_range(read: RangeRead) -> None:
            files = self._read_range(read, name, converter)
            with self._announcing:
                if not self._stop.is_set():  # else it may have been cut short
                    self._announce_ranges(announcements.finish(read, files), count)

        def look_after() -> None:
            self._tap.stop_if_asked()
            for future in [future for future in running if future.done()]:
                running.remove(future)
                future.result()

        try:
            for part in parts:
                path = self._new_path(look_after)
                with self._announcing:
                    read = announcements.begin(part, path)
                running.append(self._tap.readers.submit(read_range, read))
                look_after()
            while running:
                wait(running, return_when=FIRST_COMPLETED)
                look_after()
        finally:
            self._stop.set()
            wait([future for future in running if not future.cancel()])
            self._stop.clear()

    def _read_range(
        self, read: RangeRead, snapshot_name: str, converter: Converter
    ) -> list[FinishedFile]:
        files: list[FinishedFile] = []
        with self._tap.connections.lend(self._stream.server) as database:
            database.join_snapshot(snapshot_name)
            with ParquetFiles(converter.schema, lambda: read.path, files.append, None) as output:
                for batch in self._batches(read.part, database, converter):
                    output.write(batch)
        return files

    def _announce_ranges(
        self, ready: list[tuple[RangeRead, State | None]], count: Callable[[int], None]
    ) -> None:
        for read, state in ready:
            for file in read.files or ():
                self._announce(file)
                count(file.rows)
            self._tap.run_directory.give_up({read.path} & self._unannounced)  # it had no rows
            self._unannounced.discard(read.path)
            self._advance(state)

    def _new_path(self, meanwhile: Callable[[], None]) -> Path:
        path = self._tap.run_directory.new_file(self._stream.name, meanwhile)
        self._unannounced.add(path)
        return path

    def _announce(self, file: FinishedFile) -> None:
        self._tap.run_directory.hand_over(file.path)
        self._unannounced.discard(file.path)
        self._tap.write_message(
            SDKBatchMessage(
                stream=self._stream.name,
                encoding=PARQUET,
                manifest=[file.path.as_uri()],
                version=self._load.version,
            )
        )
        self._sent_since_state = True

    # Both

    @property
    def _may_read_side_by_side(self) -> bool:
        is_dry_run = self._stream.ABORT_AT_RECORD_COUNT is not None
        return self._stream.config["max_parallel"] > 1 and not is_dry_run

    def _converter(self) -> Converter:
        return Converter(
            self._stream.table,
            self._stream.selected_columns,
            self._stream.config["out_of_range"],
            self._stream.stamp_values(self._load),
        )

    def _batches(
        self, part: Part, database: Database, converter: Converter
    ) -> Iterator[pa.RecordBatch]:
        """Read a part; in a dry run read no more rows than its limit and end the sync there."""
        self._stream.check_part(database, part)
        query = select_sql(self._stream.selected_columns, part.source, part.conditions)
        dry_run_limit = self._stream.ABORT_AT_RECORD_COUNT
        limits = [limit for limit in (part.limit, dry_run_limit) if limit is not None]
        if limits:
            query += f" LIMIT {min(limits)}"
        count = 0
        doing = f"Reading {self._stream.table.label}"
        for batch in converter.convert(database.batches(query, doing)):
            self._tap.stop_if_asked()
            if self._stop.is_set():
                return
            count += batch.num_rows
            yield batch
        if dry_run_limit is not None and count >= dry_run_limit:
            limited = MaxRecordsLimitException(f"The dry run's limit of {dry_run_limit} rows.")
            self._stream._abort_sync(limited)  # noqa: SLF001 - the SDK's way to end a dry run

    def _advance(self, progress: State | None) -> None:
        """Take up the progress reached, and send STATE."""
        if progress is None:
            return
        self._position = progress
        self._sent_since_state = False
        self._tap.write_stream_state(self._stream, progress)

    def _row_bytes(self, database: Database) -> int:
        """The size of a row: as it is on disk, else as the server estimates it."""
        table = self._stream.table
        query = select_sql(self._stream.selected_columns, table.source, [])
        doing = f"Planning to read {table.label}"
        return table.row_bytes or max(1, database.plan(query, doing)["Plan Width"])
