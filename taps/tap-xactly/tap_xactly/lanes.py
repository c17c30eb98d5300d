"""The two lanes: how pages become RECORD messages, or Parquet files and BATCH messages."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import chain
from typing import TYPE_CHECKING

import pyarrow as pa
from singer_sdk.exceptions import MaxRecordsLimitException
from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.helpers._util import utc_now

from tap_xactly.backend import ResultLostError
from tap_xactly.loads import FullTable
from tap_xactly.paging import TRIES
from tapsupport.parquet import FinishedFile, ParquetFiles
from tapsupport.records import record_lines
from tapsupport.snapshot import snapshot

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tap_xactly.loads import Load
    from tap_xactly.paging import Page, Reading
    from tap_xactly.statement import Cursor
    from tap_xactly.streams import XactlyStream
    from tap_xactly.tap import TapXactly

logger = logging.getLogger(__name__)

Output = Callable[[], AbstractContextManager[Callable[[pa.RecordBatch], None]]]
PARQUET = BaseBatchFileEncoding(format="parquet")


class Lanes:
    """Sends one load of one stream."""

    def __init__(self, stream: XactlyStream, load: Load, reading: Reading, tap: TapXactly) -> None:
        self._stream = stream
        self._load = load
        self._reading = reading
        self._tap = tap
        self._limit = stream.ABORT_AT_RECORD_COUNT  # of a dry run
        self._rows = 0
        self._unannounced: set[Path] = set()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield everything, and send nothing."""
        for page in self._load.pages(self._reading):
            yield self._reading.converter.convert(page.columns)

    def send_records(self) -> None:
        """Send everything as RECORD messages, with a STATE after each statement's worth."""
        self._send(self._records, self._stream.config["statement_rows"])

    def send_files(self) -> None:
        """Send everything as Parquet files, with a STATE after each."""
        try:
            self._send(self._file, self._stream.config["batch_file_rows"])
        finally:
            self._tap.run_directory.give_up(self._unannounced)

    def _send(self, output: Output, rows: int) -> None:
        with self._stream.get_record_counter() as counter, self._stream.get_sync_timer():
            for attempt in range(1, TRIES + 1):
                try:
                    with self._markers():
                        self._send_parts(output, rows)
                    break
                except ResultLostError as error:
                    self._begin_again(error, attempt)
            counter.increment(self._rows)
        self._tap.write_stream_state(self._stream, self._load.finished())
        for name, count in self._reading.converter.rounded.items():
            logger.warning("%s.%s: %d values were rounded.", self._stream.name, name, count)

    def _markers(self) -> AbstractContextManager[None]:
        version = self._load.version
        return nullcontext() if version is None else snapshot(self._stream, version)

    def _begin_again(self, error: ResultLostError, attempt: int) -> None:
        """A table without a key has no place to go on from: send another snapshot of it."""
        if attempt == TRIES or not isinstance(self._load, FullTable):
            raise error
        logger.warning("%s Reading the whole table again.", error)
        self._reading.backend.give_up()
        self._load.renew()
        self._rows = 0
        time.sleep(2.0**attempt)

    def _send_parts(self, output: Output, rows: int) -> None:
        pages = self._load.pages(self._reading)
        while (first := next(pages, None)) is not None:
            with output() as write:
                cursor = self._send_part(chain((first,), pages), write, rows)
            if cursor is not None:
                self._tap.write_stream_state(self._stream, self._load.progress(cursor))
            if self._limit is not None and self._rows >= self._limit:
                limited = MaxRecordsLimitException(f"The dry run's limit of {self._limit} rows.")
                self._stream._abort_sync(limited)  # noqa: SLF001 - the SDK's way to end a dry run

    def _send_part(
        self, pages: Iterator[Page], write: Callable[[pa.RecordBatch], None], rows: int
    ) -> Cursor | None:
        until = self._rows + rows
        if self._limit is not None:
            until = min(until, self._limit)
        for page in pages:
            self._tap.stop_if_asked()
            batch = self._reading.converter.convert(page.columns)
            if self._limit is not None:
                batch = batch.slice(0, self._limit - self._rows)
            write(batch)
            self._rows += batch.num_rows
            if self._rows >= until:
                break
        return page.cursor

    @contextmanager
    def _records(self) -> Iterator[Callable[[pa.RecordBatch], None]]:
        def write(batch: pa.RecordBatch) -> None:
            lines = record_lines(
                batch,
                self._stream.name,
                version=self._load.version,
                time_extracted=utc_now().isoformat(),
            )
            self._tap.message_writer.write_block(lines)

        yield write

    @contextmanager
    def _file(self) -> Iterator[Callable[[pa.RecordBatch], None]]:
        schema = self._reading.converter.schema
        with ParquetFiles(schema, self._new_path, self._announce, None) as files:
            yield files.write

    def _new_path(self) -> Path:
        path = self._tap.run_directory.new_file(self._stream.name, self._tap.stop_if_asked)
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
