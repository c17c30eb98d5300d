"""The two lanes: how report files become Parquet files and BATCH, or RECORD messages.

Files are read side by side, each into a Parquet file of its own; these are sent in the order of
the reports, each when it is whole and verified. The record lane sends the rows of the same Parquet
files, so that it too sends nothing of a file that breaks off.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pyarrow.parquet as pq
from singer_sdk.helpers._batch import BaseBatchFileEncoding, SDKBatchMessage
from singer_sdk.helpers._util import utc_now

from tap_oci.retry import ChangedError, GoneError, persist
from tapsupport.errors import TapError
from tapsupport.parquet import FinishedFile, ParquetFiles
from tapsupport.records import record_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tap_oci.client import ReportFile, Storage
    from tap_oci.columns import Header, Layout
    from tap_oci.report import ReportReader
    from tap_oci.streams import ReportStream
    from tap_oci.tap import TapOCI

logger = logging.getLogger(__name__)

PARQUET = BaseBatchFileEncoding(format="parquet")
POLL_SECONDS = 0.2  # how long a signal may go unnoticed


class StoppedError(Exception):
    """The run ends, so that what a thread reads is of no use any more."""


class Link:
    """A file's columns: those of the file before it, and its own.

    So columns are only added from file to file, whichever of them is read first.
    """

    def __init__(self, before: Future[Layout]) -> None:
        self._before = before
        self.layout: Future[Layout] = Future()

    def settle(self, file: str, names: Sequence[str]) -> tuple[Header, Layout]:
        """Take a file's header; give what it means and the columns that the file gets.

        Raises:
            TapError: a file that was written anew has columns that the files after it lack.
        """
        before = self._before.result()
        header = before.header(file, names)
        layout = before.with_columns(header.places)
        if not self.layout.done():
            self.layout.set_result(layout)
        elif layout != self.layout.result():
            raise TapError(f"{file} changed its columns while it was read. Run again.")
        return header, layout

    def skip(self) -> None:
        """Let the next file have the columns of the one before."""
        if not self.layout.done():
            self.layout.set_result(self._before.result())

    def fail(self, error: BaseException) -> None:
        """Let the files that wait for this one fail with it."""
        if not self.layout.done():
            self.layout.set_exception(error)


@dataclass
class Read:
    """What came of a file."""

    file: ReportFile
    parquet: FinishedFile | None  # None for a file without rows


@dataclass
class Reading:
    """A file that is being read in another thread; gives None if there is no such file any more."""

    path: Path
    link: Link
    result: Future[Read | None] = field(default_factory=Future)


class Lane:
    """Sends files of one stream; in the thread that calls, and helped by the tap's readers."""

    def __init__(
        self,
        stream: ReportStream,
        tap: TapOCI,
        reader: ReportReader,
        storage: Storage,
        count: Callable[[int], None],
    ) -> None:
        self._stream = stream
        self._tap = tap
        self._reader = reader
        self._storage = storage
        self._count = count
        self._stop = threading.Event()
        self._layout = stream.layout
        self._without_rows: list[str] = []  # files of this publication
        self._last: Future[Layout] = Future()
        self._last.set_result(self._layout)

    def send(self, files: Sequence[ReportFile], version: int) -> list[ReportFile]:
        """Read and send files; returns those that were there.

        Raises:
            TapError: one cannot be read; those before it were sent.
        """
        self._without_rows = []
        running: deque[Reading] = deque()
        sent: list[ReportFile] = []

        def send_ready() -> None:
            self._tap.stop_if_asked()
            while running and running[0].result.done():
                sent.extend(self._send(running.popleft(), version))

        try:
            for file in files:
                path = self._tap.run_directory.new_file(self._stream.name, send_ready)
                running.append(self._start(file, path))
                send_ready()
            while running:
                wait([running[0].result], POLL_SECONDS)
                send_ready()
        finally:
            self._stop.set()
            wait([reading.result for reading in running if not reading.result.cancel()])
            self._stop.clear()
            self._tap.run_directory.give_up(reading.path for reading in running)
        return sent

    # In the readers' threads

    def _start(self, file: ReportFile, path: Path) -> Reading:
        link = Link(self._last)
        self._last = link.layout
        return Reading(path, link, self._tap.readers.submit(self._read, file, path, link))

    def _read(self, file: ReportFile, path: Path, link: Link) -> Read | None:
        """Read a file until it was whole, however often it is written anew meanwhile."""

        def attempt() -> Read:
            nonlocal file
            try:
                return self._read_once(file, path, link)
            except ChangedError:
                file = self._storage.current(file.name)
                raise

        try:
            return persist(attempt, self._check_stop)
        except GoneError:
            logger.warning("%s is not there any more, so it is left out.", file.name)
            link.skip()
            return None
        except BaseException as error:
            link.fail(error)
            raise

    def _read_once(self, file: ReportFile, path: Path, link: Link) -> Read:
        batches = self._reader.batches(file, lambda names: link.settle(file.name, names))
        finished: list[FinishedFile] = []
        first = next(batches, None)
        if first is None:
            link.skip()
            return Read(file, None)
        with ParquetFiles(first.schema, lambda: path, finished.append, None) as output:
            output.write(first)
            for batch in batches:
                self._check_stop()
                output.write(batch)
        return Read(file, finished[0] if finished else None)

    def _check_stop(self) -> None:
        if self._stop.is_set():
            raise StoppedError

    # In the caller's thread

    def _send(self, reading: Reading, version: int) -> list[ReportFile]:
        read = reading.result.result()
        if read is None or read.parquet is None:
            self._tap.run_directory.give_up([reading.path])
            if read is None:
                return []
            # No row of it tells the loader that those of its former self must go.
            self._without_rows.append(read.file.name)
            self._stream.write_schema(self._layout, self._without_rows)
            return [read.file]
        layout = reading.link.layout.result()
        if layout != self._layout:
            self._layout = layout
            self._stream.write_schema(layout, self._without_rows)
        self._tap.run_directory.hand_over(reading.path)
        if self._stream.sends_files:
            self._send_file(read.parquet, version)
        else:
            self._send_rows(read.parquet, version)
        self._count(read.parquet.rows)
        return [read.file]

    def _send_file(self, file: FinishedFile, version: int) -> None:
        self._tap.write_message(
            SDKBatchMessage(
                stream=self._stream.name,
                encoding=PARQUET,
                manifest=[file.path.as_uri()],
                version=version,
            )
        )

    def _send_rows(self, file: FinishedFile, version: int) -> None:
        with pq.ParquetFile(file.path) as parquet:
            for batch in parquet.iter_batches():
                lines = record_lines(
                    batch.slice(0, self._stream.ABORT_AT_RECORD_COUNT),
                    self._stream.name,
                    json_columns=self._layout.json_columns,
                    version=version,
                    time_extracted=utc_now().isoformat(),
                )
                self._tap.message_writer.write_block(lines)
                if self._stream.is_dry_run:
                    break
        file.path.unlink()
