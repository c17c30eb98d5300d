"""Parquet batch files, written by a thread of their own while the next rows are being read."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType
    from typing import Self

ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 32 << 20  # of Arrow memory, so that wide rows do not fill it
QUEUED_BATCHES = 4
DEFAULT_FILE_BYTES = 128 << 20


@dataclass(frozen=True)
class FinishedFile:
    """A file that is whole, under its final name.

    `progress` is the last mark that lies within the rows sent up to and including this file, or
    None when no mark lies in this file.
    """

    path: Path
    rows: int
    progress: Any


class ParquetFiles:
    """Writes batches to zstd Parquet files and hands over each file when it is whole.

    The caller writes batches and marks: a mark is a place where a file may end and carries the
    progress (a piece of state, not None) that is reached there. A file ends at the mark after
    which another stretch of the same size would pass `file_bytes` (compressed). Rows without any
    mark are cut at `file_bytes`, and in no case does a file grow past twice that.

    All methods belong to one thread, the caller's; what fails in the writer's thread is raised by
    the next call. Memory: `QUEUED_BATCHES` batches and one row group.
    """

    def __init__(self, schema: pa.Schema, new_path: Callable[[], Path], file_bytes: int) -> None:
        self._queue: queue.Queue[pa.RecordBatch | _Mark | None] = queue.Queue(QUEUED_BATCHES)
        self._done: queue.SimpleQueue[FinishedFile] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._output = _Output(schema, new_path, file_bytes, self._done.put)
        self._thread = threading.Thread(target=self._run, name="parquet", daemon=True)
        self._thread.start()

    def write(self, batch: pa.RecordBatch) -> None:
        """Queue a batch; waits while the writer is `QUEUED_BATCHES` behind."""
        self._put(batch)

    def mark(self, progress: object) -> None:
        """Say that what was written so far reaches `progress`."""
        self._put(_Mark(progress))

    def finished(self) -> Iterator[FinishedFile]:
        """Yield the files that became whole since the last call, in order, without waiting."""
        while not self._done.empty():
            yield self._done.get()

    def close(self) -> Iterator[FinishedFile]:
        """Finish the last file and yield all that `finished` has not yielded yet."""
        self._put(None)
        self._thread.join()
        self._raise_error()
        return self.finished()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        if self._thread.is_alive():
            self._error = self._error or error or RuntimeError("left before it was closed")
            self._queue.put(None)
            self._thread.join()
            for file in self.finished():  # nobody was told of it
                file.path.unlink(missing_ok=True)

    def _put(self, item: pa.RecordBatch | _Mark | None) -> None:
        self._raise_error()
        self._queue.put(item)

    def _raise_error(self) -> None:
        if isinstance(self._error, OSError):
            raise TapError(
                f"Writing a batch file failed: {self._error.strerror or self._error}. "
                "Free some space under batch_config's root, or set another root."
            ) from self._error
        if self._error is not None:
            raise self._error

    def _run(self) -> None:
        """Drain the queue to its end, after an error too, so that the caller never blocks."""
        while (item := self._queue.get()) is not None:
            if self._error is None:
                self._guard(
                    self._output.mark if isinstance(item, _Mark) else self._output.add, item
                )
        if self._error is None:
            self._guard(self._output.finish)
        if self._error is not None:
            self._output.abandon()

    def _guard(self, step: Callable[..., None], *args: object) -> None:
        try:
            step(*args)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error


@dataclass(frozen=True)
class _Mark:
    progress: object


class _Output:
    """The file being written; lives in the writer's thread."""

    def __init__(
        self,
        schema: pa.Schema,
        new_path: Callable[[], Path],
        file_bytes: int,
        done: Callable[[FinishedFile], None],
    ) -> None:
        self._schema = schema
        self._new_path = new_path
        self._file_bytes = file_bytes
        self._done = done
        self._writer: pq.ParquetWriter | None = None
        self._progress: object = None
        self._group: list[pa.RecordBatch] = []
        self._group_rows = self._group_bytes = self._rows = self._marked_bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._group.append(batch)
        self._group_rows += batch.num_rows
        self._group_bytes += batch.nbytes
        if self._group_rows < ROW_GROUP_ROWS and self._group_bytes < ROW_GROUP_BYTES:
            return
        self._write_group()
        limit = self._file_bytes * (1 if self._progress is None else 2)
        if self._written_bytes() >= limit:
            self.finish()

    def mark(self, mark: _Mark) -> None:
        self._progress = mark.progress
        size = self._written_bytes() + self._group_bytes // 4  # zstd leaves about a quarter
        stretch, self._marked_bytes = size - self._marked_bytes, size
        if size + stretch > self._file_bytes:
            self.finish()

    def finish(self) -> None:
        """End the file; a mark after its last row waits for the next one."""
        self._write_group()
        if self._writer is None:
            return
        self._writer.close()
        self._sink.close()
        self._hidden.rename(self._path)
        self._done(FinishedFile(self._path, self._rows, self._progress))
        self._writer, self._progress = None, None
        self._rows = self._marked_bytes = 0

    def abandon(self) -> None:
        """Remove what was not finished."""
        if self._writer is not None:
            with suppress(OSError):  # it tries once more to write what did not fit
                self._sink.close()
            self._hidden.unlink(missing_ok=True)

    def _write_group(self) -> None:
        if not self._group_rows:
            return
        writer = self._writer or self._open()
        table = pa.Table.from_batches(self._group, self._schema)
        writer.write_table(table, row_group_size=max(self._group_rows, 1))
        self._rows += self._group_rows
        self._group, self._group_rows, self._group_bytes = [], 0, 0

    def _open(self) -> pq.ParquetWriter:
        self._path = self._new_path()
        self._hidden = self._path.with_name(f".{self._path.name}.tmp")
        self._sink = self._hidden.open("wb")
        # Dictionaries and statistics cost a fifth of the speed here, and no loader reads them.
        self._writer = pq.ParquetWriter(
            self._sink,
            self._schema,
            compression="zstd",
            compression_level=1,
            use_dictionary=False,
            write_statistics=False,
        )
        return self._writer

    def _written_bytes(self) -> int:
        return self._sink.tell() if self._writer is not None else 0
