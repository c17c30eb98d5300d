"""Parquet batch files, written by a thread of their own while the next rows are being read."""

from __future__ import annotations

import queue
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from tapsupport.errors import TapError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path
    from types import TracebackType
    from typing import Self

ROW_GROUP_ROWS = 65_536
ROW_GROUP_BYTES = 32 << 20  # of Arrow memory, so that wide rows do not fill it
QUEUED_BATCHES = 4
DEFAULT_FILE_BYTES = 128 << 20


@dataclass(frozen=True)
class FinishedFile:
    """A file that is whole, under its final name."""

    path: Path
    rows: int


class ParquetFiles:
    """Writes batches to zstd Parquet files, cut at `file_bytes` (compressed).

    Args:
        schema: The batches' schema.
        new_path: Gives the path of the next file; may wait, in the writer's thread.
        done: Takes each file as soon as it is whole, in the writer's thread.
        file_bytes: Size at which a file ends; None for one file however long.

    `write`, `close` and the context belong to one thread, the caller's; what fails in the writer's
    thread is raised by the next call. Memory: `QUEUED_BATCHES` batches and one row group.
    """

    def __init__(
        self,
        schema: pa.Schema,
        new_path: Callable[[], Path],
        done: Callable[[FinishedFile], None],
        file_bytes: int | None,
    ) -> None:
        self._queue: queue.Queue[pa.RecordBatch | None] = queue.Queue(QUEUED_BATCHES)
        self._error: BaseException | None = None
        self._output = _Output(schema, new_path, done, file_bytes)
        self._thread = threading.Thread(target=self._run, name="parquet", daemon=True)
        self._thread.start()

    def write(self, batch: pa.RecordBatch) -> None:
        """Queue a batch; waits while the writer is `QUEUED_BATCHES` behind."""
        self._raise_error()
        self._queue.put(batch)

    def close(self) -> None:
        """Finish the last file; every file was given to `done` when this returns."""
        self._queue.put(None)
        self._thread.join()
        self._raise_error()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Close, or abandon the file that is not whole when the body failed."""
        if error is None:
            self.close()
        elif self._thread.is_alive():
            self._error = self._error or error
            self._queue.put(None)
            self._thread.join()

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
                self._guard(self._output.add, item)
        if self._error is None:
            self._guard(self._output.finish)
        if self._error is not None:
            self._output.abandon()

    def _guard(self, step: Callable[..., None], *args: object) -> None:
        try:
            step(*args)
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            self._error = error


class _Output:
    """The file being written; lives in the writer's thread."""

    def __init__(
        self,
        schema: pa.Schema,
        new_path: Callable[[], Path],
        done: Callable[[FinishedFile], None],
        file_bytes: int | None,
    ) -> None:
        self._schema = schema
        self._new_path = new_path
        self._done = done
        self._file_bytes = file_bytes
        self._writer: pq.ParquetWriter | None = None
        self._group: list[pa.RecordBatch] = []
        self._group_rows = self._group_bytes = self._rows = 0

    def add(self, batch: pa.RecordBatch) -> None:
        self._group.append(batch)
        self._group_rows += batch.num_rows
        self._group_bytes += batch.nbytes
        if self._group_rows < ROW_GROUP_ROWS and self._group_bytes < ROW_GROUP_BYTES:
            return
        self._write_group()
        if self._file_bytes is not None and self._sink.tell() >= self._file_bytes:
            self.finish()

    def finish(self) -> None:
        """End the file, if there is one."""
        self._write_group()
        if self._writer is None:
            return
        self._writer.close()
        self._sink.close()
        self._hidden.rename(self._path)
        file = FinishedFile(self._path, self._rows)
        self._writer, self._rows = None, 0
        self._done(file)

    def abandon(self) -> None:
        """Remove what was not finished."""
        if self._writer is not None:
            with suppress(OSError, pa.ArrowException):  # each tries once more to write the rest
                self._writer.close()
            with suppress(OSError):
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
